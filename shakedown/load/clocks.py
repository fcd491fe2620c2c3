"""The clocks of several machines: a wall-clock instant on each one's own monotonic clock, and how far they can differ.

Monotonic clocks of two machines have nothing in common, so an instant is agreed upon in wall-clock time. Nobody need
trust that the wall clocks agree: two messages, one each way, bound their difference without any assumption about how
long a message takes.

::

    shard         says at s1 ──┐                   ┌──▶ heard at s2
                               └▶ heard at t1   said at t2
    orchestrator                                        s1 − t1 ≤ offset ≤ s2 − t2      (offset: shard − orchestrator)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ClockBounds", "LocalOrigin", "map_origin"]

READINGS = 5


@dataclass(frozen=True, slots=True)
class LocalOrigin:
    """The origin of a run's time axis on this machine's monotonic clock.

    Attributes:
        monotonic: what `time.monotonic()` would have shown here at the origin.
        width: seconds between the two monotonic readings around the wall clock's: the mapping is no finer.
    """

    monotonic: float
    width: float


def map_origin(
    origin_wall: float,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> LocalOrigin:
    """Map a wall-clock instant (Unix time, seconds) to the monotonic clock; of several tries the closest counts."""

    def reading() -> LocalOrigin:
        before = monotonic()
        now = wall()
        after = monotonic()
        return LocalOrigin((before + after) / 2 - (now - origin_wall), after - before)

    return min((reading() for _ in range(READINGS)), key=lambda origin: origin.width)


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """Between which bounds a shard's wall clock is ahead of the orchestrator's (behind, where negative), seconds."""

    low: float
    high: float

    @classmethod
    def between(cls, *, said: float, heard_of: float, told: float, heard: float) -> "ClockBounds":
        """From two messages: the shard's (`said` by its clock, `heard_of` by ours), and ours (`told`, `heard`)."""
        return cls(said - heard_of, heard - told)

    @property
    def proven(self) -> float:
        """The least error that is certain, seconds; 0 when the clocks may agree."""
        return max(self.low, -self.high, 0.0)

    def __str__(self) -> str:
        return f"clock {(self.low + self.high) / 2:+.3f} ± {abs(self.high - self.low) / 2:.3f} s"
