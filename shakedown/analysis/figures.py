"""The figures that runs are compared by: from what was measured to one number each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shakedown.analysis.evidence import WindowStats, window_stats
from shakedown.analysis.quantiles import samples_needed
from shakedown.records.figures import Figure, FigureName
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.records.suites import SuiteResult

__all__ = ["FIGURES_VERSION", "STAGES", "figures_of"]

FIGURES_VERSION = 1  # raise it when a figure's meaning changes: figures of earlier runs are formed anew
STAGES = ("baseline", "stress", "endurance")  # what loads see under a fault is no figure of the system as it should be
NOT_TESTED = ("host", "shakedown")  # sources of samples that are no services
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class _Part:
    stats: WindowStats
    doubt: str


def figures_of(
    loads: Sequence[LoadResult],
    suites: Sequence[SuiteResult] = (),
    samples: Sequence[Sample] = (),
    stages: Mapping[str, tuple[float, float]] | None = None,
    recoveries: Iterable[RecoveryMeasurement] = (),
    *,
    whole: bool = True,
) -> list[Figure]:
    """Every figure of a run.

    Args:
        samples: of services' resources; the mean memory within each stage is a figure.
        stages: by name, when each stage began and ended, seconds since the run began.
        whole: False when the run was interrupted: then no figure may be compared.
    """
    found = [*_of_loads(loads), *_of_suites(suites), *_of_memory(samples, stages or {}), *_of_recoveries(recoveries)]
    if whole:
        return found
    return [Figure(one.name, one.unit, one.value, one.samples, one.doubt or "the run was interrupted") for one in found]


def _of_loads(loads: Sequence[LoadResult]) -> Iterable[Figure]:
    """Percentiles, errors and throughput of each load; the repetitions of one are one."""
    parts: dict[tuple[str, str], list[_Part]] = {}
    for load in loads:
        if load.stage in STAGES:
            parts.setdefault((load.stage, load.load), []).append(_Part(window_stats(load), _doubt(load)))
    for (stage, label), every in parts.items():
        doubt = next((part.doubt for part in every if part.doubt), "")
        latency = Histogram()
        for part in every:
            latency.merge(part.stats.latency)
        for metric, q in QUANTILES.items():
            needed = samples_needed(q)
            lacking = f"{latency.count} samples, {needed} needed" if latency.count < needed else ""
            yield Figure(FigureName(stage, label, metric), "s", latency.quantile(q), latency.count, doubt or lacking)
        ended = sum(part.stats.ended for part in every)
        bad = sum(part.stats.failed + part.stats.timed_out for part in every)
        seconds = sum(part.stats.seconds for part in every)
        ok = sum(part.stats.ok for part in every)
        nothing = "" if ended else "no request ended"
        rate = bad / ended if ended else None
        yield Figure(FigureName(stage, label, "error_rate"), "%", rate, ended, doubt or nothing)
        pace = ok / seconds if seconds > 0 else None
        yield Figure(FigureName(stage, label, "throughput"), "/s", pace, ended, doubt or nothing)


def _doubt(load: LoadResult) -> str:
    if load.interrupted:
        return "the load was interrupted"
    if load.generator.starved:
        return load.generator.starved
    if load.generator.lost_workers:
        return f"{load.generator.lost_workers} load workers were lost"
    return "" if load.rate_held else "the rate was not held"


def _of_suites(suites: Sequence[SuiteResult]) -> Iterable[Figure]:
    """How long each suite took, on average over its executions."""
    taken: dict[tuple[str, str], list[SuiteResult]] = {}
    for suite in suites:
        taken.setdefault((suite.stage, suite.suite), []).append(suite)
    for (stage, label), every in taken.items():
        doubt = next((suite.problem or suite.skipped or "" for suite in every if suite.problem or suite.skipped), "")
        tests = {len(suite.outcomes) for suite in every}
        if not doubt and (len(tests) > 1 or tests == {0}):
            doubt = "not every execution ran all tests"
        seconds = math.fsum(suite.end - suite.start for suite in every) / len(every)
        yield Figure(FigureName(stage, label, "seconds"), "s", seconds, len(every), doubt)


def _of_memory(samples: Sequence[Sample], stages: Mapping[str, tuple[float, float]]) -> Iterable[Figure]:
    """Each service's mean memory in each stage: what is anonymous where that is known, for page cache is nobody's growth."""
    spans = [(name, *stages[name]) for name in STAGES if name in stages]
    values: dict[tuple[str, str, str], list[float]] = {}
    for sample in samples:
        if sample.series in ("memory", "memory_anon") and sample.source not in NOT_TESTED:
            for name, start, end in spans:
                if start <= sample.at < end:
                    values.setdefault((name, sample.source, sample.series), []).append(sample.value)
    for stage, source in sorted({(stage, source) for stage, source, _ in values}):
        found = values.get((stage, source, "memory_anon")) or values[stage, source, "memory"]
        yield Figure(FigureName(stage, source, "memory"), "B", math.fsum(found) / len(found), len(found))


def _of_recoveries(recoveries: Iterable[RecoveryMeasurement]) -> Iterable[Figure]:
    """How long each experiment's fault was felt after it ended."""
    for recovery in recoveries:
        doubt = recovery.problem or ""
        if recovery.recovered_after is None and not doubt:
            watched = "" if recovery.censored_at is None else f" within {recovery.censored_at:.1f} s"
            doubt = f"it did not recover{watched}"
        name = FigureName("faults", recovery.experiment, "recovery")
        yield Figure(name, "s", recovery.recovered_after, 1, doubt)
