"""What was sampled, series by series: counters as rates, the rest as it was; and what watching itself cost."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shakedown.plan.freed import COUNTING
from shakedown.plan.threshold_values import SERIES_UNITS
from shakedown.reports.model import Report

__all__ = ["ObserverCost", "WatchedLine", "always_zero", "observer_cost", "points_of", "watched_lines"]

OURSELVES = "shakedown"
ROUNDED = ("restarts", "oom_kills")  # counters that are read as they are
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class WatchedLine:
    """One series of one source.

    Attributes:
        unit: "B", "B/s", "/s" or "".
    """

    source: str
    series: str
    unit: str
    least: float
    median: float
    greatest: float
    last: float
    samples: int

    @property
    def zero(self) -> bool:
        """Whether it was never anything else."""
        return not self.least and not self.greatest


@dataclass(frozen=True, slots=True)
class ObserverCost:
    """Cores that watching used, on average and at most, and the resident bytes of the process that it lives in."""

    cpu: float
    most: float
    memory: float


def points_of(report: Report) -> dict[tuple[str, str], Points]:
    """Time and value by source and series; a counter's use per second, with a gap where it began anew."""
    raw: dict[tuple[str, str], Points] = {}
    for sample in report.samples:
        raw.setdefault((sample.source, sample.series), []).append((sample.at, sample.value))
    return {
        (source, series): _rates(points) if counts_up(series) else points for (source, series), points in raw.items()
    }


def counts_up(series: str) -> bool:
    """Whether a series is shown per second."""
    return (series in COUNTING and series not in ROUNDED) or series.partition("{")[0].endswith("_total")


def watched_lines(report: Report) -> list[WatchedLine]:
    """A line for each series of the services and the host, in the plan's order of services."""
    services = [name for name, _, _ in report.services]
    order = {name: number for number, name in enumerate([*services, "host"])}
    found = points_of(report)
    keys = sorted((key for key in found if key[0] in order and found[key]), key=lambda key: (order[key[0]], key[1]))
    return [_line(source, series, [value for _, value in found[source, series]]) for source, series in keys]


def always_zero(lines: Sequence[WatchedLine]) -> dict[str, list[str]]:
    """Series that were never anything but zero, with the sources of which that is true: a sentence of the report, no rows."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.zero:
            found.setdefault(line.series, []).append(line.source)
    return found


def observer_cost(report: Report) -> ObserverCost | None:
    """What watching cost; None for runs that did not measure it."""
    cpu = [sample.value for sample in report.samples if (sample.source, sample.series) == (OURSELVES, "observer_cpu")]
    memory = [
        sample.value for sample in report.samples if (sample.source, sample.series) == (OURSELVES, "observer_memory")
    ]
    return ObserverCost(sum(cpu) / len(cpu), max(cpu), max(memory)) if cpu and memory else None


def _line(source: str, series: str, values: Sequence[float]) -> WatchedLine:
    unit = SERIES_UNITS.get(series, "") + ("/s" if counts_up(series) else "")
    return WatchedLine(
        source, series, unit, min(values), statistics.median(values), max(values), values[-1], len(values)
    )  # fmt: skip


def _rates(points: Points) -> Points:
    return list(_rates_of(points))


def _rates_of(points: Points) -> Iterator[tuple[float, float]]:
    for (then, before), (now, value) in pairwise(points):
        if value >= before and now > then:
            yield now, (value - before) / (now - then)
