"""What all faults of Redis have in common."""

import time
from typing import ClassVar, TypeVar

from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.databases.redis_cli import RedisCli
from shakedown.faults.life import REVERT_SLACK
from shakedown.guard.undo import carry_out
from shakedown.plan.faults.databases import OnRedis
from shakedown.records.experiment import Proof

__all__ = ["RedisFault"]

R = TypeVar("R", bound=OnRedis)


class RedisFault(Fault[R]):
    """A fault that `redis-cli` brings about."""

    needs: ClassVar[tuple[str, ...]] = ("redis-cli in the container",)

    def __init__(self, plan: R, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.redis = RedisCli(context, plan)

    def check(self) -> None:
        """The server answers; what it is like now is noted."""
        self.redis.check()
        self.note()

    def note(self) -> None:
        """Note what the server is like before the fault; refuse where the fault cannot work."""

    def revert(self) -> None:
        """Carry out the undo."""
        carry_out(self.undo(), self.context.client)
        self.redis.look_for_restart()

    def answers(self, limit: float = 2.0) -> Proof:
        """Whether the server answers a client that comes now."""
        begun = time.monotonic()
        answer = self.redis.attempt("PING", limit=limit)
        if answer.output.strip() == "PONG":
            return Proof(held=True, evidence=f"PING is answered within {time.monotonic() - begun:.1f} s")
        said = f"no answer to PING within {limit:g} s" if self.redis.silent(answer) else f"PING: {answer.said}"
        return Proof(held=False, evidence=said)

    @staticmethod
    def hold_of(deadline: float) -> float:
        """Seconds that the fault is to last: what ends by itself ends then, and not only at the deadline."""
        return max(deadline - REVERT_SLACK - time.time(), 0.5)
