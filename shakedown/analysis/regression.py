"""Is one group of runs slower than another, or a new run slower than those before it?

The run is the unit: requests of one run share its noise, and pooling them calls a quarter of all pairs of equal runs
different (`benchmarks/README.md` has the rates). Two rules:

*Several runs a side* (`compare`). d = mean(ln b) − mean(ln a), its standard error √(s²a/ka + s²b/kb) and degrees of
freedom as Welch (1947) has them, and the 90 % interval of d against a least effect δ:

    ────────┼──────────┼──────────┼────────▶ d
         ln(1−δ)       0       ln(1+δ)
    improved ]                    [ regressed        the whole interval lies beyond
               [    unchanged   ]                    the whole interval lies within
             anything else: inconclusive, and about how many runs a side would tell

*One new run* (`look_back`): it is *suspect* beyond the median of the runs before by more than max(δ, 3 · 1.4826 · MAD);
three such runs in a row are a regression. Of several figures at once some would be beyond by chance: both rules are
corrected step by step (Holm, 1979).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from shakedown.records.figures import Change, Difference, FigureName, Outlook

__all__ = [
    "FEWEST_BEFORE", "IN_A_ROW", "MOST_BEFORE", "Yardstick", "compare", "look_back",
    "runs_needed", "split_history", "yardstick",
]  # fmt: skip

CONFIDENCE = 0.90
ALPHA = (1 - CONFIDENCE) / 2  # of each side
POWER = 0.8
FEWEST_BEFORE = 8
MOST_BEFORE = 20
IN_A_ROW = 3
WIDTHS = 3.0
NORMAL = 1.4826  # the standard deviation of normal noise over its median absolute deviation
BLIND = 4.0  # a limit this many least effects away sees nothing that matters
MOST_RUNS = 500


@dataclass(frozen=True, slots=True)
class Yardstick:
    """By how much a figure must change to matter.

    Attributes:
        effect: the least relative change that matters.
        floor: the least absolute change that matters, in the figure's unit.
        more_is_better: throughput; of everything else less is.
        logs: compare logarithms; False where zero is a common value, then differences are compared.
    """

    effect: float
    floor: float = 0.0
    more_is_better: bool = False
    logs: bool = True

    def least(self, usual: float) -> float:
        """The least change of a usual value that matters, in the figure's unit."""
        return max(self.effect * abs(usual), self.floor)


_YARDSTICKS = {
    "p99": Yardstick(0.10),
    "throughput": Yardstick(0.05, more_is_better=True),
    "error_rate": Yardstick(0.0, floor=0.005, logs=False),
    "memory": Yardstick(0.10, floor=4e6),
    "recovery": Yardstick(0.20, floor=0.5, logs=False),
    "seconds": Yardstick(0.10, floor=0.5),
}


def yardstick(metric: str, effect: float | None = None) -> Yardstick:
    """The yardstick of a metric: 5 %, p99 10 %, error rates half a percentage point.

    Args:
        effect: another least effect, of the metrics whose default is 5 %.
    """
    known = _YARDSTICKS.get(metric, Yardstick(0.05))
    return replace(known, effect=effect) if effect is not None and known.effect == 0.05 else known


# ---------------------------------------------------------------------------------------------- several runs a side
@dataclass(frozen=True, slots=True)
class _Welch:
    d: float  # positive is worse
    error: float
    freedom: float
    worse_by: float  # the least effect upwards, in the scale of d
    better_by: float  # and downwards, positive

    def tail(self, t: float) -> float:
        """P(T ≥ t)."""
        return float(special.stdtr(self.freedom, -t))

    def beyond(self) -> tuple[float, float]:
        """The chances that what is no regression, or no improvement, looks like this."""
        if self.error == 0:
            return float(self.d <= self.worse_by), float(self.d >= -self.better_by)
        return self.tail((self.d - self.worse_by) / self.error), self.tail((-self.better_by - self.d) / self.error)

    def interval(self) -> tuple[float, float]:
        """The 90 % interval of d."""
        half = float(special.stdtrit(self.freedom, 1 - ALPHA)) * self.error if self.error else 0.0
        return self.d - half, self.d + half


def _welch(a: Sequence[float], b: Sequence[float], rod: Yardstick) -> tuple[_Welch, bool]:
    """Welch's statistic, and whether it is of logarithms."""
    logs = rod.logs and min(*a, *b) > 0
    usual = float(np.exp(np.mean(np.log(a)))) if logs else float(np.mean(a))
    share = rod.least(usual) / usual if usual > 0 else 0.0
    x, y = (np.log(a), np.log(b)) if logs else (np.asarray(a, float), np.asarray(b, float))
    d = float(np.mean(y) - np.mean(x))
    up, down = (math.log1p(share), -math.log1p(-min(share, 0.99))) if logs else (rod.least(usual),) * 2
    if rod.more_is_better:
        d, up, down = -d, down, up
    parts = [(float(np.var(side, ddof=1)) / len(side), len(side) - 1) for side in (x, y)]
    variance = sum(part for part, _ in parts)
    if variance < 1e-24:
        return _Welch(d, 0.0, 1.0, up, down), logs
    freedom = variance**2 / sum(part**2 / left for part, left in parts)
    return _Welch(d, math.sqrt(variance), freedom, up, down), logs


def compare(
    sides: Mapping[FigureName, tuple[Sequence[float], Sequence[float]]],
    *,
    effect: float | None = None,
    spread: Mapping[FigureName, float] | None = None,
) -> dict[FigureName, Difference]:
    """Two groups of runs by every figure that both have.

    Args:
        sides: of each figure, one value for each run before and after.
        effect: the least change that matters, instead of 5 %.
        spread: where known from earlier runs, the standard deviation of each figure's logarithm, for the number of runs
            that is needed where a side has only one.
    """
    found: dict[FigureName, Difference] = {}
    tested: dict[FigureName, tuple[_Welch, float]] = {}
    for name, (a, b) in sides.items():
        rod = yardstick(name.metric, effect)
        if min(len(a), len(b)) < 2:
            found[name] = _too_few(name, a, b, rod, (spread or {}).get(name))
            continue
        welch, logs = _welch(a, b, rod)
        tested[name] = welch, min(welch.beyond())
        found[name] = _interval(welch, a, b, logs=logs, flipped=rod.more_is_better)
    corrected = _holm({name: chance for name, (_, chance) in tested.items()})
    for name, (welch, _) in tested.items():
        found[name] = _settle(found[name], welch, corrected[name], len(tested))
    return found


def _mean(values: Sequence[float], *, logs: bool) -> float | None:
    if not len(values):
        return None
    return float(np.exp(np.mean(np.log(values)))) if logs and min(values) > 0 else float(np.mean(values))


def _too_few(
    name: FigureName, a: Sequence[float], b: Sequence[float], rod: Yardstick, spread: float | None
) -> Difference:
    before, after = _mean(a, logs=rod.logs), _mean(b, logs=rod.logs)
    relative = rod.logs
    shift = None
    if before is not None and after is not None:
        shift = after - before if not relative else after / before - 1 if before > 0 else None
    needed = None
    if spread is not None and relative:
        needed = runs_needed(spread, math.log1p(yardstick(name.metric).effect), 0.0)
    return Difference(
        Change.INCONCLUSIVE, before, after, (len(a), len(b)), shift, needed=needed, relative=relative,
        reason="one run has no spread: two a side are the least" if len(a) and len(b) else "only one side has it",
    )  # fmt: skip


def _interval(welch: _Welch, a: Sequence[float], b: Sequence[float], *, logs: bool, flipped: bool) -> Difference:
    low, high = welch.interval()
    d = welch.d
    if flipped:
        low, high, d = -high, -low, -d
    if logs:
        d, low, high = math.expm1(d), math.expm1(min(low, 700.0)), math.expm1(min(high, 700.0))
    return Difference(
        Change.INCONCLUSIVE, _mean(a, logs=logs), _mean(b, logs=logs), (len(a), len(b)), d, low, high, relative=logs
    )


def _settle(found: Difference, welch: _Welch, chance: float, figures: int) -> Difference:
    """The verdict. Only claims of a change are corrected: of `unchanged` each figure speaks for itself."""
    low, high = welch.interval()
    if chance <= ALPHA:
        worse = welch.d > 0
        return replace(found, change=Change.REGRESSED if worse else Change.IMPROVED, chance=chance)
    if low > -welch.better_by and high < welch.worse_by:
        return replace(found, change=Change.UNCHANGED, chance=chance)
    runs = sum(found.runs)
    pooled = welch.error / math.sqrt(1 / found.runs[0] + 1 / found.runs[1]) if runs else 0.0
    beyond = welch.d > welch.worse_by or welch.d < -welch.better_by
    margin = welch.worse_by if welch.d > 0 else welch.better_by
    needed = runs_needed(pooled, margin, abs(welch.d), ALPHA / figures if beyond else ALPHA)
    return replace(
        found, chance=chance, needed=needed, reason="the interval does not lie on one side of the least effect"
    )


def _holm(chances: Mapping[FigureName, float]) -> dict[FigureName, float]:
    """Holm's step-down correction: the chance of one false claim among all is bounded, not of each."""
    corrected: dict[FigureName, float] = {}
    worst = 0.0
    for rank, (name, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, chance * (len(chances) - rank)))
        corrected[name] = worst
    return corrected


def runs_needed(spread: float, margin: float, shift: float, alpha: float = ALPHA) -> int | None:
    """About how many runs a side tell on which side of the margin a shift lies, four times of five.

    n = 2 s² (t₁₋ₐ + t₀.₈)² / distance², with 2n − 2 degrees of freedom; None beyond 500: the shift is the margin itself.

    Args:
        spread: standard deviation between runs, in the scale of margin and shift.
    """
    distance = abs(abs(shift) - margin)
    if spread == 0:
        return 2
    for n in range(2, MOST_RUNS + 1):
        freedom = 2 * n - 2
        reach = float(special.stdtrit(freedom, 1 - alpha) + special.stdtrit(freedom, POWER))
        if 2 * (spread * reach) ** 2 <= n * distance**2:
            return n
    return None


# ------------------------------------------------------------------------------------------------------ one new run
def split_history(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The runs before, and the new run with up to two before it that may have been the first to show what it shows.

    Args:
        values: of all comparable runs in time, the new one last.
    """
    repeats = min(IN_A_ROW - 1, max(0, len(values) - 1 - FEWEST_BEFORE))
    cut = len(values) - 1 - repeats
    return values[max(0, cut - MOST_BEFORE) : cut], values[cut:]


def look_back(
    histories: Mapping[FigureName, Sequence[float]], *, effect: float | None = None
) -> dict[FigureName, Outlook]:
    """The newest run beside those before it, by every figure.

    Args:
        histories: of each figure, the values of all comparable runs in time, the new one last.
        effect: the least change that matters, instead of 5 %.
    """
    found: dict[FigureName, Outlook] = {}
    ranked: list[tuple[float, FigureName]] = []
    for name, values in histories.items():
        before, new = split_history(values)
        if len(before) < FEWEST_BEFORE:
            reason = f"{len(values) - 1} comparable runs with this figure, {FEWEST_BEFORE} needed"
            found[name] = Outlook(Change.INCONCLUSIVE, values[-1], runs=len(values) - 1, reason=reason)
            continue
        usual, spread = _usual(before)
        away = abs(new[-1] - usual)
        ranked.append((away / spread if spread else math.inf if away else 0.0, name))
    for rank, (_, name) in enumerate(sorted(ranked, key=lambda item: -item[0])):
        found[name] = _look(histories[name], yardstick(name.metric, effect), len(ranked) - rank)
    return {name: found[name] for name in histories}


def _usual(before: Sequence[float]) -> tuple[float, float]:
    """Median, and the spread by the median absolute deviation."""
    usual = float(np.median(before))
    return usual, NORMAL * float(np.median(np.abs(np.asarray(before) - usual)))


def _widths(runs: int, figures: int) -> float:
    """Three, or what makes several figures together as seldom beyond by chance as one is (Student's t)."""
    if figures == 1:
        return WIDTHS
    return float(-special.stdtrit(runs - 1, special.stdtr(runs - 1, -WIDTHS) / figures))


def _look(values: Sequence[float], rod: Yardstick, figures: int) -> Outlook:
    before, new = split_history(values)
    usual, spread = _usual(before)
    least = rod.least(usual)
    tolerance = max(least, _widths(len(before), figures) * spread)
    worse = -1.0 if rod.more_is_better else 1.0
    limit = usual + worse * tolerance

    def row(direction: float) -> int:
        count = 0
        for value in reversed(new):
            if direction * (value - usual) <= tolerance:
                break
            count += 1
        return count

    up, down = row(worse), row(-worse)
    change, reason = Change.UNCHANGED, ""
    if up >= IN_A_ROW:
        change, reason = Change.REGRESSED, f"{up} runs in a row are beyond the limit"
    elif up:
        left = IN_A_ROW - up
        change = Change.SUSPECT
        reason = (
            f"{'one run is' if up == 1 else f'{up} runs are'} beyond the limit; {left} more in a row would confirm it"
        )
    elif down >= IN_A_ROW:
        change = Change.IMPROVED
    elif least and tolerance > BLIND * least:
        change = Change.INCONCLUSIVE
        reason = f"these runs scatter so much that only a change of {tolerance / usual:.0%} would show" if usual else ""
    return Outlook(change, new[-1], usual, limit, len(before), up, reason)
