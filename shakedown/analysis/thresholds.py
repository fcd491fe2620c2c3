"""A threshold and what was measured in, a verdict out.

Nothing that was not measured passes: no samples, too few for the quantile, a rate that was not held or a starved
generator make a threshold inconclusive. One exception runs the other way: a limit that is breached although *less*
load than asked arrived is breached; only a starved generator, which inflates latencies itself, keeps that from counting.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shakedown.analysis.evidence import Evidence, window_stats
from shakedown.analysis.quantiles import samples_needed, supported
from shakedown.plan.thresholds import Threshold
from shakedown.records.judgement import ThresholdResult
from shakedown.records.load import LoadResult
from shakedown.records.suites import SuiteResult, TestStatus
from shakedown.verdict import Verdict

__all__ = ["judge", "judge_all"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda actual, limit: actual < limit,
    "<=": lambda actual, limit: actual <= limit,
    ">": lambda actual, limit: actual > limit,
    ">=": lambda actual, limit: actual >= limit,
    "==": lambda actual, limit: actual == limit,
}
_PERCENTILE = re.compile(r"p\(?(\d+(?:\.\d+)?)\)?")


@dataclass(frozen=True, slots=True)
class _Measured:
    """A value and what it rests on.

    Attributes:
        doubt: why it may not be taken as passed (nor as failed).
        weak: why it may not be taken as passed, though a breach still counts.
    """

    value: float | None
    samples: int
    doubt: str = ""
    weak: str = ""


def judge_all(thresholds: Sequence[Threshold], evidence: Evidence) -> list[ThresholdResult]:
    """Every threshold judged on the same evidence, in order."""
    return [judge(threshold, evidence) for threshold in thresholds]


def judge(threshold: Threshold, evidence: Evidence) -> ThresholdResult:
    """One threshold judged on what was measured in the evidence's window."""
    measured = _measure(threshold, evidence)
    if measured.value is None:
        verdict, reason = Verdict.INCONCLUSIVE, measured.doubt or "nothing was measured"
    elif measured.doubt:
        verdict, reason = Verdict.INCONCLUSIVE, measured.doubt
    elif not _OPERATORS[threshold.op](measured.value, threshold.limit):
        verdict, reason = Verdict.FAILED, measured.weak
    elif measured.weak:
        verdict, reason = Verdict.INCONCLUSIVE, measured.weak
    else:
        verdict, reason = Verdict.PASSED, ""
    return ThresholdResult(
        text=threshold.text,
        verdict=verdict,
        actual=measured.value,
        limit=threshold.limit,
        unit=threshold.unit,
        samples=measured.samples,
        reason=reason,
    )


def _measure(threshold: Threshold, evidence: Evidence) -> _Measured:
    if threshold.subject in evidence.loads:
        return _of_load(threshold, evidence.loads[threshold.subject], evidence)
    if threshold.subject in evidence.suites:
        return _of_suite(threshold.metric, evidence.suites[threshold.subject])
    return _of_samples(threshold, evidence)


# ------------------------------------------------------------------------------------------------------------- loads
def _of_load(threshold: Threshold, load: LoadResult, evidence: Evidence) -> _Measured:
    problems = load.counts.problems()
    if problems:
        return _Measured(None, 0, doubt=f"the load's own counts disagree: {problems[0]}")
    stats = window_stats(load, request=threshold.request, start=evidence.start, end=evidence.end)
    value, needed = _load_value(threshold, load, evidence)
    samples = stats.latency.count if needed else stats.ended
    doubt = load.generator.starved or ""
    weak = ""
    if not doubt and needed > samples:
        doubt = f"{threshold.metric} needs {needed} samples, {samples} were measured"
    if not doubt and load.interrupted:
        weak = "the load was interrupted"
    if not doubt and not load.rate_held:
        weak = f"rate not held: {_arrivals(load)}"
    return _Measured(value, samples, doubt, weak)


def _arrivals(load: LoadResult) -> str:
    seconds = max(load.end - load.start, 1e-9)
    return f"{load.target_rate:g}/s asked, {load.counts.on_time / seconds:.3g}/s started in time"


def _load_value(threshold: Threshold, load: LoadResult, evidence: Evidence) -> tuple[float | None, int]:
    """The metric's value, and how many latency samples it needs (0: it is not a latency)."""
    metric = threshold.metric
    stats = window_stats(load, request=threshold.request, start=evidence.start, end=evidence.end)
    latency = stats.latency
    if match := _PERCENTILE.fullmatch(metric):
        q = float(match[1]) / 100
        return latency.quantile(q), samples_needed(q)
    if metric == "med":
        return latency.quantile(0.5), 1
    if metric in ("avg", "min", "max"):
        return {"avg": latency.mean, "min": latency.min, "max": latency.max}[metric] if latency.count else None, 1
    if metric == "error_rate":
        return stats.error_rate, 0
    if metric == "count":
        return float(stats.ended), 0
    if metric in ("rate", "throughput"):
        wanted = stats.ok if metric == "throughput" else stats.ended
        return (wanted / stats.seconds if stats.seconds > 0 else None), 0
    if metric == "dropped":
        return float(load.counts.dropped), 0
    if metric == "start_lag":
        lags = [lag for second, lag in load.start_lag.items() if evidence.contains(second)]
        if not lags:
            return None, 1
        merged = type(lags[0])()
        for lag in lags:
            merged.merge(lag)
        return (merged.quantile(0.99) if supported(0.99, merged.count) else None), 1
    raise ValueError(f"no such metric of a load: {metric}")


# ------------------------------------------------------------------------------------------------------------ suites
def _of_suite(metric: str, results: Sequence[SuiteResult]) -> _Measured:
    doubts = [result.problem or result.skipped for result in results if result.problem or result.skipped]
    run = [outcome for result in results for outcome in result.outcomes if outcome.status is not TestStatus.SKIPPED]
    seconds = sum(result.end - result.start for result in results)
    bad = sum(outcome.status in (TestStatus.FAILED, TestStatus.ERROR) for outcome in run)
    errors = sum(outcome.status is TestStatus.ERROR for outcome in run)
    doubt = next((doubt for doubt in doubts if doubt), "")
    if not run:
        return _Measured(None, 0, doubt=doubt or "no test ran")
    values: dict[str, float] = {
        "tests": float(len(run)),
        "failures": float(bad),
        "success_rate": (len(run) - bad) / len(run),
        "error_rate": errors / len(run),
        "tests_per_second": len(run) / seconds if seconds > 0 else 0.0,
        "longest": max(outcome.duration for outcome in run),
        "peak_memory": float(max(result.peak_memory for result in results)),
    }
    return _Measured(values[metric], len(run), weak=doubt)


# ----------------------------------------------------------------------------------------------------------- samples
def _of_samples(threshold: Threshold, evidence: Evidence) -> _Measured:
    values = [
        sample.value
        for sample in evidence.samples
        if sample.source == threshold.subject and sample.series == threshold.metric and evidence.contains(sample.at)
    ]
    if not values:
        return _Measured(None, 0, doubt=f"{threshold.subject}.{threshold.metric} was never sampled in this window")
    aggregate = threshold.aggregate or "max"
    if aggregate == "growth":
        if len(values) < 2 or values[0] == 0:
            return _Measured(None, len(values), doubt="growth needs two samples and a start above zero")
        return _Measured(values[-1] / values[0] - 1, len(values))
    chosen = {"max": max(values), "min": min(values), "avg": sum(values) / len(values), "last": values[-1]}[aggregate]
    return _Measured(chosen, len(values))
