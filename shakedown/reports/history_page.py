"""The history of a plan on one page that needs nothing else: every figure with its verdicts and changes of level, and all runs."""

import os
from pathlib import Path
from typing import Any

from shakedown.records.figures import show_value
from shakedown.reports import amounts
from shakedown.reports.history import History, Point, Trend, level_words
from shakedown.reports.page import render_page
from shakedown.reports.reasons import tidy
from shakedown.reports.text import one_line
from shakedown.results import RunInfo

__all__ = ["render_history"]

SCALES = {"B": (1e-6, "MB"), "%": (100.0, "%"), "/s": (1.0, "/s")}
MILLI = 1.0  # seconds: what is shorter is shown in milliseconds


def render_history(history: History, page: Path, root: Path) -> str:
    """The page.

    Args:
        page: where it will be: runs' reports are linked to where they lie in the same folder, or below it.
        root: the folder of the results.
    """
    return render_page(
        "history.html.j2", [_chart(trend) for one in history.profiles for trend in one.trends],
        {"show": show_value, "mark": amounts.verdict, "seconds": amounts.seconds},
        history=history, level_words=level_words, sparkline=amounts.sparkline, why=_why,
        links={info.id: _link(info, page, root) for info in history.runs},
    )  # fmt: skip


def _why(info: RunInfo) -> str:
    return "" if info.reason.startswith("every stage held") else one_line(tidy(info.reason), 160)


def _link(info: RunInfo, page: Path, root: Path) -> str:
    """The address of a run's report from the page; empty when there is none, or when it lies elsewhere."""
    report = root.absolute() / "runs" / info.id / "report" / "report.html"
    folder = page.absolute().parent
    return os.path.relpath(report, folder) if report.is_file() and report.is_relative_to(folder) else ""


def _chart(trend: Trend) -> dict[str, Any]:
    """What the script draws: a place for each run, in time."""
    factor, unit = _scale(trend)
    return {
        "name": str(trend.name),
        "unit": unit,
        "points": [_point(point, trend.unit, factor) for point in trend.points],
        "levels": [
            {
                "at": place,
                "words": level_words(point.level, trend.unit),
                "before": point.level.before * factor,
                "after": point.level.after * factor,
            }
            for place, point in enumerate(trend.points)
            if point.level is not None
        ],
    }


def _point(point: Point, unit: str, factor: float) -> dict[str, Any]:
    value = point.figure.value
    return {
        "run": point.peer.id,
        "at": f"{point.peer.started:%Y-%m-%d %H:%M}",
        "value": None if value is None else round(value * factor, 6),
        "shown": show_value(value, unit),
        "sound": point.figure.sound is not None,
        "verdict": point.word,
        "why": point.why,
        "tested": point.tested,
    }


def _scale(trend: Trend) -> tuple[float, str]:
    """Factor and unit in which the values of a trend are read best."""
    if trend.unit != "s":
        return SCALES.get(trend.unit, (1.0, trend.unit))
    known = [point.figure.value for point in trend.points if point.figure.value is not None]
    return (1e3, "ms") if max(known, default=0.0) < MILLI else (1.0, "s")
