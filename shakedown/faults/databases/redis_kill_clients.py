"""redis-kill-clients: the server closes its clients' connections."""

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.again import Again
from shakedown.faults.databases.redis import RedisFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import RedisKillClients
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["KillClientsFault"]

ONCE_EVERY = 0.1  # seconds between two tries of a fault that is to happen once


class KillClientsFault(RedisFault[RedisKillClients]):
    """The fault."""

    mechanism = "CLIENT KILL by type"
    proof = "connections that the server says it closed, counted"
    reversal = "none is needed: clients connect anew; it is not repeated any more"
    layers = ("ends with the run",)

    def __init__(self, plan: RedisKillClients, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._closed = 0
        self._times = 0
        self._again: Again | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.clients}, {f'every {format_duration(self.plan.every)}' if self.plan.every else 'once'}"

    def note(self) -> None:
        """The server is new enough."""
        if self.redis.version() < (2, 8):
            raise FaultRefusedError("this server cannot close connections by their type: that needs version 2.8")

    def undo(self) -> Undo:
        """Nothing: what was closed stays closed."""
        return self.redis.undo(["true"])

    def inject(self, deadline: float) -> None:
        """Close them: once, as soon as there is one, or again and again."""
        self._again = Again(self._kill, self.plan.every or ONCE_EVERY, deadline)

    def _kill(self) -> None:
        if self.plan.every is None and self._closed:
            return
        answer = self.redis.attempt("CLIENT", "KILL", "TYPE", self.plan.clients, "SKIPME", "yes")
        count = answer.output.strip()
        if count.isdigit() and int(count):  # a server that restarts, say, answers otherwise: no connection was closed
            self._closed += int(count)
            self._times += 1

    def effect(self) -> Proof:
        """At least one was closed."""
        if self._again is not None:
            self._again.look()
        kind = f"{self.plan.clients} connections"
        words = f"the server closed {self._closed} {kind}" if self._closed else f"there were no {kind} to close"
        return Proof(held=self._closed > 0, evidence=words, asked=1, measured=self._closed, unit="connections")

    def revert(self) -> None:
        """Close no more."""
        if self._again is not None:
            self._again.end()
        super().revert()

    def gone(self) -> Proof:
        """None is closed any more, and the server answers."""
        if self._again is not None and not self._again.ended:
            return Proof(held=False, evidence="connections are still being closed")
        look = self.answers()
        times = f"{self._closed} connections closed in {self._times} goes, none any more"
        return Proof(held=look.held, evidence=f"{times}; {look.evidence}")
