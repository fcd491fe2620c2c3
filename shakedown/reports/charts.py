"""SVG charts over one time axis, with fault windows shaded and named.

Colour is never the only signal: lines differ in dash and are labelled, windows are hatched and named. The background is
light and stays so in dark viewers, because the text of the charts is dark.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.analysis.evidence import histogram_between
from shakedown.records.load import LoadResult, Outcome
from shakedown.reports.model import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_charts"]

WIDTH = 11.0
GAP = 2.5  # a silence longer than this breaks a line, seconds
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
MEGA = 1e6
LONGEST_NAME = 40


def draw_charts(report: Report, folder: Path) -> dict[str, str]:
    """Draw what there is data for; file names by what they show."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that only reports pay

    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, str] = {}
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "shakedown", "font.family": "DejaVu Sans",
        "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#dddddd",
        "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "figure.facecolor": "white",
    }  # fmt: skip
    charts: dict[str, Callable[[Report], Figure | None]] = {
        "latency": _latency, "memory": _memory, "health": _health,
    }  # fmt: skip
    with mpl.rc_context(settings), warnings.catch_warnings():
        # With text kept as text, the viewer's font draws what ours has not.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, draw in charts.items():
            figure = draw(report)
            if figure is not None:
                buffer = io.BytesIO()
                figure.savefig(
                    buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": "Shakedown"}
                )
                (folder / f"{name}.svg").write_bytes(buffer.getvalue())
                drawn[name] = f"{name}.svg"
    return drawn


def _plain(name: str) -> str:
    """A name as one short line of text that is not taken for a formula."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", name).strip()
    return (text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…").replace("$", "\\$")


def _figure(rows: int, height: float, ratios: Sequence[float] | None = None) -> "tuple[Figure, list[Axes]]":
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - see draw_charts
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios)
    return figure, list(grid[:, 0])


def _mark(report: Report, axes: "Sequence[Axes]") -> None:
    """Stages as boundaries with names on the top axis; faults as hatched windows, numbered in time."""
    for axis in axes:
        for stage in report.stages:
            if stage.start is not None:
                axis.axvline(stage.start, color="#888888", linewidth=0.8, linestyle=(0, (2, 2)))
        for info in report.experiments:
            if info.record.applied_at is not None:
                end = info.record.reverted_at if info.record.reverted_at is not None else info.record.applied_at
                axis.axvspan(
                    info.record.applied_at,
                    end,
                    facecolor="#f4c7c3",
                    edgecolor="#c0504d",
                    hatch="///",
                    linewidth=0,
                    alpha=0.55,
                )
                if info.recovery is not None and info.recovery.recovered_after is not None:
                    axis.axvline(end + info.recovery.recovered_after, color="#2e7d32", linewidth=1.0)
    top = axes[0]
    for stage in report.stages:
        if stage.start is not None:
            top.annotate(
                stage.name, (stage.start, 1.01), xycoords=("data", "axes fraction"), fontsize=8.5, color="#333333"
            )
    numbered = [info for info in report.experiments if info.record.applied_at is not None]
    for number, info in enumerate(numbered, 1):
        start, end = info.record.applied_at or 0.0, info.record.reverted_at or info.record.applied_at or 0.0
        for axis in axes:
            axis.annotate(str(number), ((start + end) / 2, 0.9), xycoords=("data", "axes fraction"), ha="center", fontsize=9,
                          weight="bold", color="#7f1d1d")  # fmt: skip
    if numbered:
        names = "   ".join(f"{number} {_plain(info.record.name)}" for number, info in enumerate(numbered, 1))
        axes[-1].annotate(f"faults (hatched):  {names}     green line: recovered", (0, -0.27), xycoords="axes fraction", fontsize=8,
                          color="#7f1d1d", annotation_clip=False)  # fmt: skip
    axes[-1].set_xlabel("seconds since the run began", labelpad=2)


def _broken(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """A line with gaps where there was nothing."""
    xs: list[float] = []
    ys: list[float] = []
    for x, y in points:
        if xs and x - xs[-1] > GAP:
            xs.append(x)
            ys.append(float("nan"))
        xs.append(x)
        ys.append(y)
    return xs, ys


def _by_second(load: LoadResult) -> list[int]:
    return sorted({key.second for key in load.buckets})


def _latency(report: Report) -> "Figure | None":
    """Percentiles of the response time, and answers and errors per second."""
    if not report.loads:
        return None
    figure, (latency, throughput) = _figure(2, 6.2, (3, 2))
    scenarios = list(dict.fromkeys(load.load for load in report.loads))
    for index, name in enumerate(scenarios):
        colour = COLOURS[index % len(COLOURS)]
        points: dict[str, list[tuple[float, float]]] = {"p50": [], "p95": [], "p99": [], "ok": [], "bad": []}
        for load in (load for load in report.loads if load.load == name):
            counts: dict[int, list[int]] = {}
            for key, bucket in load.buckets.items():
                if key.outcome is not Outcome.CANCELLED:
                    counts.setdefault(key.second, [0, 0])[key.outcome is not Outcome.OK] += bucket.response.count
            for second in _by_second(load):
                histogram = histogram_between(load, start=second, end=second + 1)
                for label, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                    value = histogram.quantile(q)
                    if value is not None:
                        points[label].append((second + 0.5, max(value * 1e3, 0.05)))
                ok, bad = counts.get(second, [0, 0])
                points["ok"].append((second + 0.5, ok))
                if bad:
                    points["bad"].append((second + 0.5, bad))
        for dash, label in ((DASHES[0], "p50"), (DASHES[1], "p95"), (DASHES[2], "p99")):
            latency.plot(*_broken(points[label]), color=colour, linestyle=dash, linewidth=1.2, label=f"{name} {label}")
        throughput.plot(*_broken(points["ok"]), color=colour, linewidth=1.3, label=f"{name} good")
        if points["bad"]:
            throughput.plot(*_broken(points["bad"]), color=colour, linestyle=DASHES[2], linewidth=1.6, marker="x",
                            markersize=3.5, label=f"{name} failed")  # fmt: skip
    latency.set_yscale("log")
    latency.set_ylabel("response time, ms (log)\nfrom the intended start")
    latency.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    throughput.set_ylabel("requests per second")
    throughput.set_ylim(bottom=0)
    _mark(report, [latency, throughput])
    latency.legend(ncols=3, fontsize=8, loc="upper left", bbox_to_anchor=(0, 1.0))
    throughput.legend(ncols=4, fontsize=8, loc="upper left")
    return figure


def _memory(report: Report) -> "Figure | None":
    """Memory of every service."""
    names = [name for name, kind, _ in report.services if kind != "external"]
    series = {
        name: [(sample.at, sample.value / MEGA) for sample in report.samples
               if sample.source == name and sample.series == "memory"]
        for name in names
    }  # fmt: skip
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    figure, (axis,) = _figure(1, 3.6)
    for index, (name, points) in enumerate(series.items()):
        axis.plot(*_broken(points), color=COLOURS[index % len(COLOURS)], linestyle=DASHES[index // 3 % len(DASHES)],
                  linewidth=1.3, label=name)  # fmt: skip
    axis.set_ylabel("memory, MB\n(page cache left out)")
    axis.set_ylim(bottom=0)
    _mark(report, [axis])
    axis.legend(ncols=1, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _health(report: Report) -> "Figure | None":
    """What each service said of itself: a strip each, unhealthy above the line."""
    names = list(dict.fromkeys(probe.service for probe in report.probes))
    if not names:
        return None
    figure, (axis,) = _figure(1, 0.9 + 0.3 * len(names))
    for row, name in enumerate(names):
        looks = [probe for probe in report.probes if probe.service == name]
        for colour, healthy, height in (("#7fb77e", True, 0.16), ("#7f1d1d", False, 0.66)):
            spans = _spans([(probe.at, probe.healthy) for probe in looks], healthy=healthy)
            axis.broken_barh(spans, (row - height / 2, height), facecolors=colour, label=None)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(-0.7, len(names) - 0.3)
    axis.set_title(
        "health as each service said it: thin and green is healthy, thick and dark is not",
        fontsize=8.5,
        loc="left",
        pad=16,
    )
    _mark(report, [axis])
    return figure


def _spans(looks: Sequence[tuple[float, bool]], *, healthy: bool) -> list[tuple[float, float]]:
    """Start and length of the times in which consecutive looks said the same."""
    spans: list[tuple[float, float]] = []
    for index, (at, said) in enumerate(looks):
        end = looks[index + 1][0] if index + 1 < len(looks) else at + 0.1
        if said is not healthy or end - at > GAP:
            continue
        if spans and abs(spans[-1][0] + spans[-1][1] - at) < 1e-6:
            spans[-1] = (spans[-1][0], end - spans[-1][0])
        else:
            spans.append((at, end - at))
    return spans
