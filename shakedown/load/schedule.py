"""Due times of an open model, each computed from the start and never from the one before: errors do not add up."""

import math
from dataclasses import dataclass

__all__ = ["ArrivalSchedule"]


@dataclass(slots=True)
class ArrivalSchedule:
    """A constant arrival rate, or one worker's share of it.

    Attributes:
        start: the instant of the first arrival of the whole load (any clock, seconds).
        rate: arrivals per second of the whole load.
        duration: seconds in which arrivals fall: due times lie in [start, start + duration).
        shard, shards: this worker takes the arrivals whose number leaves the rest `shard`.
    """

    start: float
    rate: float
    duration: float
    shard: int = 0
    shards: int = 1
    _next: int = 0

    @property
    def total(self) -> int:
        """Arrivals of this share in all."""
        everything = math.ceil(self.duration * self.rate - 1e-9)
        return max(0, (everything - self.shard + self.shards - 1) // self.shards)

    def due(self) -> float | None:
        """When the next arrival is due; None when there are no more."""
        if self._next >= self.total:
            return None
        return self.start + (self._next * self.shards + self.shard) / self.rate

    def advance(self) -> None:
        """The next arrival was released."""
        self._next += 1
