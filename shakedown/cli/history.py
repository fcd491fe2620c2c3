"""`shakedown history`: all runs of a plan and all of its figures over them, in the terminal or as a page."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from shakedown.cli.console import err, out, paint
from shakedown.cli.opened import open_results, plan_name
from shakedown.cli.trend import colour_of
from shakedown.errors import ReportError, UsageError
from shakedown.records.figures import show_value

if TYPE_CHECKING:
    from shakedown.reports.history import History, Trend
    from shakedown.results import Results

__all__ = ["show_history"]

STRIP = 60  # runs whose verdicts are shown in one line


def show_history(
    plan: str | None, root: Path, *, profile: str | None, limit: int, as_page: bool, output: Path | None
) -> None:
    """Print a plan's history, or write it as a page and print where it is.

    Raises:
        ReportError: the page cannot be written.
        UsageError: there is no such plan, or nothing to be written.
    """
    from shakedown.reports import reading
    from shakedown.reports.history import collect_history
    from shakedown.results.history import figure_all

    if output is not None and not as_page:
        raise UsageError("--output is of the page", hint="add --html")
    store, results = open_results(root)
    with reading("the history"):
        name = plan_name(plan) if plan is not None else _newest_plan(results)
        figure_all(store, results, name)
        history = collect_history(results, name, profile, most_points=limit)
    if not history.runs:
        which = f" with the profile {profile}" if profile else ""
        raise UsageError(f"there is no run of {name!r}{which}", hint="`shakedown runs` lists them")
    if as_page:
        page = output or root / f"history-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.html"
        _write(history, page, root)
        out.print(escape(str(page)))
        return
    _print(history)


def _newest_plan(results: "Results") -> str:
    newest = results.runs(1)
    if not newest:
        raise UsageError("there is no run yet", hint="`shakedown run PLAN` makes one")
    return newest[0].plan


def _write(history: "History", page: Path, root: Path) -> None:
    from shakedown.reports.history_page import render_history
    from shakedown.reports.whole import write_whole

    try:
        write_whole(page, render_history(history, page, root).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ReportError(f"{page} cannot be written: {error.strerror or error}") from error


def _print(history: "History") -> None:
    runs = history.runs
    counts = ", ".join(f"{count} {word}" for word, count in history.counts.most_common())
    out.print(
        f"{escape(history.plan)}: {len(runs)} runs, {runs[-1].started:%Y-%m-%d} to {runs[0].started:%Y-%m-%d}: {counts}"
    )
    strip = [paint(str(info.verdict), info.verdict.symbol) if info.verdict else "…" for info in reversed(runs[:STRIP])]
    out.print(f"  {''.join(strip)}", emoji=False)
    for one in history.profiles:
        out.print(
            f"{f'profile {escape(one.profile)}' if one.profile else 'without a profile'}: {one.runs} comparable runs"
        )
        width = max((len(str(trend.name)) for trend in one.trends), default=0)
        for trend in one.trends:
            _print_trend(trend, width)
        if one.others > 0:
            err.print(f"{one.others} other finished runs are not in it: other work, another machine, or older")


def _print_trend(trend: "Trend", width: int) -> None:
    from shakedown.reports.amounts import sparkline
    from shakedown.reports.history import level_words

    last = trend.points[-1]
    word = paint(colour_of(last.look.change), last.word) if last.look else last.word
    bars = sparkline([point.figure.sound for point in trend.points[-STRIP:]])
    line = f"  {escape(str(trend.name)):{width}}  {show_value(last.figure.value, trend.unit):>9}  {word}{' ' * (12 - len(last.word))}  {bars}"
    out.print(line.rstrip(), emoji=False)
    for point in trend.levels:
        if point.level is not None:
            out.print(
                f"  {'':{width}}  ── {level_words(point.level, trend.unit)}, since {escape(point.peer.id)}", emoji=False
            )
