"""`shakedown trend`: one figure over all comparable runs, with verdicts and changes of level."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from shakedown.cli.console import err, out, paint
from shakedown.cli.opened import open_results, plan_name
from shakedown.errors import UsageError
from shakedown.records.figures import Change, FigureName, show_value

if TYPE_CHECKING:
    from shakedown.reports.history import Trend
    from shakedown.results import Results, RunInfo

__all__ = ["colour_of", "show_trend"]

_COLOURS = {
    Change.REGRESSED: "failed", Change.SUSPECT: "inconclusive", Change.IMPROVED: "passed", Change.UNCHANGED: "skipped",
    Change.INCONCLUSIVE: "skipped",
}  # fmt: skip


def show_trend(plan: str, figure: str | None, root: Path, *, profile: str | None, limit: int, as_json: bool) -> None:
    """Print a figure's history, or which figures there are.

    Raises:
        UsageError: there is no such plan or figure.
    """
    from shakedown.reports import reading
    from shakedown.reports.history import trend_of
    from shakedown.results.history import figure_all

    store, results = open_results(root)
    with reading("the history"):
        name = plan_name(plan)
        figure_all(store, results, name)
        newest = _newest(results, name, profile)
        if figure is None:
            _list_figures(results, newest)
            return
        try:
            wanted = FigureName.parse(figure)
        except ValueError as error:
            raise UsageError(str(error), hint=f"`shakedown trend {name}` lists the figures") from error
        peers = results.peers(
            name, newest.profile, workload=newest.workload, machine=newest.machine, name=wanted, limit=limit
        )
        others = results.count(name, newest.profile) - len(peers)
    if not peers:
        raise UsageError(
            f"no run of {name} has the figure {figure}", hint=f"`shakedown trend {name}` lists the figures"
        )
    _show(newest, trend_of(wanted, peers), others, as_json=as_json)


def _newest(results: "Results", plan: str, profile: str | None) -> "RunInfo":
    for info in results.runs(200, plan):
        if info.status == "finished" and (profile is None or info.profile == profile):
            return info
    which = f" with the profile {profile}" if profile else ""
    raise UsageError(f"there is no finished run of {plan!r}{which}", hint="`shakedown runs` lists them")


def _list_figures(results: "Results", newest: "RunInfo") -> None:
    for one in results.figures(newest.id):
        doubt = f"  ({escape(one.doubt)})" if one.doubt else ""
        out.print(f"{escape(str(one.name))}  {show_value(one.value, one.unit)}{doubt}", emoji=False)


def _show(newest: "RunInfo", trend: "Trend", others: int, *, as_json: bool) -> None:
    from shakedown.reports.amounts import sparkline
    from shakedown.reports.history import level_words

    if as_json:
        sys.stdout.write(json.dumps(_as_json(newest, trend), indent=2) + "\n")
        return
    points, levels = trend.points, trend.levels
    profile = f", profile {escape(newest.profile)}" if newest.profile else ""
    out.print(
        f"{escape(str(trend.name))} of {escape(newest.plan)}{profile}: {len(points)} runs, {len(levels)} changes of level"
    )
    out.print(f"  {sparkline([point.figure.sound for point in points])}")
    if levels:
        out.print(f"  {''.join('^' if point.level else ' ' for point in points)}".rstrip())
    width = max(len(point.peer.id) for point in points)
    for point in points:
        if point.level is not None:
            out.print(f"  ── level changed: {level_words(point.level, trend.unit)}", emoji=False)
        painted = paint(_COLOURS[point.look.change], point.word) if point.look else point.word
        line = (
            f"{escape(point.peer.id):{width}}  {point.peer.started:%Y-%m-%d %H:%M}  "
            f"{show_value(point.figure.value, trend.unit):>9}  {painted}{' ' * (12 - len(point.word))}  {escape(point.tested)}"
        )
        out.print(f"{line}  {escape(point.why)}".rstrip() if point.why else line.rstrip(), emoji=False)
    if others > 0:
        err.print(
            f"{others} other finished runs are not shown: other work, another machine, without this figure, or older"
        )


def _as_json(newest: "RunInfo", trend: "Trend") -> dict[str, object]:
    rows = []
    for point in trend.points:
        peer, figure, look, mark = point.peer, point.figure, point.look, point.level
        rows.append({
            "run": peer.id, "started": peer.started.isoformat(), "value": figure.value, "samples": figure.samples,
            "doubt": figure.doubt, "build": peer.build, "commit": peer.git_commit, "verdict": look.change.value if look else None,
            "usual": look.usual if look else None, "limit": look.limit if look else None,
            "level_changed_from": mark.before if mark else None, "level_changed_to": mark.after if mark else None,
        })  # fmt: skip
    return {
        "plan": newest.plan, "profile": newest.profile, "figure": str(trend.name), "unit": trend.unit, "runs": rows,
    }  # fmt: skip


def colour_of(change: Change) -> str:
    """The verdict whose colour a change has."""
    return _COLOURS[change]
