"""Rows of a report's larger tables: repetitions gathered, readings thinned out."""

from collections.abc import Sequence
from dataclasses import dataclass

from shakedown.analysis.evidence import window_stats
from shakedown.records.histogram import Histogram
from shakedown.records.load import ErrorRecord, LoadCounts, LoadDelta, LoadResult, merge_parts
from shakedown.records.suites import SuiteResult
from shakedown.reports.model import Report

__all__ = ["CycleTable", "LoadLine", "SuiteLine", "cycle_table", "error_windows", "load_lines", "suite_lines"]

CYCLES_SHOWN = 12


@dataclass(slots=True)
class LoadLine:
    """One load of one stage, all its repetitions merged."""

    stage: str
    load: str
    repetitions: int
    target_rate: float | None
    rate_held: bool
    whole: bool  # its end was seen, so its counts are known
    counts: LoadCounts
    latency: Histogram  # response times of good answers and time-outs
    service: Histogram
    lag: Histogram
    cpu: float
    starved: str | None
    errors: list[ErrorRecord]


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """One suite of one stage, all its repetitions."""

    stage: str
    suite: str
    repetitions: int
    workers: int
    tests: int
    failed: int
    took: tuple[float, float]
    peak_memory: int
    problems: str


@dataclass(frozen=True, slots=True)
class CycleTable:
    """Readings after repetitions; `left_out` rows are not shown."""

    names: list[str]
    rows: list[tuple[int, list[float | None]]]
    left_out: int


def load_lines(report: Report) -> list[LoadLine]:
    """A line for each load and stage."""
    groups: dict[tuple[str, str], list[LoadResult]] = {}
    for load in report.loads:
        groups.setdefault((load.stage, load.load), []).append(load)
    return [_load_line(parts) for parts in groups.values()]


def _load_line(parts: Sequence[LoadResult]) -> LoadLine:
    first = parts[0]
    whole = LoadDelta(first.load, 0.0, LoadCounts(), {}, {}, {}, [])
    latency, service, lag = Histogram(), Histogram(), Histogram()
    for part in parts:
        whole.counts.add(part.counts)
        merge_parts(whole, LoadDelta(part.load, 0.0, LoadCounts(), {}, {}, {}, part.errors))
        latency.merge(window_stats(part).latency)
        for bucket in part.buckets.values():
            service.merge(bucket.service)
        for histogram in part.start_lag.values():
            lag.merge(histogram)
    return LoadLine(
        first.stage, first.load, len(parts), first.target_rate, all(part.rate_held for part in parts),
        all(part.executor for part in parts), whole.counts, latency, service, lag,
        max(part.generator.cpu for part in parts),
        next((part.generator.starved for part in parts if part.generator.starved), None), whole.errors,
    )  # fmt: skip


def error_windows(report: Report, error: ErrorRecord) -> str:
    """The experiments from whose injection to the end of whose watching errors of a kind fell, by first and last."""
    names = [
        info.record.name
        for info in report.experiments
        if info.record.applied_at is not None
        and error.last_at >= (info.record.asked_at or info.record.applied_at)
        and error.first_at <= (info.record.watched_until or info.record.reverted_at or float("inf"))
    ]
    return ", ".join(names)


def suite_lines(report: Report) -> list[SuiteLine]:
    """A line for each suite and stage."""
    groups: dict[tuple[str, str], list[SuiteResult]] = {}
    for suite in report.suites:
        groups.setdefault((suite.stage, suite.suite), []).append(suite)
    lines = []
    for (stage, name), parts in groups.items():
        took = [part.end - part.start for part in parts]
        said = dict.fromkeys(words for part in parts for words in (part.problem, part.skipped) if words)
        lines.append(
            SuiteLine(
                stage, name, len(parts), max(part.workers for part in parts),
                max(len(part.outcomes) for part in parts),
                sum(outcome.status.bad for part in parts for outcome in part.outcomes),
                (min(took), max(took)), max(part.peak_memory for part in parts), "; ".join(said),
            )
        )  # fmt: skip
    return lines


def cycle_table(report: Report) -> CycleTable | None:
    """Memory of every service after each repetition, or after some of many; None without readings."""
    services = [name for name, _, _ in report.services]
    readings: dict[int, dict[str, float]] = {}
    for repetition, sample in report.cycles:
        if sample.series == "memory" and sample.source in services:
            readings.setdefault(repetition, {})[sample.source] = sample.value
    if not readings:
        return None
    names = [name for name in services if any(name in row for row in readings.values())]
    numbers = sorted(readings)
    last = len(numbers) - 1
    kept = sorted({round(index * last / (CYCLES_SHOWN - 1)) for index in range(CYCLES_SHOWN)})
    shown = numbers if len(numbers) <= CYCLES_SHOWN else [numbers[index] for index in kept]
    rows = [(number, [readings[number].get(name) for name in names]) for number in shown]
    return CycleTable(names, rows, len(numbers) - len(shown))
