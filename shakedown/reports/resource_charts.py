"""Charts of resources over the run: what services use and hold, and the plan's own series."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shakedown.plan.threshold_values import SERIES_UNITS
from shakedown.reports.axis import broken, figure_of, legend, mark, plain
from shakedown.reports.model import Report
from shakedown.reports.watched import Points, counts_up, points_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["own_series_chart", "resource_chart"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
MEGA = 1e6
HEIGHT = 1.55  # of a panel, inches
SPARSE = 20.0  # seconds: some series are read less often than others
MOST_PANELS = 8
# Panel's words, factor, and its series with what stands behind the service's name.
PANELS: tuple[tuple[str, float, tuple[tuple[str, str], ...]], ...] = (
    ("CPU, cores", 1.0, (("cpu", ""),)),
    ("open files", 1.0, (("open_files", ""),)),
    ("sockets", 1.0, (("sockets_established", ""), ("sockets_close_wait", "CLOSE_WAIT"))),
    ("network, MB/s", 1 / MEGA, (("network_rx", "in"), ("network_tx", "out"))),
    ("disk, MB/s", 1 / MEGA, (("block_read", "read"), ("block_write", "written"))),
)


def resource_chart(report: Report) -> "Figure | None":
    """CPU, files, sockets by state, network and disk of every service: a panel each, where there was any of it."""
    found = points_of(report)
    names = [name for name, kind, _ in report.services if kind != "external"]
    panels = []
    for words, factor, parts in PANELS:
        lines = {
            (name, series): (said, [(at, value * factor) for at, value in points])
            for name in names
            for series, said in parts
            # What was zero all the time is said by the table: it would only hide the others.
            if (points := found.get((name, series))) and (len(parts) == 1 or any(value for _, value in points))
        }
        if lines:
            panels.append((words, lines))
    if not panels:
        return None
    figure, axes = figure_of(len(panels), 1.2 + HEIGHT * len(panels), "What every service uses and holds")
    for axis, (words, lines) in zip(axes, panels, strict=True):
        for (name, series), (said, points) in lines.items():
            dash = DASHES[[part for part, _ in _parts(words)].index(series)]
            _line(axis, points, COLOURS[names.index(name) % len(COLOURS)], dash, f"{plain(name)} {said}".strip())
        axis.set_ylabel(words)
    _finish(report, axes)
    return figure


def own_series_chart(report: Report) -> "Figure | None":
    """Probes and Prometheus series: a panel each, the first eight."""
    services = {name for name, _, _ in report.services}
    own: Mapping[tuple[str, str], Points] = {
        key: points for key, points in points_of(report).items() if key[0] in services and key[1] not in SERIES_UNITS and points
    }  # fmt: skip
    if not own:
        return None
    shown = sorted(own)[:MOST_PANELS]
    left = f" (the first {MOST_PANELS} of {len(own)})" if len(own) > MOST_PANELS else ""
    figure, axes = figure_of(len(shown), 1.2 + HEIGHT * len(shown), f"The plan's own series{left}")
    for number, (axis, (source, series)) in enumerate(zip(axes, shown, strict=True)):
        words = f"{plain(source)}\n{plain(series)}" + (" /s" if counts_up(series) else "")
        _line(axis, own[source, series], COLOURS[number % len(COLOURS)], "-", words)
    _finish(report, axes)
    return figure


def _parts(words: str) -> tuple[tuple[str, str], ...]:
    return next(parts for known, _, parts in PANELS if known == words)


def _line(axis: "Axes", points: Points, colour: str, dash: Any, label: str) -> None:
    axis.plot(
        *broken(points, SPARSE), color=colour, linestyle=dash, linewidth=1.2, marker=".", markersize=2, label=label
    )


def _finish(report: Report, axes: "Sequence[Axes]") -> None:
    mark(report, axes)
    for axis in axes:
        axis.margins(y=0.2)
        if axis.get_ylim()[0] > 0 or axis.dataLim.y0 >= 0:
            axis.set_ylim(bottom=0)
        legend(axis)
