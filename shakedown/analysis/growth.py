"""Does a series grow over repetitions? Measured at the same point of each cycle, judged with an interval.

The slope is Theil and Sen's (the median of all pairwise slopes, so that single outliers move nothing); its interval is
the one that inverts Kendall's tau (Sen, 1968), as `scipy.stats.theilslopes` computes it. The growth over the window is
the slope times the window's length, relative to the fitted start.

* **grows**: the interval's low end is above zero, the growth exceeds the limit, the second half still rises, and the
  minima of successive blocks rise (so that a saturating warm-up, a saw-tooth or a single step is not called growth).
* **steady**: the interval's high end stays below the limit.
* otherwise **unsettled**: the repetitions do not say; more of them would.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import theilslopes

__all__ = ["Growth", "GrowthVerdict", "judge_growth"]

MIN_CYCLES = 5
WARM_UP_SHARE = 0.25
CONFIDENCE = 0.95


class GrowthVerdict(StrEnum):
    """What the repetitions say about a series."""

    GROWS = "grows"
    STEADY = "steady"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Growth:
    """The trend of one series over the cycles that count.

    Attributes:
        cycles: how many were judged, warm-up left out.
        start, end: the fitted line at the first and last of them, in the series' unit.
        growth, low, high: relative growth over the window, and its 95 % interval (fractions of the start).
        per_cycle: the slope, in the series' unit per cycle.
        reason: why the verdict is what it is.
    """

    verdict: GrowthVerdict
    cycles: int
    start: float
    end: float
    growth: float
    low: float
    high: float
    per_cycle: float
    reason: str


def judge_growth(values: Sequence[float], *, max_growth: float) -> Growth:
    """Judge one value per cycle, in order.

    Args:
        values: the series, one reading per repetition; the first quarter is left out as warm-up.
        max_growth: the relative growth over the judged window that is allowed (0.25 is 25 %).
    """
    warm_up = int(len(values) * WARM_UP_SHARE)
    y = np.asarray(values[warm_up:], dtype=float)
    n = len(y)
    if n < MIN_CYCLES:
        reason = f"{n} cycles after warm-up; at least {MIN_CYCLES} are needed"
        first, last = (float(y[0]), float(y[-1])) if n else (0.0, 0.0)
        return Growth(GrowthVerdict.UNSETTLED, n, first, last, 0.0, 0.0, 0.0, 0.0, reason)
    x = np.arange(n, dtype=float)
    slope, intercept, slope_low, slope_high = (float(value) for value in theilslopes(y, x, CONFIDENCE))
    span = n - 1
    start = intercept
    base = max(abs(start), 1e-12)
    growth, low, high = slope * span / base, slope_low * span / base, slope_high * span / base
    verdict, reason = _decide(y, growth, low, high, max_growth)
    return Growth(verdict, n, start, start + slope * span, growth, low, high, slope, reason)


def _decide(y: np.ndarray, growth: float, low: float, high: float, limit: float) -> tuple[GrowthVerdict, str]:
    half = len(y) // 2
    still_rising = _slope(y[half:]) > 0.25 * max(_slope(y[: half + 1]), 0.0)
    minima = [float(block.min()) for block in np.array_split(y, min(4, len(y) // 2))]
    minima_rise = all(later > earlier for earlier, later in itertools.pairwise(minima))
    if low > 0 and growth > limit and still_rising and minima_rise:
        return GrowthVerdict.GROWS, "the interval lies above zero, the growth exceeds the limit, and it goes on rising"
    if high <= limit:
        return GrowthVerdict.STEADY, "the interval's high end stays within the limit"
    if growth <= limit:
        return GrowthVerdict.UNSETTLED, "the interval is too wide for so few cycles"
    return GrowthVerdict.UNSETTLED, "it rose, but levelled off or fell back: a warm-up, a step or a saw-tooth"


def _slope(y: np.ndarray) -> float:
    return float(theilslopes(y, np.arange(len(y), dtype=float))[0]) if len(y) > 1 else 0.0
