"""Does a series grow over repetitions? Measured at the same point of each cycle, judged with an interval.

From 40 cycles on (`ENOUGH`), growth is *sustained* when all of this holds:

* a trend explains the series better than a warm-up that saturates, one step, two steps, or noise that wanders
  (`analysis.trend`), by more than `EVIDENCE`;
* the trend's growth over the window is at least 2 % of the median, and at least one unit;
* the last quarter's median lies above the first quarter's by half of that growth or more: it is there to be seen;
* it goes on: the second half alone rises by a quarter or more of what the trend gives it. A heap takes memory in jumps
  that get rarer, gives none back, and is flat at last: no shape of those above, and no leak;
* the lowest value of the last third lies above that of the first third, warm-up left out: a saw-tooth that falls back
  to where it was keeps nothing.

It is then *grows*, unless a limit was given and the growth stays within it; and *steady* when the trend's 95 % interval
ends below the limit. With fewer cycles a small leak cannot be told from noise or warm-up: only gross growth is called
*grows* (the interval of Theil and Sen's slope above zero, more than the limit, still rising, and the minima of
successive blocks rising), *steady* means that the interval ends below the limit, and the rest is *unsettled*, with the
number of cycles that would settle it. Where an earlier run of the same work did not grow, the difference from it, cycle by
cycle, is judged in the same way (`judge_difference`) and said beside the verdict, which it does not change.
Theil and Sen's slope is the median of all pairwise slopes; its interval inverts
Kendall's tau (Sen, 1968), as `scipy.stats.theilslopes` computes it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import theilslopes

from shakedown.analysis.trend import Trend, find_trend

__all__ = ["DEFAULT_LIMIT", "ENOUGH", "Growth", "GrowthVerdict", "judge_difference", "judge_growth"]

MIN_CYCLES = 5
ENOUGH = 40
EVIDENCE = 6.0
LEAST_SHARE, LEAST_UNITS = 0.02, 1.0
GOES_ON = 0.25
DEFAULT_LIMIT = 0.25  # what few cycles must stay below, and what is gross growth
WARM_UP_SHARE = 0.25
CONFIDENCE = 0.95
Z = 1.96
MOST_NEEDED = 2000


class GrowthVerdict(StrEnum):
    """What the repetitions say about a series."""

    GROWS = "grows"
    STEADY = "steady"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Growth:
    """The trend of one series over the cycles that count.

    Attributes:
        cycles: how many were judged.
        start, end: the trend's line at the first and last of them, in the series' unit.
        growth, low, high: relative growth over the window, and its 95 % interval (fractions of the start).
        per_cycle: the slope, in the series' unit per cycle.
        reason: why the verdict is what it is.
        needed: about how many cycles would settle it; None when it is settled.
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
    needed: int | None = None


def judge_growth(values: Sequence[float], *, max_growth: float | None = None, unit: float = LEAST_UNITS) -> Growth:
    """Judge one value per cycle, in order.

    Args:
        values: the series, one reading per repetition.
        max_growth: the relative growth over the judged window that is allowed (0.25 is 25 %). When it is not given, no
            sustained growth is, and few cycles are held against 25 %.
        unit: of the series: growth below it does not count (1 for counts and bytes, 1 ms for latencies).
    """
    y = np.asarray(values, dtype=float)
    if len(y) >= ENOUGH:
        return _judge_many(y, max_growth, unit)
    return _judge_few(y[int(len(y) * WARM_UP_SHARE) :], DEFAULT_LIMIT if max_growth is None else max_growth)


def judge_difference(
    now: Sequence[float], earlier: Sequence[float], *, max_growth: float | None = None, unit: float = LEAST_UNITS
) -> Growth | None:
    """Does a series grow more than the same one did in an earlier run, cycle by cycle? None with too few cycles of either.

    What both runs do alike (a warm-up of whatever form, a step, a saw-tooth that keeps time) is not in the difference; their noise
    is, twice. The difference is judged like a series of its own, on the level of the earlier run, without its first quarter: two
    warm-ups of different length leave a hump there.
    """
    n = min(len(now), len(earlier))
    if n < ENOUGH:
        return None
    before = np.asarray(earlier[:n], dtype=float)
    difference = np.asarray(now[:n], dtype=float) - before + float(np.median(before))
    return _judge_many(difference[int(n * WARM_UP_SHARE) :], max_growth, unit)


def _judge_many(y: np.ndarray, limit: float | None, unit: float) -> Growth:
    trend = find_trend(y)
    base = max(abs(trend.start), 1e-12)
    growth, error = trend.growth / base, Z * trend.error / base
    low, high = growth - error, growth + error
    verdict, reason = _decide(y, trend, growth, high, limit, unit)
    needed = _needed(trend, len(y)) if verdict is GrowthVerdict.UNSETTLED else None
    end = trend.start + trend.growth
    return Growth(verdict, len(y), trend.start, end, growth, low, high, trend.growth / (len(y) - 1), reason, needed)


def _decide(
    y: np.ndarray, trend: Trend, growth: float, high: float, limit: float | None, unit: float
) -> tuple[GrowthVerdict, str]:
    besides = f", beside {trend.shape}" if trend.shape else ""
    if _sustained(y, trend, unit):
        if limit is not None and high <= limit:
            return GrowthVerdict.STEADY, f"it grows from cycle to cycle{besides}, and stays within the limit"
        return GrowthVerdict.GROWS, (
            f"sustained growth{besides}: a trend explains the series better than "
            f"{trend.flat_shape or 'a constant'} and wandering noise (evidence {trend.evidence:.0f}, {EVIDENCE:.0f} needed)"
        )
    allowed = DEFAULT_LIMIT if limit is None else limit
    explained = trend.flat_shape or "noise"
    if high <= allowed or growth <= 0:
        return GrowthVerdict.STEADY, f"no sustained growth: {explained} explains the series as well as a trend"
    return GrowthVerdict.UNSETTLED, f"{explained} explains the series as well as a trend, and the noise could hide one"


def _sustained(y: np.ndarray, trend: Trend, unit: float) -> bool:
    quarter = len(y) // 4
    settled = y[quarter:]
    block = max(len(settled) // 3, 1)
    return (
        trend.evidence > EVIDENCE
        and trend.growth >= max(LEAST_SHARE * abs(float(np.median(y))), unit)
        and float(np.median(y[-quarter:]) - np.median(y[:quarter])) >= trend.growth / 2
        and _goes_on(y, trend)
        and float(settled[-block:].min()) > float(settled[:block].min())
    )


def _goes_on(y: np.ndarray, trend: Trend) -> bool:
    half = y[len(y) // 2 :]
    return _slope(half) * (len(half) - 1) >= GOES_ON * trend.growth / 2


def _needed(trend: Trend, n: int) -> int:
    """About how many cycles would show a trend like this one, or one of 0.1 % per cycle if that is more.

    The standard error of a slope over N equally spaced cycles is σ·√(12·(1+ρ)/(1−ρ))/N^1.5; four of them are wanted.
    """
    slope = max(abs(trend.growth) / (n - 1), 0.001 * abs(trend.start), 1e-12)
    spread = trend.noise * math.sqrt(12 * (1 + trend.correlation) / (1 - trend.correlation))
    return int(min(max(math.ceil((4 * spread / slope) ** (2 / 3)), n + 10), MOST_NEEDED))


# ------------------------------------------------------------------------------------------------------- few cycles
def _judge_few(y: np.ndarray, limit: float) -> Growth:
    n = len(y)
    if n < MIN_CYCLES:
        reason = f"{n} cycles after warm-up; at least {MIN_CYCLES} are needed"
        first, last = (float(y[0]), float(y[-1])) if n else (0.0, 0.0)
        return Growth(GrowthVerdict.UNSETTLED, n, first, last, 0.0, 0.0, 0.0, 0.0, reason, ENOUGH)
    x = np.arange(n, dtype=float)
    slope, start, slope_low, slope_high = (float(value) for value in theilslopes(y, x, CONFIDENCE))
    span = n - 1
    base = max(abs(start), 1e-12)
    growth, low, high = slope * span / base, slope_low * span / base, slope_high * span / base
    verdict, reason = _decide_few(y, growth, low, high, limit)
    needed = ENOUGH if verdict is GrowthVerdict.UNSETTLED else None
    return Growth(verdict, n, start, start + slope * span, growth, low, high, slope, reason, needed)


def _decide_few(y: np.ndarray, growth: float, low: float, high: float, limit: float) -> tuple[GrowthVerdict, str]:
    half = len(y) // 2
    still_rising = _slope(y[half:]) > 0.25 * max(_slope(y[: half + 1]), 0.0)
    minima = [float(block.min()) for block in np.array_split(y, min(4, len(y) // 2))]
    minima_rise = all(later > earlier for earlier, later in itertools.pairwise(minima))
    if low > 0 and growth > limit and still_rising and minima_rise:
        return GrowthVerdict.GROWS, "the interval lies above zero, the growth exceeds the limit, and it goes on rising"
    if high <= limit:
        return GrowthVerdict.STEADY, "the interval's high end stays within the limit"
    if growth <= limit:
        return GrowthVerdict.UNSETTLED, f"the interval is too wide for so few cycles; it takes about {ENOUGH}"
    return (
        GrowthVerdict.UNSETTLED,
        f"it rose, but levelled off or fell back: a warm-up, a step or a saw-tooth; it takes about {ENOUGH} cycles",
    )


def _slope(y: np.ndarray) -> float:
    return float(theilslopes(y, np.arange(len(y), dtype=float))[0]) if len(y) > 1 else 0.0
