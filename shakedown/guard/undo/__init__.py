"""The operations that take something back.

Each is data alone, so that it can be written down before the thing is done and carried out by another process later.
Each may run twice, by two processes at once, or after its target has gone. None touches what does not carry our label
or our mark.

==========  ==========================================================
operations  which there are, and how each is carried out
base        what every operation is
containers  started, thawed, removed, their limits set back
inside      commands inside containers
networks    networks and volumes removed
rules       packet rules in containers' network namespaces removed
processes   processes on this machine ended, or let go on
commands    programs of the user's on this machine
==========  ==========================================================
"""

from shakedown.guard.undo.commands import CommandRun
from shakedown.guard.undo.containers import ContainerRemove, ContainerStart, ContainerUnpause, ContainerUpdate
from shakedown.guard.undo.inside import ContainerExec
from shakedown.guard.undo.networks import NetworkRemove, VolumeRemove
from shakedown.guard.undo.operations import Undo, carry_out
from shakedown.guard.undo.processes import PROCESS_GRACE, PROCESS_MARK, ProcessContinue, ProcessKill
from shakedown.guard.undo.rules import RulesRemove

__all__ = [
    "PROCESS_GRACE",
    "PROCESS_MARK",
    "CommandRun",
    "ContainerExec",
    "ContainerRemove",
    "ContainerStart",
    "ContainerUnpause",
    "ContainerUpdate",
    "NetworkRemove",
    "ProcessContinue",
    "ProcessKill",
    "RulesRemove",
    "Undo",
    "VolumeRemove",
    "carry_out",
]
