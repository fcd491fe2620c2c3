"""`shakedown trend`: one figure over all comparable runs, with verdicts and changes of level."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from shakedown.cli.console import err, out, paint
from shakedown.cli.opened import open_results, plan_name
from shakedown.errors import UsageError
from shakedown.records.figures import Change, FigureName, Outlook, show_value

if TYPE_CHECKING:
    from shakedown.analysis.changepoints import ChangePoint
    from shakedown.results import Results, RunInfo
    from shakedown.results.queries import Peer

__all__ = ["colour_of", "show_trend", "sparkline"]

BARS = "▁▂▃▄▅▆▇█"
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
    _show(newest, wanted, peers, others, as_json=as_json)


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


def _show(newest: "RunInfo", name: FigureName, peers: "Sequence[Peer]", others: int, *, as_json: bool) -> None:
    from shakedown.analysis.changepoints import find_changes
    from shakedown.analysis.regression import yardstick

    figures = [peer.figures[name] for peer in peers]
    sound = [(index, one.sound) for index, one in enumerate(figures) if one.sound is not None]
    looks = _looks(name, [value for _, value in sound])
    by_place = {index: look for (index, _), look in zip(sound, looks, strict=True)}
    changes = find_changes([value for _, value in sound], yardstick(name.metric))
    marks = {sound[change.at][0]: change for change in changes}
    unit = figures[-1].unit
    if as_json:
        sys.stdout.write(json.dumps(_as_json(newest, name, peers, by_place, marks), indent=2) + "\n")
        return
    profile = f", profile {escape(newest.profile)}" if newest.profile else ""
    out.print(
        f"{escape(str(name))} of {escape(newest.plan)}{profile}: {len(peers)} runs, {len(changes)} changes of level"
    )
    out.print(f"  {sparkline([one.sound for one in figures])}")
    if marks:
        out.print(f"  {''.join('^' if place in marks else ' ' for place in range(len(peers)))}".rstrip())
    width = max(len(peer.id) for peer in peers)
    for place, (peer, figure) in enumerate(zip(peers, figures, strict=True)):
        if place in marks:
            out.print(f"  ── {_words(marks[place], unit)}", emoji=False)
        look = by_place.get(place)
        word = str(look.change) if look else "not compared"
        why = figure.doubt or (look.reason if look and look.change is not Change.UNCHANGED else "")
        painted = paint(_COLOURS[look.change], word) if look else word
        what = " ".join(filter(None, [peer.build, peer.git_commit[:10] + ("+" if peer.git_dirty else "")]))
        line = (
            f"{escape(peer.id):{width}}  {peer.started:%Y-%m-%d %H:%M}  {show_value(figure.value, unit):>9}  {painted}"
            f"{' ' * (12 - len(word))}  {escape(what)}"
        )
        out.print(f"{line}  {escape(why)}".rstrip() if why else line.rstrip(), emoji=False)
    if others > 0:
        err.print(
            f"{others} other finished runs are not shown: other work, another machine, without this figure, or older"
        )


def _looks(name: FigureName, values: Sequence[float]) -> list[Outlook]:
    """How each run looked when it was the newest."""
    from shakedown.analysis.regression import look_back

    return [look_back({name: values[: end + 1]})[name] for end in range(len(values))]


def _words(change: "ChangePoint", unit: str) -> str:
    by = "" if change.shift is None else f" ({change.shift:+.1%})"
    return f"level changed: {show_value(change.before, unit)} → {show_value(change.after, unit)}{by}, by chance at most {change.chance:.1%}"


def _as_json(
    newest: "RunInfo", name: FigureName, peers: "Sequence[Peer]", looks: dict[int, Outlook],
    marks: "dict[int, ChangePoint]",
) -> dict[str, object]:  # fmt: skip
    rows = []
    for place, peer in enumerate(peers):
        figure, look, mark = peer.figures[name], looks.get(place), marks.get(place)
        rows.append({
            "run": peer.id, "started": peer.started.isoformat(), "value": figure.value, "samples": figure.samples,
            "doubt": figure.doubt, "build": peer.build, "commit": peer.git_commit, "verdict": look.change.value if look else None,
            "usual": look.usual if look else None, "limit": look.limit if look else None,
            "level_changed_from": mark.before if mark else None, "level_changed_to": mark.after if mark else None,
        })  # fmt: skip
    unit = peers[-1].figures[name].unit
    return {"plan": newest.plan, "profile": newest.profile, "figure": str(name), "unit": unit, "runs": rows}


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, from the least to the greatest; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BARS[round((value - low) * scale)] for value in values)


def colour_of(change: Change) -> str:
    """The verdict whose colour a change has."""
    return _COLOURS[change]
