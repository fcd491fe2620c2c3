"""Faults of whole services.

=======  ========================================
kill     the main process gets a signal
stop     an orderly stop, and a start
pause    every process frozen
=======  ========================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.service.kill import KillFault
from shakedown.faults.service.pause import PauseFault
from shakedown.faults.service.stop import StopFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "service-kill": KillFault,
    "service-stop": StopFault,
    "service-pause": PauseFault,
}
