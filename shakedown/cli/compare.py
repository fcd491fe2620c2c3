"""`shakedown compare`: two groups of runs, figure by figure."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.markup import escape

from shakedown.cli.console import err, out, paint
from shakedown.cli.opened import open_results
from shakedown.cli.trend import colour_of
from shakedown.errors import ExitCode, UsageError
from shakedown.records.figures import Change, Difference, Figure, FigureName, show_value

if TYPE_CHECKING:
    from shakedown.results import Results, RunInfo, Store

__all__ = ["Comparison", "compare_groups", "compare_runs", "conclude", "show_comparison"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two groups of runs compared.

    Attributes:
        obstacles: why they may not be compared; then there is no verdict.
        differs: what differs besides what was measured.
        doubts: figures that one or more runs do not have soundly, with the reason.
    """

    names: tuple[str, str]
    groups: "tuple[Sequence[RunInfo], Sequence[RunInfo]]"
    differences: dict[FigureName, Difference]
    units: dict[FigureName, str]
    obstacles: list[str]
    differs: list[str]
    doubts: dict[FigureName, str]


def compare_runs(
    targets: Sequence[str], root: Path, *, figures: Sequence[str], effect: str | None, anyway: bool, as_json: bool,
    allow_inconclusive: bool,
) -> NoReturn:  # fmt: skip
    """Compare two groups of runs and end with the exit code of what came of it.

    Raises:
        UsageError: a group is none.
    """
    from shakedown.reports import reading

    if len(targets) != 2:
        raise UsageError(
            f"two groups of runs are compared, not {len(targets)}",
            hint="each is a run, several with commas between them, build:NAME or commit:ID; or give a plan and --build twice",
        )
    store, results = open_results(root)
    with reading("the runs"):
        first, second = (_resolve(results, text) for text in targets)
        both = {info.id for info in first} & {info.id for info in second}
        if both:
            raise UsageError(f"the run {min(both)} is on both sides")
        found = compare_groups(
            store,
            results,
            (targets[0], targets[1]),
            (first, second),
            figures=figures,
            effect=_share(effect),
            anyway=anyway,
        )
    show_comparison(found, as_json=as_json)
    conclude(found, allow_inconclusive=allow_inconclusive)


def _share(text: str | None) -> float | None:
    from shakedown.units import parse_share

    if text is None:
        return None
    try:
        share = parse_share(text)
    except ValueError as error:
        raise UsageError(f"--effect: {error}") from error
    if not 0 < share <= 1:
        raise UsageError(f"--effect is a share above 0 and up to 100%, not {text}")
    return share


def _resolve(results: "Results", text: str) -> "list[RunInfo]":
    """The runs that a group's name means."""
    found: dict[str, RunInfo] = {}
    for part in filter(None, text.split(",")):
        kind, colon, value = part.partition(":")
        if colon and kind in ("build", "commit"):
            some = results.runs_of(build=value) if kind == "build" else results.runs_of(commit=value)
            some = [info for info in some if info.status == "finished"]
            if not some or not value:
                raise UsageError(f"no finished run has the {kind} {value!r}", hint="`shakedown runs` lists them")
        else:
            some = [results.run(part)]
            if some[0].status != "finished":
                raise UsageError(f"the run {some[0].id} is {some[0].status}: only finished runs are compared")
        found.update({info.id: info for info in some})
    if not found:
        raise UsageError("a group of runs is empty")
    return list(found.values())


def compare_groups(
    store: "Store", results: "Results", names: tuple[str, str], groups: "tuple[Sequence[RunInfo], Sequence[RunInfo]]", *,
    figures: Sequence[str] = (), effect: float | None = None, anyway: bool = False,
) -> Comparison:  # fmt: skip
    """Compare two groups of runs by every figure that the plan, or the caller, asks for."""
    from shakedown.analysis.figures import FIGURES_VERSION
    from shakedown.analysis.regression import compare
    from shakedown.results.history import differences, figure_run

    for info in (*groups[0], *groups[1]):
        if info.figured != FIGURES_VERSION:
            figure_run(store, results, info.id)
    groups = ([results.run(info.id) for info in groups[0]], [results.run(info.id) for info in groups[1]])
    obstacles = _obstacles([*groups[0], *groups[1]])
    rules = _rules(groups[1][0])
    patterns = list(figures) or rules[0]
    found = [[{one.name: one for one in results.figures(info.id)} for info in group] for group in groups]
    wanted = [
        name for name in dict.fromkeys(name for group in found for run in group for name in run)
        if any(fnmatchcase(str(name), pattern) for pattern in patterns)
    ]  # fmt: skip
    sides, units, doubts = _sides(wanted, found)
    judged = (
        compare(sides, effect=effect or rules[1], spread=_spread(results, groups[0][0], sides))
        if anyway or not obstacles
        else {}
    )
    images = (results.image_digests(groups[0][-1].id), results.image_digests(groups[1][-1].id))
    differs = differences(groups[0][-1], groups[1][-1], images)
    return Comparison(names, groups, judged, units, [] if anyway else obstacles, differs, doubts)


def _obstacles(runs: "Sequence[RunInfo]") -> list[str]:
    """Why runs may not be compared."""
    found = []
    for what, values in (
        ("plans", {info.plan for info in runs}),
        ("profiles", {info.profile or "none" for info in runs}),
        ("machines", {info.machine for info in runs}),
        ("work that the plan asks for", {info.workload for info in runs}),
    ):
        if "" in values:
            found.append(f"of some runs it is not known: {what}")
        elif len(values) > 1:
            shown_values = f" ({', '.join(sorted(values))})" if what in ("plans", "profiles") else ""
            found.append(f"they differ: {what}{shown_values}")
    return found


def _rules(info: "RunInfo") -> tuple[list[str], float | None]:
    """Figures and least effect as the run's plan has them."""
    from shakedown.plan.regression import DEFAULT_FIGURES

    try:
        rules = json.loads(info.plan_json or "{}").get("regression") or {}
        effect = rules.get("effect")
        return list(rules.get("figures") or DEFAULT_FIGURES), float(effect) if effect is not None else None
    except (ValueError, TypeError, AttributeError):
        return list(DEFAULT_FIGURES), None


def _sides(
    wanted: Sequence[FigureName], found: Sequence[Sequence[Mapping[FigureName, Figure]]]
) -> tuple[dict[FigureName, tuple[list[float], list[float]]], dict[FigureName, str], dict[FigureName, str]]:
    sides: dict[FigureName, tuple[list[float], list[float]]] = {}
    units: dict[FigureName, str] = {}
    doubts: dict[FigureName, str] = {}
    for name in wanted:
        columns: list[list[float]] = []
        for group in found:
            figures = [run[name] for run in group if name in run]
            units |= {one.name: one.unit for one in figures}
            columns.append([one.sound for one in figures if one.sound is not None])
            unsound = [one.doubt for one in figures if one.doubt]
            if unsound:
                doubts[name] = f"{len(unsound)} of {len(group)} runs are left out: {unsound[0]}"
        sides[name] = (columns[0], columns[1])
    return sides, units, doubts


def _spread(
    results: "Results", info: "RunInfo", sides: Mapping[FigureName, tuple[list[float], list[float]]]
) -> dict[FigureName, float]:
    """How figures scatter among earlier comparable runs, for the number of runs that will be needed."""
    if min((len(side) for pair in sides.values() for side in pair), default=2) >= 2:
        return {}
    import numpy as np

    from shakedown.results.history import comparable

    peers, _ = comparable(results, info)
    found = {}
    for name in sides:
        values = [one.sound for peer in peers if (one := peer.figures.get(name)) is not None and one.sound]
        if len(values) >= 4:
            found[name] = float(np.std(np.log(values), ddof=1))
    return found


# ------------------------------------------------------------------------------------------------------------- showing
def show_comparison(found: Comparison, *, as_json: bool = False) -> None:
    """Print a line for each figure, or everything as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(_as_json(found), indent=2) + "\n")
        return
    before, after = found.names
    out.print(f"{escape(before)} ({len(found.groups[0])} runs) → {escape(after)} ({len(found.groups[1])} runs)")
    for line in found.differs:
        out.print(f"  {escape(line)}", emoji=False)
    for obstacle in found.obstacles:
        err.print(f"no verdict: {escape(obstacle)}")
    width = max((len(str(name)) for name in found.differences), default=0)
    for name, one in found.differences.items():
        unit = found.units.get(name, "")
        word = paint(colour_of(one.change), str(one.change)) + " " * (12 - len(str(one.change)))
        values = f"{show_value(one.before, unit):>9} → {show_value(one.after, unit):<9}"
        line = f"{escape(str(name)):{width}}  {values}  {_interval(one, unit):32}  {word}  {escape(_why(one, found, name))}"
        out.print(line.rstrip(), emoji=False)
    verdict = _sentence(found)
    if verdict:
        out.print(escape(verdict))


def _interval(one: Difference, unit: str) -> str:
    def signed(value: float) -> str:
        if one.relative:
            return f"{value:+.1%}"
        return ("+" if value >= 0 else "-") + show_value(abs(value), unit)

    if one.shift is None:
        return ""
    if one.low is None or one.high is None:
        return signed(one.shift)
    return f"{signed(one.shift)} [{signed(one.low)}, {signed(one.high)}]"


def _why(one: Difference, found: Comparison, name: FigureName) -> str:
    parts = []
    if one.change in (Change.REGRESSED, Change.IMPROVED):
        parts.append(f"confidence {min(1 - one.chance, 0.999):.1%}")
    if one.change is Change.INCONCLUSIVE:
        parts.append(one.reason)
        if one.needed is not None:
            parts.append(f"needs about {one.needed} runs a side")
    if name in found.doubts:
        parts.append(found.doubts[name])
    return "; ".join(parts)


def _sentence(found: Comparison) -> str:
    """Which group is worse, by what."""
    before, after = found.names
    worse = [str(name) for name, one in found.differences.items() if one.change is Change.REGRESSED]
    better = [str(name) for name, one in found.differences.items() if one.change is Change.IMPROVED]
    parts = [f"{after} is worse than {before} in {', '.join(worse)}"] if worse else []
    parts += [f"{after} is better than {before} in {', '.join(better)}"] if better else []
    return "; ".join(parts)


def _as_json(found: Comparison) -> dict[str, object]:
    figures = []
    for name, one in found.differences.items():
        figures.append({
            "figure": str(name), "unit": found.units.get(name, ""), "verdict": one.change.value, "before": one.before,
            "after": one.after, "runs": list(one.runs), "change": one.shift, "low": one.low, "high": one.high,
            "relative": one.relative, "chance": one.chance, "runs_needed": one.needed, "reason": _why(one, found, name),
        })  # fmt: skip
    return {
        "before": {"name": found.names[0], "runs": [info.id for info in found.groups[0]]},
        "after": {"name": found.names[1], "runs": [info.id for info in found.groups[1]]},
        "obstacles": found.obstacles, "differs": found.differs, "figures": figures,
    }  # fmt: skip


def conclude(found: Comparison, *, allow_inconclusive: bool = False) -> NoReturn:
    """End with 1 for a regression, 3 when something could not be told, 0 otherwise."""
    changes = {one.change for one in found.differences.values()}
    if Change.REGRESSED in changes:
        code = ExitCode.FAILED
    elif Change.INCONCLUSIVE in changes or not changes:
        code = ExitCode.PASSED if allow_inconclusive else ExitCode.INCONCLUSIVE
    else:
        code = ExitCode.PASSED
    if not found.differences and not found.obstacles:
        err.print("no verdict: these runs have none of the figures that are compared")
    sys.stdout.flush()
    sys.exit(int(code))
