"""Charts of resources over the run: what services use and hold, and the plan's own series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shakedown.plan.threshold_values import SERIES_UNITS
from shakedown.reports.axis import broken, figure_of, legend, mark, plain
from shakedown.reports.model import Report
from shakedown.reports.watched import Points, counts_up, points_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SPARSE", "Panel", "PanelLine", "own_panels", "own_series_chart", "resource_chart", "resource_panels"]

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


@dataclass(frozen=True, slots=True)
class PanelLine:
    """One line.

    Attributes:
        label: as the legend has it.
        group: the number of its service (of its panel, where each panel has one line): lines of one group share a colour.
        part: the number of its series among those that the panel has of one service: its dash.
    """

    label: str
    group: int
    part: int
    points: Points


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over one axis; `words` are quantity and unit."""

    words: str
    lines: list[PanelLine]


def resource_panels(report: Report) -> list[Panel]:
    """CPU, files, sockets by state, network and disk of every service: a panel each, where there was any of it."""
    found = points_of(report)
    names = [name for name, kind, _ in report.services if kind != "external"]
    panels = []
    for words, factor, parts in PANELS:
        lines = [
            PanelLine(f"{name} {said}".strip(), place, number, [(at, value * factor) for at, value in points])
            for place, name in enumerate(names)
            for number, (series, said) in enumerate(parts)
            # What was zero all the time is said by the table: it would only hide the others.
            if (points := found.get((name, series))) and (len(parts) == 1 or any(value for _, value in points))
        ]
        if lines:
            panels.append(Panel(words, lines))
    return panels


def own_panels(report: Report) -> tuple[list[Panel], int]:
    """Probes and Prometheus series: a panel each, the first eight; and how many there are."""
    services = {name for name, _, _ in report.services}
    own: Mapping[tuple[str, str], Points] = {
        key: points for key, points in points_of(report).items() if key[0] in services and key[1] not in SERIES_UNITS and points
    }  # fmt: skip
    panels = [
        Panel(
            f"{series} of {source}{', per second' if counts_up(series) else ''}",
            [PanelLine(f"{source}\n{series}{' /s' if counts_up(series) else ''}", number, 0, own[source, series])],
        )
        for number, (source, series) in enumerate(sorted(own)[:MOST_PANELS])
    ]
    return panels, len(own)


def resource_chart(report: Report) -> "Figure | None":
    """What every service uses and holds."""
    panels = resource_panels(report)
    if not panels:
        return None
    figure, axes = figure_of(len(panels), 1.2 + HEIGHT * len(panels), "What every service uses and holds")
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel)
        axis.set_ylabel(panel.words)
    _finish(report, axes)
    return figure


def own_series_chart(report: Report) -> "Figure | None":
    """The plan's own series."""
    panels, count = own_panels(report)
    if not panels:
        return None
    left = f" (the first {MOST_PANELS} of {count})" if count > MOST_PANELS else ""
    figure, axes = figure_of(len(panels), 1.2 + HEIGHT * len(panels), f"The plan's own series{left}")
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel)
    _finish(report, axes)
    return figure


def _draw(axis: "Axes", panel: Panel) -> None:
    for line in panel.lines:
        axis.plot(
            *broken(line.points, SPARSE), color=COLOURS[line.group % len(COLOURS)], linestyle=DASHES[line.part],
            linewidth=1.2, marker=".", markersize=2, label="\n".join(map(plain, line.label.split("\n"))),
        )  # fmt: skip


def _finish(report: Report, axes: "Sequence[Axes]") -> None:
    mark(report, axes)
    for axis in axes:
        axis.margins(y=0.2)
        if axis.get_ylim()[0] > 0 or axis.dataLim.y0 >= 0:
            axis.set_ylim(bottom=0)
        legend(axis)
