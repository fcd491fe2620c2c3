"""redis-pause: the server keeps its clients waiting."""

import math

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.inside import Kept
from shakedown.faults.databases.redis import RedisFault
from shakedown.faults.databases.redis_memory import PROBE
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import RedisPause
from shakedown.records.experiment import Proof

__all__ = ["PauseFault"]

# While everything is paused, CLIENT UNPAUSE waits as well: a pause of the whole hold time could not be ended early. So it
# is cut into slices, all sent at once over one connection: each next one is the first in line when its predecessor ends.
# Closing the connection takes back those that have not begun.
SLICE = 0.5
PATIENCE = 1.2 * SLICE
_SLICES = r"""
count="$1"; pause="$2"
(while [ "$count" -gt 0 ]; do printf '%s\r\n' "$pause"; count=$((count - 1)); done) | cli --pipe
exit 0
"""
_UNPAUSE = 'cli CLIENT UNPAUSE | grep -q OK || { echo "the server did not end its pause"; exit 1; }'


class PauseFault(RedisFault[RedisPause]):
    """The fault."""

    mechanism = "CLIENT PAUSE, in slices of half a second"
    proof = "a command without an answer for longer than a slice"
    reversal = "the slices that have not begun are taken back; writes alone: CLIENT UNPAUSE"
    layers = ("journal", "watchdog", "server's own deadline")

    def __init__(self, plan: RedisPause, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._kept: Kept | None = None
        self._modern = True

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.commands} commands"

    def note(self) -> None:
        """Old servers pause all commands or none."""
        self._modern = self.redis.version() >= (6, 2)
        if self.plan.commands == "write" and not self._modern:
            raise FaultRefusedError("this server cannot pause writes alone: that needs version 6.2")

    def undo(self) -> Undo:
        """End the pause, or take back what has not begun of it."""
        if self.plan.commands == "write":
            return self.redis.undo(self.redis.script(_UNPAUSE))
        return self.redis.release("*-cli")

    def inject(self, deadline: float) -> None:
        """Pause."""
        hold = self.hold_of(deadline)
        if self.plan.commands == "write":
            self.redis.ask("CLIENT", "PAUSE", str(round(hold * 1000)), "WRITE")
            return
        pause = f"CLIENT PAUSE {round(SLICE * 1000)}" + (" ALL" if self._modern else "")
        self._kept = self.redis.keep(self.redis.script(_SLICES, str(math.ceil(hold / SLICE)), pause))

    def effect(self) -> Proof:
        """No answer for longer than a slice; where writes alone wait, a read is answered."""
        command = PROBE if self.plan.commands == "write" else ("PING",)
        answer = self.redis.attempt(*command, limit=PATIENCE)
        if not self.redis.silent(answer):
            return Proof(held=False, evidence=f"{command[0]} was answered: {answer.said}")
        words = f"no answer to {command[0]} within {PATIENCE:g} s"
        if self.plan.commands == "write":
            read = self.answers(limit=PATIENCE)
            return Proof(held=read.held, evidence=f"{words}; {read.evidence}")
        return Proof(held=True, evidence=words)

    def gone(self) -> Proof:
        """A write is answered at once, and nothing of ours is left."""
        answer = self.redis.attempt(*PROBE, limit=PATIENCE)
        if self.redis.silent(answer):
            return Proof(held=False, evidence=f"no answer to a write within {PATIENCE:g} s")
        if left := self.redis.kept():
            return Proof(held=False, evidence=f"{left} processes of the fault are left")
        return Proof(held=answer.output.strip() == "0", evidence=f"a write is answered with {answer.said}")
