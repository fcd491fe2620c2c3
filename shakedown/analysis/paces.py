"""How long tests take over repetitions: which of them get slower, and which are slow.

A test *gets slower* when its durations grow over the repetitions of a suite, or over its runs within one process
(`count`), as `analysis.growth` judges growth: a trend, not a warm-up, a step or noise. A machine that gets busier makes
every test slower; so each duration is divided by the pace of its repetition, which is the median over all tests of
their duration against their own median. What grows by itself and against the others is the test's own. A suite has many
tests, and each is a chance of a false alarm: before the rule is asked, the correlation with time (Kendall, 1938) must be
less probable than 5 % divided by the number of tests that are looked at.

A test is *slow* in three ways: beyond the suite's own `slow` limit; near its time-out; or, without a limit, at least
`FAR` times as long as the longest of all the others, where at most one test in twenty stands out like that.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from scipy.stats import kendalltau

from shakedown.analysis.growth import DEFAULT_LIMIT, Growth, GrowthVerdict, judge_growth
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus

__all__ = ["DriftingTest", "SlowTest", "drifting_tests", "slow_tests"]

LEAST = 0.01  # seconds: a test below it is measured too coarsely to drift, and nobody waits for it
LEAST_GROWTH = 0.005  # seconds
FEWEST = 6  # points of a series
CHANCE = 0.05
FOR_PACE = 8  # tests from which on their median is the suite's pace, and not one of them
FAR = 5.0  # times the longest of the others
LONG = 1.0  # seconds from which on anybody waits for a test
STANDING_OUT = 0.05  # of the tests, at most
NEAR = 0.8  # of the time-out


@dataclass(frozen=True, slots=True)
class DriftingTest:
    """A test that gets slower.

    Attributes:
        within: over its runs within one process; otherwise over repetitions.
        growth: of its duration, in seconds; against the pace of the suite where that could be told.
        command: repeats the last of the executions.
    """

    suite: str
    test: str
    within: bool
    growth: Growth
    command: str


@dataclass(frozen=True, slots=True)
class SlowTest:
    """A test that takes long.

    Attributes:
        typical: the median of its runs, seconds.
        longest: seconds.
        why: against what it is slow, in words.
    """

    suite: str
    test: str
    runs: int
    typical: float
    longest: float
    why: str


# ------------------------------------------------------------------------------------------------------- getting slower
def drifting_tests(results: Sequence[SuiteResult]) -> list[DriftingTest]:
    """Tests whose passing runs take longer and longer; repetitions with the most frequent number of processes count.

    Each test is named once; growth within one process goes before growth over repetitions, as it explains more.
    """
    found: list[DriftingTest] = []
    for suite, executions in _by_suite(results).items():
        within = _judged(suite, executions, _within(executions), within=True)
        named = {one.test for one in within}
        over = _judged(suite, executions, _over(executions), within=False)
        found += within + [one for one in over if one.test not in named]
    return sorted(found, key=lambda one: (one.suite, -one.growth.growth))


def _by_suite(results: Iterable[SuiteResult]) -> dict[str, list[SuiteResult]]:
    """The executions of each suite that had the same number of processes: the most frequent one."""
    groups: dict[str, dict[int, list[SuiteResult]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        groups[result.suite][result.workers].append(result)
    return {suite: max(by.values(), key=len) for suite, by in groups.items()}


Series = dict[str, dict[int, float]]  # by test: position in time and seconds


def _passed(result: SuiteResult) -> dict[str, list[float]]:
    """The durations of each test in one execution, in order; a run that failed says nothing of how long it takes."""
    found: dict[str, list[float]] = defaultdict(list)
    for outcome in result.outcomes:
        if outcome.status is TestStatus.PASSED:
            found[outcome.test].append(outcome.duration)
    return found


def _over(executions: Sequence[SuiteResult]) -> Series:
    """One value for each execution: the mean of its runs in it."""
    series: Series = defaultdict(dict)
    for position, result in enumerate(executions):
        for test, durations in _passed(result).items():
            series[test][position] = fmean(durations)
    return series


def _within(executions: Sequence[SuiteResult]) -> Series:
    """One value for each run within a process: its median over the executions."""
    runs: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in executions:
        for test, durations in _passed(result).items():
            for position, duration in enumerate(durations):
                runs[test][position].append(duration)
    return {test: {at: median(values) for at, values in by.items()} for test, by in runs.items()}


def _judged(suite: str, executions: Sequence[SuiteResult], series: Series, *, within: bool) -> list[DriftingTest]:
    long_enough = {
        test: values for test, values in series.items() if len(values) >= FEWEST and median(values.values()) >= LEAST
    }
    # Runs of one test within a process follow each other at once: what disturbs them disturbs no other test.
    pace = {} if within else _pace(long_enough)
    found = []
    for test, values in long_enough.items():
        raw = [values[at] for at in sorted(values)]
        against = [values[at] / pace.get(at, 1.0) for at in sorted(values)]
        if not all(_rises(one, len(long_enough)) for one in (raw, against)):
            continue
        growths = [judge_growth(one, max_growth=DEFAULT_LIMIT, unit=LEAST_GROWTH) for one in (raw, against)]
        if all(growth.verdict is GrowthVerdict.GROWS for growth in growths):
            found.append(DriftingTest(suite, test, within, growths[-1], executions[-1].command))
    return found


def _pace(series: Series) -> dict[int, float]:
    """How fast each repetition was as a whole: the median over its tests of duration against the test's median."""
    if len(series) < FOR_PACE:
        return {}
    ratios: dict[int, list[float]] = defaultdict(list)
    for values in series.values():
        middle = median(values.values())
        for position, duration in values.items():
            ratios[position].append(duration / middle)
    return {position: median(values) or 1.0 for position, values in ratios.items()}


def _rises(values: Sequence[float], looked_at: int) -> bool:
    """Whether it rises at all, by no chance among so many that are looked at, and by enough to matter."""
    quarter = max(len(values) // 4, 2)
    first, last = median(values[:quarter]), median(values[-quarter:])
    if last - first < max(DEFAULT_LIMIT / 2 * first, LEAST_GROWTH):
        return False
    outcome = kendalltau(range(len(values)), values, alternative="greater")
    return not math.isnan(outcome.pvalue) and float(outcome.pvalue) < CHANCE / looked_at


# ----------------------------------------------------------------------------------------------------------------- slow
def slow_tests(
    results: Iterable[SuiteResult], *, limit: float | None = None, timeout: float | None = None
) -> list[SlowTest]:
    """The slow tests of one suite, slowest first.

    Args:
        results: executions of one suite.
        limit: seconds beyond which the suite calls a test slow; without it, one is slow far beyond all the others.
        timeout: seconds after which a test is ended.
    """
    runs: dict[str, list[TestOutcome]] = defaultdict(list)
    suite = ""
    for result in results:
        suite = result.suite
        for outcome in result.outcomes:
            if outcome.status in (TestStatus.PASSED, TestStatus.FAILED, TestStatus.ERROR):
                runs[outcome.test].append(outcome)
    typical = {test: median(one.duration for one in seen) for test, seen in runs.items()}
    if limit is not None:
        why = {test: f"beyond the suite's limit of {limit:g} s" for test, took in typical.items() if took > limit}
    else:
        why = _far_beyond(typical)
    found = []
    for test, seen in runs.items():
        longest = max(one.duration for one in seen)
        if test not in why and timeout is not None and longest > NEAR * timeout:
            why[test] = f"near its time-out of {timeout:g} s"
        if test in why:
            found.append(SlowTest(suite, test, len(seen), typical[test], longest, why[test]))
    return sorted(found, key=lambda one: -one.typical)


def _far_beyond(typical: dict[str, float]) -> dict[str, str]:
    """The few tests that stand out: longer than `LONG`, and `FAR` times as long as the longest of the rest."""
    order = sorted(typical, key=lambda test: -typical[test])
    most = max(int(len(order) * STANDING_OUT), 1)
    for number in range(min(most, len(order) - 1), 0, -1):
        least, next_one = typical[order[number - 1]], typical[order[number]]
        if least >= LONG and least >= FAR * next_one:
            words = f"the longest of the {len(order) - number} others takes {next_one:.2g} s"
            return dict.fromkeys(order[:number], words)
    return {}
