"""redis-maxmemory and redis-evict: the server's memory is full."""

from typing import TypeVar

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.redis import RedisFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import RedisEvict, RedisMaxmemory
from shakedown.records.experiment import Proof

__all__ = ["EvictFault", "MaxmemoryFault"]

M = TypeVar("M", bound=RedisMaxmemory | RedisEvict)

# Needs memory as any write does, and so is refused as any write is; on a key that is not there it does nothing.
PROBE = ("SETRANGE", "shakedown:probe", "0", "")
CLOSE = 1.1  # memory in use swings a little around the limit


class _Memory(RedisFault[M]):
    """A limit and a policy, and what both were before."""

    reversal = "limit and policy as they were before, looked at again"

    def __init__(self, plan: M, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._before: dict[str, str] = {}
        self._limit = 0
        self._evicted = 0

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.maxmemory} bytes" if self.plan.maxmemory else ""

    def _look(self) -> dict[str, str]:
        return {name: self.redis.setting(name) for name in ("maxmemory", "maxmemory-policy")}

    def _used(self) -> int:
        return self.redis.figure("memory", "used_memory")

    def note(self) -> None:
        """Limit, policy, and what was evicted so far."""
        self._before = self._look()
        self._evicted = self.redis.figure("stats", "evicted_keys")
        before = int(self._before["maxmemory"])
        self._limit = self.plan.maxmemory or int(self._used() * self.share())
        if 0 < before < self._limit:
            raise FaultRefusedError(f"maxmemory is {before} already, less than {self._limit}")

    def share(self) -> float:
        """Of what is in use, how much is allowed where the plan does not say."""
        raise NotImplementedError

    def policy(self) -> str:
        """What is done when it is full."""
        raise NotImplementedError

    def undo(self) -> Undo:
        """Limit and policy as they were; the limit first, as it is what refuses."""
        return self.redis.restore(self._before)

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """The policy first: nothing else may be evicted, or refused, in between."""
        self.redis.put(maxmemory_policy=self.policy(), maxmemory=str(self._limit))

    def still(self) -> Proof | None:
        """Limit and policy are ours."""
        now = self._look()
        if now == {"maxmemory": str(self._limit), "maxmemory-policy": self.policy()}:
            return None
        return Proof(held=False, evidence=f"somebody set {_shown(now)}")

    def gone(self) -> Proof:
        """Limit and policy are as before, and what needs memory gets it, unless it was refused before."""
        now = self._look()
        if now != self._before:
            return Proof(held=False, evidence=f"{_shown(now)}; before: {_shown(self._before)}")
        reply = self.redis.attempt(*PROBE).said
        return Proof(held=reply == "0", evidence=f"{_shown(now)} as before; a write is answered with {reply}")


class MaxmemoryFault(_Memory[RedisMaxmemory]):
    """Full, and nothing may go."""

    mechanism = "CONFIG SET maxmemory, with the policy noeviction"
    proof = "a command that needs memory is refused with OOM; memory in use beside the limit"

    def share(self) -> float:
        """So little that writes fail at once."""
        return 0.95

    def policy(self) -> str:
        """Nothing goes."""
        return "noeviction"

    def effect(self) -> Proof:
        """A write is refused."""
        answer, used = self.redis.attempt(*PROBE), self._used()
        return Proof(
            held=answer.output.startswith("OOM"),
            evidence=f"{used} bytes in use, limit {self._limit}; a write is answered with: {answer.said}",
            asked=self._limit,
            measured=used,
            unit="B",
        )


class EvictFault(_Memory[RedisEvict]):
    """Full, and keys go."""

    mechanism = "CONFIG SET maxmemory, with an evicting policy"
    proof = "evicted keys, as the server counts them, and memory in use down to the limit"
    reversal = "limit and policy as they were before; the evicted keys are gone for good"

    def note(self) -> None:
        """There are keys to evict."""
        super().note()
        if not self.redis.info("keyspace"):
            raise FaultRefusedError("the server holds no key that could be evicted")

    def share(self) -> float:
        """What the empty server needs itself cannot be evicted; this much can."""
        return 0.9

    def policy(self) -> str:
        """The plan's."""
        return self.plan.policy

    def effect(self) -> Proof:
        """Keys went, and what is left fits."""
        self.redis.attempt(*PROBE)  # memory is only made when somebody asks for some
        evicted, used = self.redis.figure("stats", "evicted_keys") - self._evicted, self._used()
        return Proof(
            held=evicted > 0 and used <= self._limit * CLOSE,
            evidence=f"{evicted} keys evicted; {used} bytes in use, limit {self._limit}",
            asked=self._limit,
            measured=used,
            unit="B",
        )


def _shown(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
