"""postgres-hold-connections: connections are taken, until nobody gets a new one."""

import time

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.again import Again
from shakedown.faults.databases.inside import Kept
from shakedown.faults.databases.postgres import PostgresFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import PostgresHoldConnections
from shakedown.records.experiment import Proof

__all__ = ["HoldConnectionsFault"]

LOOK_EVERY = 1.0
FILLED_WITHIN = 20.0
CATCH_UP, SETTLE = 3, 0.1
# Slots are the client backends'; our own session takes one while it looks.
FREE = """
SELECT current_setting('max_connections')::int - count(*) + 1 FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


class HoldConnectionsFault(PostgresFault[PostgresHoldConnections]):
    """The fault."""

    mechanism = "idle sessions of psql in the container, which one `sleep` keeps open"
    proof = "sessions counted; with none left free, a new connection refused as too many"
    reversal = "the `sleep` is ended, and with it every session; sessions that stay are terminated by the server"
    layers = ("journal", "watchdog", "sessions' own deadline")

    def __init__(self, plan: PostgresHoldConnections, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._free = 0
        self._want = 0
        self._kept: list[Kept] = []
        self._again: Again | None = None
        self._deadline = 0.0

    @property
    def parameters(self) -> str:
        """For the report."""
        if self.plan.connections is not None:
            return f"{self.plan.connections} connections"
        return f"all but {self.plan.leave}" if self.plan.leave else "all connections"

    def note(self) -> None:
        """How many connections are free."""
        self._free = int(self.psql.value(FREE))
        self._want = self.plan.connections or self._free - (self.plan.leave or 0)
        if self._want > self._free:
            raise FaultRefusedError(f"{self._want} connections cannot be held: {self._free} are free")
        if self._want <= 0:
            raise FaultRefusedError(f"{self._free} connections are free already: there is nothing to hold")

    def undo(self) -> Undo:
        """Let go of every session."""
        return self.psql.let_go()

    def inject(self, deadline: float) -> None:
        """Take them; where all are to be taken, go on taking those that come free."""
        self._deadline = deadline
        self._kept.append(self.psql.hold(self._want, self.left(deadline)))
        until = min(time.time() + FILLED_WITHIN, deadline)
        while time.time() < until and self._said() < self._want:
            time.sleep(0.02)
        if self.plan.connections is None:
            self._again = Again(lambda: self._top_up(deadline), LOOK_EVERY, deadline)

    def _said(self) -> int:
        """How many sessions either hold their connection or were refused one."""
        lines = [line for one in self._kept for line in one.lines]
        return lines.count("held") + sum(line.startswith("psql: ") for line in lines)

    def _top_up(self, deadline: float) -> None:
        """Take what has come free."""
        answer = self.psql.attempt(FREE)
        if answer.code and not self.is_full(answer.errors):
            return  # the server restarts, say: the proof of effect is who judges that
        more = 0 if answer.code else int(answer.output) - (self.plan.leave or 0)
        if more > 0:
            self._kept.append(self.psql.hold(more, self.left(deadline)))

    def effect(self) -> Proof:
        """As many are held as were to be; where none is left, a new connection is refused.

        What others let go of is taken within a second: what came free since the last time does not count against it.
        """
        if self._again is not None:
            self._again.look()
        proof = self._look()
        for _ in range(CATCH_UP):
            if proof.held or self._again is None:
                break
            self._top_up(self._deadline)
            time.sleep(SETTLE)
            proof = self._look()
        return proof

    def _look(self) -> Proof:
        held = self.psql.kept("psql")
        answer = self.psql.attempt(FREE)
        if answer.code:
            full = self.is_full(answer.errors)
            return Proof(
                held=full and held > 0, evidence=f"{held} connections held; a new one is refused: {answer.said}",
                asked=self._want, measured=held, unit="connections",
            )  # fmt: skip
        free, held = int(answer.output), self.psql.sessions(self.psql.mark)
        enough = held >= self.plan.connections if self.plan.connections else free <= (self.plan.leave or 0)
        return Proof(
            held=enough and held > 0, evidence=f"{held} connections held, {free} left free", asked=self._want,
            measured=held, unit="connections",
        )  # fmt: skip

    def still(self) -> Proof | None:
        """The same proof again."""
        return self.effect()

    def revert(self) -> None:
        """Take no more, and let go of all."""
        if self._again is not None:
            self._again.end()
        super().revert()

    def gone(self) -> Proof:
        """No session and no process of ours is left, and a new connection is let in."""
        look = self.lets_in()
        if not look.held:
            return look
        sessions, processes = self.psql.sessions(self.psql.mark), self.psql.kept()
        if sessions or processes:
            return Proof(held=False, evidence=f"{sessions} sessions and {processes} processes of the fault are left")
        free = self.psql.value(FREE)
        return Proof(
            held=True, evidence=f"no session of the fault is left; {free} connections free, {self._free} before"
        )
