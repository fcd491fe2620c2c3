"""redis-flush: every key is removed, for good."""

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.redis import RedisFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import RedisFlush
from shakedown.records.experiment import Proof

__all__ = ["FlushFault"]


class FlushFault(RedisFault[RedisFlush]):
    """The fault."""

    mechanism = "FLUSHALL, or FLUSHDB for one database"
    proof = "keys before, less keys right after"
    reversal = "none: what was flushed is gone for good"
    layers = ()

    def __init__(self, plan: RedisFlush, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._before = 0
        self._after = 0

    @property
    def parameters(self) -> str:
        """For the report."""
        return "all databases" if self.plan.database is None else f"database {self.plan.database}"

    def _keys(self) -> int:
        """How many keys it holds."""
        if self.plan.database is not None:
            return int(self.redis.ask("-n", str(self.plan.database), "DBSIZE")[0])
        spaces = self.redis.info("keyspace").values()
        return sum(int(space.partition("keys=")[2].partition(",")[0]) for space in spaces)

    def note(self) -> None:
        """There is something to lose."""
        self._before = self._keys()
        if not self._before:
            raise FaultRefusedError(f"there is no key in {self.parameters}: nothing would be lost")

    def undo(self) -> Undo:
        """Nothing can be taken back."""
        return self.redis.undo(["true"])

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - it is over when it is done
        """Flush."""
        self._before = self._keys()
        if self.plan.database is None:
            self.redis.ask("FLUSHALL")
        else:
            self.redis.ask("-n", str(self.plan.database), "FLUSHDB")
        self._after = self._keys()

    def effect(self) -> Proof:
        """Keys are gone."""
        lost = self._before - self._after
        return Proof(
            held=lost > 0, evidence=f"{self._before} keys before, {self._after} right after", asked=self._before,
            measured=lost, unit="keys",
        )  # fmt: skip

    def gone(self) -> Proof:
        """It was over at once; the server answers."""
        look = self.answers()
        lost = self._before - self._after
        return Proof(held=look.held, evidence=f"nothing acts any more; {lost} keys are gone for good; {look.evidence}")
