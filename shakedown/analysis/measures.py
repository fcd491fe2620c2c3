"""What a metric's value is, and what it rests on."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shakedown.analysis.evidence import WindowStats
from shakedown.analysis.quantiles import samples_needed
from shakedown.plan.thresholds import SERIES_UNITS, Comparison
from shakedown.records.histogram import Histogram
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadCounts
from shakedown.records.suites import SuiteResult, TestStatus

__all__ = ["Measured", "of_counts", "of_lags", "of_ledger", "of_samples", "of_stats", "of_suite"]

_PERCENTILE = re.compile(r"p\(?(\d+(?:\.\d+)?)\)?")


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and what it rests on.

    Attributes:
        doubt: why it may not be taken as passed (nor as failed).
        weak: why it may not be taken as passed, though a breach still counts.
        at_most: the value is an upper bound of what is asked for: it was counted over more than the window.
    """

    value: float | None
    samples: int
    doubt: str = ""
    weak: str = ""
    at_most: bool = False


def _of_histogram(metric: str, histogram: Histogram) -> Measured:
    """A percentile, `med`, `avg`, `min` or `max`; below the samples that a quantile needs, the value is in doubt."""
    value: float | None
    needed = 1
    if match := _PERCENTILE.fullmatch(metric):
        q = float(match[1]) / 100
        value, needed = histogram.quantile(q), samples_needed(q)
    elif metric == "med":
        value = histogram.quantile(0.5)
    else:
        values = {"avg": histogram.mean, "min": histogram.min, "max": histogram.max}
        value = values[metric] if histogram.count else None
    lacking = needed > histogram.count
    doubt = f"{metric} needs {needed} samples, {histogram.count} were measured" if lacking else ""
    return Measured(value, histogram.count, doubt)


def of_stats(metric: str, stats: WindowStats) -> Measured:
    """A metric of a load that its buckets tell.

    Raises:
        ValueError: it is no such metric.
    """
    if metric in ("avg", "min", "max", "med") or _PERCENTILE.fullmatch(metric):
        return _of_histogram(metric, stats.latency)
    seconds = stats.seconds
    if metric == "error_rate":
        return Measured(stats.error_rate, stats.ended)
    if metric == "check_rate":
        doubt = "" if stats.answered else f"none of {stats.ended} requests was answered"
        return Measured(stats.check_rate, stats.answered, doubt)
    if metric == "count":
        return Measured(float(stats.ended), stats.ended)
    if metric in ("rate", "throughput"):
        wanted = stats.ok if metric == "throughput" else stats.ended
        return Measured(wanted / seconds if seconds > 0 else None, stats.ended)
    if metric in ("bytes", "received"):
        return Measured(float(stats.received), stats.ended)
    if metric == "bytes_per_second":
        return Measured(stats.received / seconds if seconds > 0 else None, stats.ended)
    if metric == "size":
        return Measured(stats.received / stats.answered if stats.answered else None, stats.answered)
    raise ValueError(f"no such metric of a load: {metric}")


def of_counts(metric: str, counts: LoadCounts, *, whole: bool) -> Measured:
    """`dropped` and `dropped_rate`, which are counted over a whole load: of a window they are upper bounds.

    Raises:
        ValueError: it is neither.
    """
    if metric == "dropped":
        value: float | None = float(counts.dropped)
    elif metric == "dropped_rate":
        value = counts.dropped / counts.scheduled if counts.scheduled else None
        if not whole and counts.dropped:  # all of them may have been due within the window, or none
            value = 1.0
    else:
        raise ValueError(f"no such metric of a load: {metric}")
    if not counts.scheduled:
        return Measured(None, 0, "nothing was scheduled")
    return Measured(value, counts.scheduled, at_most=not whole and counts.dropped > 0)


def of_lags(aggregate: str | None, lags: Iterable[Histogram]) -> Measured:
    """The start lag's p99, or another figure of it."""
    merged = Histogram()
    for lag in lags:
        merged.merge(lag)
    return _of_histogram(aggregate or "p99", merged)


def of_suite(metric: str, results: Sequence[SuiteResult]) -> Measured:
    """A metric of a suite over all its executions."""
    doubts = [result.problem or result.skipped for result in results if result.problem or result.skipped]
    run = [outcome for result in results for outcome in result.outcomes if outcome.status is not TestStatus.SKIPPED]
    seconds = sum(result.end - result.start for result in results)
    bad = sum(outcome.status.bad for outcome in run)
    ordinary = (TestStatus.PASSED, TestStatus.FAILED)
    errors = sum(outcome.status not in ordinary for outcome in run)  # crashed and timed out ones are no less
    doubt = next((doubt for doubt in doubts if doubt), "")
    skipped = sum(len(result.outcomes) for result in results) - len(run)
    if metric == "skipped" and (run or skipped):
        return Measured(float(skipped), len(run) + skipped, weak=doubt)
    if metric == "tests" and skipped and not run:  # that each of them was skipped is known as well
        return Measured(0.0, skipped, weak=doubt)
    if not run:
        return Measured(None, 0, doubt=doubt or "no test ran")
    if metric == "peak_memory" and not all(result.peak_memory for result in results if not result.skipped):
        return Measured(None, len(run), doubt="the memory of an execution was not seen: too short, or out of sight")
    values: dict[str, float] = {
        "tests": float(len(run)),
        "failures": float(bad),
        "success_rate": (len(run) - bad) / len(run),
        "error_rate": errors / len(run),
        "tests_per_second": len(run) / seconds if seconds > 0 else 0.0,
        "longest": max(outcome.duration for outcome in run),
        "peak_memory": float(max(result.peak_memory for result in results)),
    }
    return Measured(values[metric], len(run), weak=doubt)


def of_ledger(metric: str, result: LedgerResult | None) -> Measured:
    """A figure of a ledger that was read back; one that could not be judged in full may have more faults, not fewer."""
    if result is None:
        return Measured(None, 0, doubt="the ledger was not read back")
    if result.problem and not result.checked:
        return Measured(None, 0, doubt=result.problem)
    return Measured(float(result.count(metric)), result.checked, weak=result.problem or "")


def of_samples(comparison: Comparison, samples: Sequence[tuple[float, float]]) -> Measured:
    """A sampled series (instants and values, in time) by its aggregate, `max` by default."""
    if not samples:
        return Measured(None, 0, doubt=f"{comparison.subject}.{comparison.metric} was never sampled in this window")
    aggregate = comparison.aggregate or "max"
    values = [value for _, value in samples]
    if aggregate == "per_second":
        seconds = samples[-1][0] - samples[0][0]
        if seconds <= 0:
            return Measured(None, len(values), doubt="a rate needs two samples")
        # A service's counter that falls began anew with its process: what it shows then was counted since. One of ours is
        # a sum over processes; it falls when one of them ends.
        anew = 0.0 if comparison.metric in SERIES_UNITS else 1.0
        grown = sum(after - before if after >= before else anew * after for before, after in itertools.pairwise(values))
        return Measured(grown / seconds, len(values))
    if aggregate == "growth":
        if len(values) < 2 or values[0] == 0:
            return Measured(None, len(values), doubt="growth needs two samples and a start above zero")
        return Measured(values[-1] / values[0] - 1, len(values))
    chosen = {"max": max(values), "min": min(values), "avg": sum(values) / len(values), "last": values[-1]}[aggregate]
    return Measured(chosen, len(values))
