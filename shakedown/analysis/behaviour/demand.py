"""How much clients asked, by the second of the intended start."""

from collections.abc import Collection
from dataclasses import dataclass

from shakedown.records.load import LoadResult, Outcome

__all__ = ["Demand", "demand_of"]


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests of clients by second; `good` are those that were served."""

    asked: dict[int, int]
    good: dict[int, int]

    def between(self, start: float, end: float, *, good: bool = False) -> float:
        """Requests between two instants; of a second that lies partly within, that part."""
        counts = self.good if good else self.asked
        return sum(
            number * max(0.0, min(end, second + 1) - max(start, second))
            for second, number in counts.items()
            if second + 1 > start and second < end
        )

    def rate(self, start: float, end: float) -> float:
        """Requests per second."""
        return self.between(start, end) / (end - start) if end > start else 0.0


def demand_of(load: LoadResult, requests: Collection[str] = ()) -> Demand:
    """What a load asked, and what of it was served.

    Args:
        requests: only these; none: all.
    """
    asked: dict[int, int] = {}
    good: dict[int, int] = {}
    for key, bucket in load.buckets.items():
        if requests and key.request not in requests:
            continue
        asked[key.second] = asked.get(key.second, 0) + bucket.response.count
        if key.outcome is Outcome.OK:
            good[key.second] = good.get(key.second, 0) + bucket.response.count
    return Demand(asked, good)
