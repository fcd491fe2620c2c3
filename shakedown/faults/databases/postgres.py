"""What all faults of PostgreSQL have in common."""

import time
from typing import ClassVar, TypeVar

from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.databases.inside import shown
from shakedown.faults.databases.psql import Psql
from shakedown.guard.undo import carry_out
from shakedown.plan.faults.databases import OnPostgres
from shakedown.records.experiment import Proof

__all__ = ["PostgresFault"]

P = TypeVar("P", bound=OnPostgres)

FULL = ("too many clients", "remaining connection slots", "too many connections")  # SQLSTATE 53300, which psql hides


class PostgresFault(Fault[P]):
    """A fault that `psql` brings about."""

    needs: ClassVar[tuple[str, ...]] = ("psql in the container", "a superuser")

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.psql = Psql(context, plan)

    def check(self) -> None:
        """The server answers a superuser; what it is like now is noted."""
        self.psql.check()
        self.note()

    def note(self) -> None:
        """Note what the server is like before the fault; refuse where the fault cannot work."""

    def revert(self) -> None:
        """Carry out the undo."""
        carry_out(self.undo(), self.context.client)
        self.psql.look_for_restart()

    def lets_in(self) -> Proof:
        """Whether a session of anybody's is let in and answered."""
        answer = self.psql.attempt("SELECT 1", plain=True)
        if answer.code:
            return Proof(held=False, evidence=f"a new connection is refused: {answer.said}")
        return Proof(held=True, evidence="a new connection is let in")

    @staticmethod
    def left(deadline: float) -> float:
        """Seconds until the deadline."""
        return max(deadline - time.time(), 1.0)

    @staticmethod
    def is_full(errors: str) -> bool:
        """Whether a refusal says that there are too many connections."""
        return any(words in shown(errors) for words in FULL)
