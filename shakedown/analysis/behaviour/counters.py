"""A counter that was sampled now and then, read as calls between two instants.

A counter that falls began anew with its process: what it shows then was counted since. A long time without samples is a
gap: how much was counted in it is known when the counter went on, but not when; nothing is known when it began anew.
What was not sampled is never taken for zero.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

__all__ = ["Counted", "Counter", "Rate", "add_up"]

GAP = 2.5  # times the usual distance of two samples
COVERED = 0.7  # of a window must have been sampled


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted, in so many seconds of a window."""

    calls: float
    seconds: float

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls between two samples."""

    start: float
    end: float
    calls: float

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return self.calls / (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Counter:
    """A sampled counter.

    Attributes:
        points: (instant, value), in time.
    """

    points: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> "Counter":
        """A counter of its samples, in whatever order they came."""
        return cls(tuple(sorted(points)))

    @property
    def resolution(self) -> float:
        """The usual distance of two samples, seconds; 0 with fewer than two."""
        return median(after - before for (before, _), (after, _) in pairwise(self.points)) if self.points[1:] else 0.0

    def _steps(self) -> Iterable[tuple[float, float, float | None, bool]]:
        """From, to, how much it grew (None: unknown), whether that is a gap."""
        usual = self.resolution
        for (start, before), (end, after) in pairwise(self.points):
            if end <= start:
                continue
            gap = end - start > GAP * usual
            grown = after - before if after >= before else None if gap else after
            yield start, end, grown, gap

    def between(self, start: float, end: float) -> Counted | None:
        """What was counted between two instants; None when too little of the window was sampled."""
        calls = seconds = 0.0
        for begin, finish, grown, gap in self._steps():
            overlap = min(end, finish) - max(start, begin)
            if overlap <= 0 or grown is None:
                continue
            whole = overlap >= 0.9 * (finish - begin)
            if gap and not whole and grown:  # it is not known which part of it belongs here
                continue
            calls += grown * overlap / (finish - begin)
            seconds += overlap
        if end <= start or seconds < COVERED * (end - start):
            return None
        return Counted(calls, seconds)

    def rates(self, start: float, end: float) -> list[Rate]:
        """The rate from sample to sample, of steps that lie (for the greater part) between two instants; gaps are left out."""
        return [
            Rate(begin, finish, grown)
            for begin, finish, grown, gap in self._steps()
            if grown is not None and not gap and min(end, finish) - max(start, begin) >= 0.5 * (finish - begin)
        ]


def add_up(counters: Sequence[Counter]) -> Counter:
    """Several counters as one: where all are known, at the instants of the first, each read between its samples."""
    if len(counters) == 1:
        return counters[0]
    if not counters or any(not counter.points for counter in counters):
        return Counter(())
    first, *others = (_unbroken(counter) for counter in counters)
    found = []
    for at, value in first:
        parts = [_read(other, at) for other in others]
        if all(part is not None for part in parts):
            found.append((at, value + sum(part for part in parts if part is not None)))
    return Counter(tuple(found))


def _unbroken(counter: Counter) -> list[tuple[float, float]]:
    """Its points as if it had never begun anew; what a gap hides is left out."""
    total, found = 0.0, [(counter.points[0][0], 0.0)] if counter.points else []
    for (_, before), (at, after) in pairwise(counter.points):
        total += after - before if after >= before else after
        found.append((at, total))
    return found


def _read(points: Sequence[tuple[float, float]], at: float) -> float | None:
    for (start, before), (end, after) in pairwise(points):
        if start <= at <= end:
            return before + (after - before) * (at - start) / (end - start) if end > start else after
    return None
