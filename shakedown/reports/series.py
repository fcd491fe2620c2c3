"""What the charts draw: series over the run's time axis, second by second.

A point stands at the middle of its second; a load that begins or ends within one is drawn where it ran.
"""

from dataclasses import dataclass, field

from shakedown.analysis.evidence import LATENCY_OUTCOMES
from shakedown.analysis.quantiles import supported
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult, Outcome
from shakedown.reports.model import Report

__all__ = ["Lines", "Spans", "health_spans", "load_series", "memory_series"]

LEAST_PART = 0.4  # of a second that a load covers, for a rate to be drawn from it
FLOOR = 0.05  # ms: a logarithmic axis has no zero
MEGA = 1e6

# Seconds without a point after which nothing is said: lines break, spans end.
SILENT_LOAD = 1.6  # a whole second without a good answer
SILENT_SAMPLER = 2.5

Lines = dict[str, list[tuple[float, float]]]
Spans = dict[bool, list[tuple[float, float]]]


def load_series(report: Report) -> dict[str, Lines]:
    """By load: `p50`, `p95` and `slowest` in ms, `good` and `failed` in requests per second.

    No percentile is there without the samples to support it.
    """
    found: dict[str, Lines] = {}
    for load in sorted(report.loads, key=lambda load: load.start):
        lines = found.setdefault(load.load, {"p50": [], "p95": [], "slowest": [], "good": [], "failed": []})
        _add_points(lines, load)
    return {name: found[name] for name in dict.fromkeys(load.load for load in report.loads)}


def memory_series(report: Report) -> Lines:
    """By service: memory in MB, page cache left out."""
    series: Lines = {name: [] for name, kind, _ in report.services if kind != "external"}
    for sample in report.samples:
        if sample.series == "memory" and sample.source in series:
            series[sample.source].append((sample.at, sample.value / MEGA))
    return {name: points for name, points in series.items() if points}


def health_spans(report: Report) -> dict[str, Spans]:
    """By service: when it said that it was healthy (True), and when not (False): start and end of each time."""
    looks: dict[str, list[tuple[float, bool]]] = {}
    for probe in report.probes:
        looks.setdefault(probe.service, []).append((probe.at, probe.healthy))
    return {name: {said: _times(found, said) for said in (True, False)} for name, found in looks.items()}


def _times(looks: list[tuple[float, bool]], wanted: bool) -> list[tuple[float, float]]:  # noqa: FBT001 - what was said
    """The times in which consecutive looks said this; a look holds until the next."""
    found: list[tuple[float, float]] = []
    for index, (at, said) in enumerate(looks):
        end = looks[index + 1][0] if index + 1 < len(looks) else at + 0.1
        if said is not wanted or end - at > SILENT_SAMPLER:
            continue
        if found and abs(found[-1][1] - at) < 1e-6:
            found[-1] = (found[-1][0], end)
        else:
            found.append((at, end))
    return found


@dataclass(slots=True)
class _Second:
    """One load in one second of intended starts."""

    latency: Histogram = field(default_factory=Histogram)
    ok: int = 0
    bad: int = 0


def _by_second(load: LoadResult) -> dict[int, _Second]:
    seconds: dict[int, _Second] = {}
    for key, bucket in load.buckets.items():
        if key.outcome is Outcome.CANCELLED:
            continue
        second = seconds.setdefault(key.second, _Second())
        if key.outcome in LATENCY_OUTCOMES:
            second.latency.merge(bucket.response)
        if key.outcome is Outcome.OK:
            second.ok += bucket.response.count
        else:
            second.bad += bucket.response.count
    return dict(sorted(seconds.items()))


def _add_points(lines: Lines, load: LoadResult) -> None:
    for number, second in _by_second(load).items():
        start, end = max(number, load.start), min(number + 1, load.end)
        at = (start + end) / 2 if end > start else number + 0.5
        shown = {"p50": second.latency.quantile(0.5), "slowest": second.latency.max if second.latency.count else None}
        if supported(0.95, second.latency.count):
            shown["p95"] = second.latency.quantile(0.95)
        for label, value in shown.items():
            if value is not None:
                lines[label].append((at, max(value * 1e3, FLOOR)))
        part = end - start  # a load begins and ends within a second: its rate there is that of the part it covers
        if part >= LEAST_PART:
            lines["good"].append((at, second.ok / part))
            if second.bad:
                lines["failed"].append((at, second.bad / part))
