"""Tests over repetitions: what k failures of n runs say, and what they do not.

Repetitions come in blocks: within a block nothing is varied, from block to block the order of the tests and the number
of processes may be. So a test that fails under some orders always, and under others never, is told from one that fails
by chance; and one that fails only beside others from one that fails alone, too.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scipy.stats import beta, binomtest, fisher_exact

from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus

__all__ = [
    "SharedFailure",
    "TestRecord",
    "fewest_runs",
    "merge_tests",
    "runs_needed",
    "shared_failures",
    "upper_bound",
]

CONFIDENCE = 0.95
CHANCE = 0.05  # what is less probable than this by chance is no chance
TOGETHER = 3  # so many tests that fail alike in one repetition have one cause


@dataclass(frozen=True, slots=True)
class TestRecord:
    """One test over all repetitions.

    Attributes:
        suite: its label.
        failures: how often it failed, in whatever way; `ways` says in which.
        bound: with 95 % confidence it fails less often than this (Clopper and Pearson, one-sided).
        low, high: Wilson's 95 % interval of its failure rate, for show.
        processes: in so many of them it ran; runs within one process (`count`) share its order, seeds and fixtures.
        kind: `none observed`, `flaky`, `broken`, `order-dependent` or `load-dependent`; never `stable`, which no number
            of runs shows.
        why: on what that kind rests, in words; empty where the count says it all.
        first: its first failure, and in which execution.
    """

    __test__ = False
    suite: str
    test: str
    runs: int
    failures: int
    longest: float
    bound: float
    low: float
    high: float
    kind: str
    why: str = ""
    ways: tuple[tuple[str, int], ...] = ()
    first: TestOutcome | None = None
    first_in: SuiteResult | None = field(default=None, compare=False)
    processes: int = 0


@dataclass(frozen=True, slots=True)
class SharedFailure:
    """Tests that failed alike in one repetition: one event, whatever their number."""

    suite: str
    repetition: int
    message: str
    tests: tuple[str, ...]
    command: str


def upper_bound(failures: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a failure rate: the beta quantile of Clopper and Pearson (1934).

    Raises:
        ValueError: there are no runs, or more failures than runs.
    """
    if not 0 <= failures <= runs or runs == 0:
        raise ValueError(f"{failures} failures of {runs} runs")
    return 1.0 if failures == runs else float(beta.ppf(confidence, failures + 1, runs - failures))


def runs_needed(rate: float, confidence: float = CONFIDENCE) -> int:
    """How many runs without a failure bound a failure rate below `rate`: the least n with (1 − rate)ⁿ ≤ 1 − confidence."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - rate))


def fewest_runs(results: Sequence[SuiteResult], enough: int = 0) -> int:
    """How often the test that ran least often ran; a skipped test does not count.

    When this reaches `runs_needed(rate)`, every test that never failed fails less often than `rate`. It looks at the
    number of runs alone, and not at how many failed: stopping at the first moment at which a rate with failures in it
    looks small enough would be right less often than the bound says.

    Args:
        enough: as soon as it is plain that there are fewer, 0 is the answer.
    """
    if not results:
        return 0
    most_each = max(Counter(outcome.test for outcome in results[-1].outcomes).values(), default=1)
    if len(results) * most_each < enough:
        return 0
    runs = Counter(
        (result.suite, outcome.test)
        for result in results
        for outcome in result.outcomes
        if outcome.status is not TestStatus.SKIPPED
    )
    return min(runs.values(), default=0)


@dataclass(slots=True)
class _Seen:
    """One run of one test."""

    failed: bool
    outcome: TestOutcome
    execution: SuiteResult


def merge_tests(results: Sequence[SuiteResult]) -> list[TestRecord]:
    """Each test's outcomes under its own name; skipped ones do not count as runs. Most failures first."""
    seen: dict[tuple[str, str], list[_Seen]] = defaultdict(list)
    for result in results:
        for outcome in result.outcomes:
            if outcome.status is not TestStatus.SKIPPED:
                seen[result.suite, outcome.test].append(_Seen(outcome.status.bad, outcome, result))
    records = [_record(suite, test, runs) for (suite, test), runs in seen.items()]
    return sorted(records, key=lambda record: (-record.failures, record.suite, record.test))


def _record(suite: str, test: str, runs: list[_Seen]) -> TestRecord:
    bad = [one for one in runs if one.failed]
    interval = binomtest(len(bad), len(runs)).proportion_ci(CONFIDENCE, method="wilson")
    kind, why = _kind(runs, len(bad))
    ways = Counter(one.outcome.status.value for one in bad)
    return TestRecord(
        suite, test, len(runs), len(bad), max(one.outcome.duration for one in runs), upper_bound(len(bad), len(runs)),
        float(interval.low), float(interval.high), kind, why, tuple(ways.most_common()),
        bad[0].outcome if bad else None, bad[0].execution if bad else None, len({id(one.execution) for one in runs}),
    )  # fmt: skip


def _kind(runs: list[_Seen], failures: int) -> tuple[str, str]:
    if failures == 0:
        return "none observed", ""
    if failures == len(runs):
        return "broken", ""
    if why := _by_order(runs):
        return "order-dependent", why
    if why := _by_load(runs):
        return "load-dependent", why
    return "flaky", ""


def _by_order(runs: list[_Seen]) -> str:
    """Why it depends on the order: the same order always gives the same outcome, more often than chance would.

    Several processes share the tests out as they go, so that a seed fixes the order of one process alone.
    """
    runs = [one for one in runs if one.execution.workers == 1] or runs
    orders: dict[int, list[bool]] = defaultdict(list)
    for one in runs:
        if one.execution.order is not None:
            orders[one.execution.order].append(one.failed)
    several = {order: outcomes for order, outcomes in orders.items() if len(outcomes) > 1}
    failing = [order for order, outcomes in several.items() if all(outcomes)]
    if not failing or any(len(set(outcomes)) > 1 for outcomes in several.values()):
        return ""
    rate = sum(one.failed for one in runs) / len(runs)
    chance = math.prod(rate ** len(outcomes) + (1 - rate) ** len(outcomes) for outcomes in several.values())
    if chance >= CHANCE:
        return ""
    return (
        f"under {len(failing)} of {len(several)} orders it failed every time, under the others never "
        f"(by chance: {chance:.1%}); one that fails: {failing[0]}"
    )


def _by_load(runs: list[_Seen]) -> str:
    """Why it depends on how many processes there are: it never failed alone, and more often beside others than by chance."""
    alone = [one.failed for one in runs if one.execution.workers == 1]
    beside = [one.failed for one in runs if one.execution.workers > 1]
    if not alone or not beside or any(alone):
        return ""
    table = [[sum(beside), len(beside) - sum(beside)], [0, len(alone)]]
    chance = float(fisher_exact(table, alternative="greater").pvalue)
    if chance >= CHANCE:
        return ""
    return (
        f"{sum(beside)} of {len(beside)} times with several processes, never in {len(alone)} times with one "
        f"(by chance: {chance:.1%})"
    )


def shared_failures(results: Iterable[SuiteResult]) -> list[SharedFailure]:
    """Failures of several tests of one execution with the same message."""
    found = []
    for result in results:
        alike: dict[str, list[str]] = defaultdict(list)
        for outcome in result.outcomes:
            if outcome.status.bad and outcome.message:
                alike[outcome.message].append(outcome.test)
        found += [
            SharedFailure(result.suite, result.repetition, message, tuple(tests), result.command)
            for message, tests in alike.items()
            if len(tests) >= TOGETHER
        ]
    return found
