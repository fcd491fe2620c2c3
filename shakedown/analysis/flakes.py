"""Tests over repetitions: what k failures of n runs say, and what they do not."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import beta

from shakedown.records.suites import SuiteResult, TestStatus

__all__ = ["TestRecord", "merge_tests", "upper_bound"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class TestRecord:
    """One test over all repetitions.

    Attributes:
        bound: with 95 % confidence it fails less often than this (Clopper and Pearson, one-sided).
    """

    __test__ = False
    test: str
    runs: int
    failures: int
    longest: float
    bound: float

    @property
    def kind(self) -> str:
        """`none observed`, `flaky` or `broken`; never `stable`, which no number of runs shows."""
        if self.failures == 0:
            return "none observed"
        return "broken" if self.failures == self.runs else "flaky"


def upper_bound(failures: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a failure rate: the beta quantile of Clopper and Pearson (1934).

    Raises:
        ValueError: there are no runs, or more failures than runs.
    """
    if not 0 <= failures <= runs or runs == 0:
        raise ValueError(f"{failures} failures of {runs} runs")
    return 1.0 if failures == runs else float(beta.ppf(confidence, failures + 1, runs - failures))


def merge_tests(results: Sequence[SuiteResult]) -> list[TestRecord]:
    """Each test's outcomes under its own name; skipped ones do not count as runs. Most failures first."""
    runs: dict[str, list[tuple[bool, float]]] = {}
    for result in results:
        for outcome in result.outcomes:
            if outcome.status is not TestStatus.SKIPPED:
                failed = outcome.status in (TestStatus.FAILED, TestStatus.ERROR)
                runs.setdefault(outcome.test, []).append((failed, outcome.duration))
    records = [
        TestRecord(test, len(seen), sum(failed for failed, _ in seen), max(duration for _, duration in seen),
                   upper_bound(sum(failed for failed, _ in seen), len(seen)))
        for test, seen in runs.items()
    ]  # fmt: skip
    return sorted(records, key=lambda record: (-record.failures, record.test))
