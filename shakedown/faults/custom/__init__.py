"""Faults of the user's own: commands, or a Python class; `shakedown.custom` is what such a class deals with.

========  ================================================================
steps     what both have in common: bounded steps, and what they say
command   commands in a container, or on this machine
python    a class, each step in a process of its own
========  ================================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.custom.command import CommandFault
from shakedown.faults.custom.python import PythonFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "custom-command": CommandFault,
    "custom-python": PythonFault,
}
