"""Where a series of runs changed its level, and stayed there.

E-divisive (Matteson and James, 2014): of all places to cut, the one at which the two sides differ most by their energy,

    Q = mn/(m+n) · (2·E|X−Y| − E|X−X′| − E|Y−Y′|),

is a change when hardly any shuffling of the runs has a cut that good; then each side is looked at by itself. It asks for
no distribution and finds changes of spread too, so a change whose level moved less than what matters is left out.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shakedown.analysis.regression import Yardstick

__all__ = ["FEWEST_RUNS", "ChangePoint", "find_changes"]

FEWEST_RUNS = 20
MOST_RUNS = 200  # the last ones; what is older was looked at when it was new
SIDE = 5  # fewest runs on either side of a change
SHUFFLES = 199
LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change of level.

    Attributes:
        at: index of the first run of the new level.
        before, after: medians from the change before, and until the next one.
        chance: that shuffled runs have a cut as good.
    """

    at: int
    before: float
    after: float
    chance: float

    @property
    def shift(self) -> float | None:
        """The relative change; None from zero."""
        return self.after / self.before - 1 if self.before else None


def find_changes(values: Sequence[float], rod: Yardstick, seed: int = 0) -> list[ChangePoint]:
    """The changes of level in time; none in fewer than 20 runs.

    Args:
        values: one for each run, in time.
        rod: by how much a level must move to matter.
        seed: of the shuffles; the same seed gives the same answer.
    """
    if len(values) < FEWEST_RUNS:
        return []
    skipped = max(0, len(values) - MOST_RUNS)
    raw = np.asarray(values[skipped:], dtype=float)
    x = np.log(raw) if rod.logs and raw.min() > 0 else raw
    rng = np.random.default_rng(seed)
    cuts: dict[int, float] = {}
    pending = [(0, len(x))]
    while pending:
        start, end = pending.pop()
        found = _cut(x[start:end], rng)
        if found is not None:
            at, chance = found
            cuts[start + at] = chance
            pending += [(start, start + at), (start + at, end)]
    return _levels(raw, cuts, rod, skipped)


def _levels(raw: np.ndarray, cuts: dict[int, float], rod: Yardstick, skipped: int) -> list[ChangePoint]:
    """Cuts whose levels differ by what matters; without one that does not, its neighbours are looked at anew."""
    places = sorted(cuts)
    while True:
        edges = [0, *places, len(raw)]
        levels = [float(np.median(raw[start:end])) for start, end in itertools.pairwise(edges)]
        steps = [abs(levels[number + 1] - levels[number]) - rod.least(levels[number]) for number in range(len(places))]
        if not steps or min(steps) > 0:
            return [
                ChangePoint(skipped + at, levels[number], levels[number + 1], cuts[at])
                for number, at in enumerate(places)
            ]
        del places[steps.index(min(steps))]


def _cut(x: np.ndarray, rng: np.random.Generator) -> tuple[int, float] | None:
    """The best place to cut, and the chance of one as good by accident; None when that is not small."""
    if len(x) < 2 * SIDE:
        return None
    distances = np.abs(x[:, None] - x[None, :])
    gains = _gains(distances)
    best = int(gains.argmax())
    as_good, allowed = 0, int(LEVEL * (SHUFFLES + 1)) - 1
    for _ in range(SHUFFLES):
        order = rng.permutation(len(x))
        as_good += bool(_gains(distances[np.ix_(order, order)]).max() >= gains[best] - 1e-12)
        if as_good > allowed:
            return None
    return best + SIDE, (as_good + 1) / (SHUFFLES + 1)


def _gains(distances: np.ndarray) -> np.ndarray:
    """The energy Q of each cut, from all pairs' distances."""
    n = len(distances)
    cuts = np.arange(SIDE, n - SIDE + 1)
    # Sums over the square of what lies left of a cut: each row adds its part below the diagonal, twice.
    steps = np.tril(distances, -1).sum(axis=1)
    left = 2 * np.cumsum(steps)[cuts - 1]
    whole = distances.sum()
    rows = np.cumsum(distances.sum(axis=1))[cuts - 1]  # everything in the rows left of the cut
    across = rows - left
    right = whole - left - 2 * across
    m, k = cuts.astype(float), (n - cuts).astype(float)
    gains: np.ndarray = m * k / (m + k) * (2 * across / (m * k) - left / (m * (m - 1)) - right / (k * (k - 1)))
    return gains
