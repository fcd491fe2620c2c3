"""SVG charts over one time axis.

The background is light and stays so in dark viewers, because the text of the charts is dark. Lines differ in dash as well as
in colour.
"""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.reports.axis import WIDTH, broken, figure_of, legend, mark, plain
from shakedown.reports.model import Report
from shakedown.reports.resource_charts import own_series_chart, resource_chart
from shakedown.reports.series import SILENT_LOAD, Lines, health_spans, load_series, memory_series
from shakedown.reports.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_charts"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))


def draw_charts(report: Report, folder: Path) -> dict[str, str]:
    """Draw what there is data for; file names by what they show.

    Raises:
        OSError: a file cannot be written.
    """
    import matplotlib as mpl  # noqa: PLC0415 - half a second that only reports pay
    from matplotlib.transforms import Bbox  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, str] = {}
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "shakedown", "font.family": "DejaVu Sans", "hatch.linewidth": 0.7,
        "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#dddddd",
        "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "figure.facecolor": "white",
    }  # fmt: skip
    charts: dict[str, Callable[[Report], Figure | None]] = {
        "latency": _latency, "memory": _memory, "health": _health, "resources": resource_chart, "own": own_series_chart,
    }  # fmt: skip
    with mpl.rc_context(settings), warnings.catch_warnings():
        # With text kept as text, the viewer's font draws what ours has not.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, draw in charts.items():
            figure = draw(report)
            path = folder / f"{name}.svg"
            if figure is None:
                path.unlink(missing_ok=True)  # of an earlier rendering, which the report would no longer show
                continue
            # As wide as the others, so that the charts' time axes lie one below the other; higher by what stands below.
            box = figure.get_tightbbox()
            around = Bbox([[min(0.0, box.x0), box.y0 - 0.1], [max(WIDTH, box.x1), box.y1 + 0.1]])
            buffer = io.BytesIO()
            figure.savefig(buffer, format="svg", bbox_inches=around, metadata={"Date": None, "Creator": "Shakedown"})
            write_whole(path, buffer.getvalue())
            drawn[name] = path.name
    return drawn


def _latency(report: Report) -> "Figure | None":
    """Response times, and answers and errors per second. No percentile is drawn without the samples to support it."""
    if not any(load.buckets for load in report.loads):
        return None
    figure, (latency, rate) = figure_of(2, 6.2, "Response times and rates, second by second", (3, 2))
    for index, (name, lines) in enumerate(load_series(report).items()):
        _draw_load(latency, rate, plain(name), COLOURS[index % len(COLOURS)], lines)
    latency.set_yscale("log")
    latency.set_ylabel("response time, ms (log)\nfrom the intended start")
    latency.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    latency.margins(y=0.12)
    rate.set_ylabel("requests per second")
    rate.margins(y=0.15)
    mark(report, [latency, rate])
    rate.set_ylim(bottom=0)
    legend(latency)
    legend(rate)
    return figure


def _draw_load(latency: "Axes", rate: "Axes", name: str, colour: str, lines: Lines) -> None:
    styles = {"p50": (DASHES[0], 1.3, 1.0), "p95": (DASHES[1], 1.3, 1.0), "slowest": (DASHES[2], 1.0, 0.75)}
    for label, (dash, width, alpha) in styles.items():
        if lines[label]:
            latency.plot(*broken(lines[label], SILENT_LOAD), color=colour, linestyle=dash, linewidth=width, alpha=alpha, marker=".",
                         markersize=2, label=f"{name} {label}")  # fmt: skip
    if lines["good"]:
        rate.plot(
            *broken(lines["good"], SILENT_LOAD),
            color=colour,
            linewidth=1.3,
            marker=".",
            markersize=2,
            label=f"{name} good",
        )
    if lines["failed"]:
        rate.plot(*broken(lines["failed"], SILENT_LOAD), color=colour, linestyle=DASHES[2], linewidth=1.6, marker="x",
                  markersize=3.5, label=f"{name} failed")  # fmt: skip


def _memory(report: Report) -> "Figure | None":
    """Memory of every service."""
    series = memory_series(report)
    if not series:
        return None
    figure, (axis,) = figure_of(1, 3.6, "Memory of every service")
    for index, (name, points) in enumerate(series.items()):
        axis.plot(*broken(points), color=COLOURS[index % len(COLOURS)], linestyle=DASHES[index // 3 % len(DASHES)],
                  linewidth=1.3, label=plain(name))  # fmt: skip
    axis.set_ylabel("memory, MB\n(page cache left out)")
    axis.margins(y=0.15)
    mark(report, [axis])
    axis.set_ylim(bottom=0)
    legend(axis)
    return figure


def _health(report: Report) -> "Figure | None":
    """What each service said of itself: a strip each, thick where it was not healthy."""
    looks = health_spans(report)
    if not looks:
        return None
    figure, (axis,) = figure_of(
        1, 1.2 + 0.3 * len(looks), "Health as each service said it: thin and green is healthy, thick and dark is not"
    )
    names = list(reversed(looks))  # the first at the top
    for row, name in enumerate(names):
        for colour, healthy, height in (("#7fb77e", True, 0.16), ("#7f1d1d", False, 0.62)):
            spans = [(start, end - start) for start, end in looks[name][healthy]]
            axis.broken_barh(spans, (row - height / 2, height), facecolors=colour, label=None)
    axis.set_yticks(range(len(names)), [plain(name) for name in names])
    axis.set_ylim(-0.6, len(names) + 0.1)
    mark(report, [axis])
    return figure
