"""Faults of whole services, containers or programs on this machine.

================  =========================================================
kill              a signal; down for the hold time, or a crash
stop              an orderly stop, and a start
pause             every process frozen
restart           a stop, and at once a start
crash_loop        killed again each time that it comes up
replace           another image, command or environment in its place
clock             the same with a calendar clock that is off
rolling_restart   several, one after another
whole             what they have in common
target            one service: ways to take it down and bring it back …
container         … as a container
program           … as a program on this machine
crash             killing a container behind the engine's back
host              a container's first process as this machine sees it
================  =========================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.service.clock import ClockFault
from shakedown.faults.service.crash_loop import CrashLoopFault
from shakedown.faults.service.kill import KillFault
from shakedown.faults.service.pause import PauseFault
from shakedown.faults.service.replace import ReplaceFault
from shakedown.faults.service.restart import RestartFault
from shakedown.faults.service.rolling_restart import RollingRestartFault
from shakedown.faults.service.stop import StopFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "service-kill": KillFault,
    "service-stop": StopFault,
    "service-pause": PauseFault,
    "service-restart": RestartFault,
    "service-crash-loop": CrashLoopFault,
    "service-replace": ReplaceFault,
    "service-clock": ClockFault,
    "service-rolling-restart": RollingRestartFault,
}
