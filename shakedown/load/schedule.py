"""Due times of an open model, each computed from the start and never from the one before: errors do not add up.

A rate r(t) gives Λ(t) = ∫₀ᵗ r, the number of arrivals expected by t. Even arrivals fall where Λ reaches 0, 1, 2, …; those
of a Poisson process where Λ reaches the sums of exponential variates of mean 1 (the time change of an inhomogeneous
Poisson process, Çinlar 1975), so that both need nothing but the inverse of Λ.
"""

import itertools
import json
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shakedown.errors import LoadError
from shakedown.plan.executors import Burst, ConstantArrivalRate, OpenModel, RampingArrivalRate, Replay

__all__ = ["Arrivals", "Ramp", "Rate", "Recording", "profile_of", "read_offsets"]

_ROUNDING = 1e-9


class Rate(Protocol):
    """How many arrivals are expected by when; offsets in seconds from the start."""

    @property
    def total(self) -> float:
        """Arrivals expected in all."""

    def expected(self, offset: float) -> float:
        """Λ: arrivals expected by an offset."""

    def offset(self, number: float) -> float:
        """Λ⁻¹: when that many are expected."""


class Ramp:
    """A rate that is linear in each of its pieces.

    Args:
        start: arrivals per second at the beginning.
        pieces: (arrivals per second at the end, seconds); a piece of no length is a jump.
    """

    def __init__(self, start: float, pieces: Sequence[tuple[float, float]]) -> None:
        self._pieces: list[tuple[float, float, float]] = []  # length, rate at its start, slope
        rate = start
        for target, length in pieces:
            if length > 0:
                self._pieces.append((length, rate, (target - rate) / length))
            rate = target
        areas = [(first + slope * length / 2) * length for length, first, slope in self._pieces]
        self._counts = [0.0, *itertools.accumulate(areas)]
        self._times = [0.0, *itertools.accumulate(length for length, _, _ in self._pieces)]

    @property
    def total(self) -> float:
        """Arrivals expected in all."""
        return self._counts[-1]

    def expected(self, offset: float) -> float:
        """Arrivals expected by an offset."""
        if offset <= 0:
            return 0.0
        index = min(bisect_right(self._times, offset) - 1, len(self._pieces) - 1)
        length, first, slope = self._pieces[index]
        inside = min(offset - self._times[index], length)
        return self._counts[index] + (first + slope * inside / 2) * inside

    def offset(self, number: float) -> float:
        """When that many arrivals are expected."""
        index = min(max(bisect_left(self._counts, number) - 1, 0), len(self._pieces) - 1)
        _, first, slope = self._pieces[index]
        wanted = max(number - self._counts[index], 0.0)
        if wanted == 0:
            # The first arrival of a ramp from nothing is due at once; one on a seam, where the seam is.
            return self._times[index]
        # The root of slope/2·t² + first·t = wanted that needs no difference of nearly equal numbers.
        root = first + math.sqrt(max(first * first + 2 * slope * wanted, 0.0))
        return self._times[index] + 2 * wanted / root if root else self._times[index + 1]


class Recording:
    """Recorded offsets, ascending."""

    def __init__(self, offsets: Sequence[float]) -> None:
        self._offsets = offsets

    @property
    def total(self) -> float:
        """Arrivals in all."""
        return float(len(self._offsets))

    def expected(self, offset: float) -> float:
        """Arrivals recorded before an offset."""
        return float(bisect_left(self._offsets, offset))

    def offset(self, number: float) -> float:
        """When the arrival of that number is due."""
        return self._offsets[min(int(number), len(self._offsets) - 1)]


def profile_of(executor: OpenModel, base: Path | None = None) -> Rate:
    """The rate of an open model.

    Args:
        base: the folder that the file of a replay starts from.

    Raises:
        LoadError: a recording cannot be read.
    """
    match executor:
        case ConstantArrivalRate():
            rate = executor.rate / executor.time_unit
            return Ramp(rate, [(rate, executor.duration)])
        case RampingArrivalRate():
            unit = executor.time_unit
            pieces = [(stage.target / unit, stage.duration) for stage in executor.stages]
            return Ramp(executor.start_rate / unit, pieces)
        case Burst():
            if executor.duration > 0:
                rate = executor.count / executor.duration
                return Ramp(rate, [(rate, executor.duration)])
            return Recording([0.0] * executor.count)
        case Replay():
            offsets = read_offsets((base or Path()) / executor.file)
            return Recording([at / executor.speed for at in offsets if at / executor.speed < executor.duration])
    raise TypeError(f"no open model: {executor}")


def read_offsets(path: Path) -> list[float]:
    """The offsets of a recording, seconds, from its first arrival on.

    Raises:
        LoadError: it cannot be read, holds none, or goes backwards.
    """
    offsets: list[float] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise LoadError(f"the recording {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            at = float(json.loads(line)["at"] if path.suffix.lower() in (".jsonl", ".ndjson") else line.split(",")[0])
        except (ValueError, KeyError, TypeError):
            if number == 1:  # a heading
                continue
            raise LoadError(f"{path}:{number}: not an offset in seconds: {line[:60]!r}") from None
        if not math.isfinite(at) or (offsets and at < offsets[-1]):
            raise LoadError(f"{path}:{number}: offsets are finite and ascend; {at:g} does not follow {offsets[-1:]}")
        offsets.append(at)
    if not offsets:
        raise LoadError(f"the recording {path} holds no offsets")
    return [at - offsets[0] for at in offsets]


@dataclass(slots=True)
class Arrivals:
    """The arrivals of a rate, or one worker's share of them.

    Attributes:
        start: the instant of the schedule's begin (any clock, seconds).
        seed: of a Poisson process; None for even arrivals. All shards need the same.
        shard, shards: this worker takes the arrivals whose number leaves the rest `shard`.
    """

    start: float
    rate: Rate
    seed: int | None = None
    shard: int = 0
    shards: int = 1
    _numbers: Iterator[float] | None = None
    _due: float | None = None

    def __post_init__(self) -> None:
        everything: Iterator[float]
        if self.seed is None:
            everything = iter(range(self.shard, math.ceil(self.rate.total - _ROUNDING), self.shards))
        else:
            everything = itertools.islice(self._poisson(self.seed), self.shard, None, self.shards)
        self._numbers = everything
        self.advance()

    def _poisson(self, seed: int) -> Iterator[float]:
        draw = random.Random(seed).expovariate  # noqa: S311 - repeatable arrivals, not cryptography
        reached = draw(1.0)
        while reached < self.rate.total:
            yield reached
            reached += draw(1.0)

    def due(self) -> float | None:
        """When the next arrival is due; None when there are no more."""
        return self._due

    def advance(self) -> None:
        """The next arrival was released."""
        assert self._numbers is not None  # noqa: S101 - set when it was made
        number = next(self._numbers, None)
        self._due = None if number is None else self.start + self.rate.offset(number)
