"""The time axis that every chart shares: the same span, stages as named boundaries, faults as numbered windows.

Colour is never the only signal: windows are hatched and numbered, and the numbers are explained below the chart.
"""

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shakedown.reports.model import Report
from shakedown.reports.series import SILENT_SAMPLER
from shakedown.results.queries import ExperimentInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["WIDTH", "broken", "figure_of", "legend", "mark", "plain"]

WIDTH = 11.0
LONGEST_NAME = 40
CLOSE = 0.075  # names of stages that are nearer than this share of the axis stand one above the other
LINE = 150  # characters of the line of faults


def plain(name: str) -> str:
    """A name as one short line of text that is not taken for a formula."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", name).strip()
    return (text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…").replace("$", "\\$")


def figure_of(
    rows: int, height: float, title: str, ratios: Sequence[float] | None = None
) -> "tuple[Figure, list[Axes]]":
    """A figure of charts one above the other, with one time axis."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - half a second that only reports pay
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    grid = figure.subplots(
        rows,
        1,
        sharex=True,
        squeeze=False,
        height_ratios=ratios,
        gridspec_kw={"left": 0.09, "right": 0.83, "hspace": 0.08},
    )
    axes = list(grid[:, 0])
    axes[0].set_title(title, fontsize=10, loc="left", pad=26)
    return figure, axes


def legend(axis: "Axes") -> None:
    """A legend beside the chart, where it hides nothing and the charts stay aligned."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(ncols=1, fontsize=8, loc="upper left", bbox_to_anchor=(1.005, 1.02), borderaxespad=0)


def mark(report: Report, axes: "Sequence[Axes]") -> None:
    """Draw what every chart has in common; called after the data."""
    span = max(report.end, 1.0)
    for axis in axes:
        axis.set_xlim(0, span * 1.005)
    _stages(report, axes, span)
    shaded = [(number, info) for number, info in enumerate(report.experiments, 1) if info.record.applied_at is not None]
    for number, info in shaded:
        _window(report, axes, number, info)
    axes[-1].set_xlabel("seconds since the run began", labelpad=2)
    if shaded:
        names = " · ".join(f"{number} {plain(info.record.name)}" for number, info in shaded)
        words = textwrap.wrap(f"faults (hatched): {names} · green line: recovered", LINE)
        axes[-1].annotate("\n".join(words), (0, 0), xycoords="axes fraction", xytext=(0, -34), textcoords="offset points",
                          fontsize=8, color="#7f1d1d", va="top", annotation_clip=False)  # fmt: skip


def _stages(report: Report, axes: "Sequence[Axes]", span: float) -> None:
    last, raised = float("-inf"), False
    for stage in report.stages:
        if stage.start is None:
            continue
        raised = not raised and stage.start - last < CLOSE * span
        last = stage.start
        for axis in axes:
            axis.axvline(stage.start, color="#888888", linewidth=0.8, linestyle=(0, (2, 2)), gid=f"stage-{stage.name}")
        axes[0].annotate(plain(stage.name), (stage.start, 1), xycoords=("data", "axes fraction"), xytext=(0, 13 if raised else 3),
                         textcoords="offset points", fontsize=8.5, color="#333333", annotation_clip=False)  # fmt: skip


def _window(report: Report, axes: "Sequence[Axes]", number: int, info: ExperimentInfo) -> None:
    """From injection to revert; to the last that is known, when the run ended before."""
    start = info.record.applied_at or 0.0
    reverted = info.record.reverted_at
    end = reverted if reverted is not None else max(report.end, start)
    back = info.recovery.recovered_after if info.recovery is not None else None
    for axis in axes:
        axis.axvspan(start, end, facecolor="#f9dedb", edgecolor="#d99694", hatch="///", linewidth=0, zorder=0.4,
                     gid=f"fault-{number}")  # fmt: skip
        axis.annotate(str(number), ((start + end) / 2, 1), xycoords=("data", "axes fraction"), xytext=(0, -3),
                      textcoords="offset points", ha="center", va="top", fontsize=8.5, weight="bold", color="#7f1d1d")  # fmt: skip
        if back is not None and reverted is not None:
            axis.axvline(reverted + back, color="#2e7d32", linewidth=1.0, gid=f"recovered-{number}")


def broken(points: Sequence[tuple[float, float]], gap: float = SILENT_SAMPLER) -> tuple[list[float], list[float]]:
    """A line with gaps where there was nothing."""
    xs: list[float] = []
    ys: list[float] = []
    for x, y in points:
        if xs and x - xs[-1] > gap:
            xs.append(x)
            ys.append(float("nan"))
        xs.append(x)
        ys.append(y)
    return xs, ys
