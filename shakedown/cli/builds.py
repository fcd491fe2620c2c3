"""`shakedown compare PLAN --build A --build B`: both builds run in turn, then compared.

The order is A B B A, A B B A, …: whatever the machine does slowly, such as getting warm or busy, meets both alike.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.markup import escape

from shakedown.cli.compare import compare_groups, conclude, show_comparison
from shakedown.cli.console import err
from shakedown.cli.opened import open_results
from shakedown.cli.repeat import ended_run, run_child
from shakedown.errors import UsageError
from shakedown.records.figures import Change

if TYPE_CHECKING:
    from shakedown.results import RunInfo

__all__ = ["Build", "compare_builds", "order_of", "parse_builds"]

MOST_RUNS = 50  # a side


@dataclass(frozen=True, slots=True)
class Build:
    """What is tested, and how the plan gets it.

    Attributes:
        overrides: changes to the plan, as `--set` has them.
        environment: variables for the plan's `${NAME}`.
    """

    name: str
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def parse_builds(texts: Sequence[str]) -> tuple[Build, Build]:
    """Two builds from `NAME=KEY=VALUE`; a key with a dot changes the plan, any other is a variable of it.

    Raises:
        UsageError: there are not two, or one is not written like this.
    """
    found: dict[str, Build] = {}
    for text in texts:
        name, _, setting = text.partition("=")
        key, equals, value = setting.partition("=")
        if not name or not key or not equals:
            raise UsageError(
                f"--build {text}: write NAME=KEY=VALUE",
                hint="such as old=API_IMAGE=api:1.2 or new=services.api.image=api:1.3; may be repeated for one name",
            )
        build = found.setdefault(name, Build(name))
        if "." in key:
            build.overrides.append(f"{key}={value}")
        else:
            build.environment[key] = value
    if len(found) != 2:
        raise UsageError(f"two builds are compared, not {len(found)}: {', '.join(found) or 'none'}")
    first, second = found.values()
    if (first.overrides, first.environment) == (second.overrides, second.environment):
        raise UsageError(f"the builds {first.name} and {second.name} are the same")
    return first, second


def order_of(runs: int) -> list[int]:
    """Which build runs when, 0 or 1, so that each has `runs` of them and none is always first."""
    order: list[int] = []
    for pair in range(runs):
        order += [0, 1] if pair % 2 == 0 else [1, 0]
    return order


def compare_builds(
    targets: Sequence[str], builds: Sequence[str], root: Path, *, runs: int, profile: str | None, overrides: Sequence[str],
    figures: Sequence[str], as_json: bool, allow_inconclusive: bool,
) -> NoReturn:  # fmt: skip
    """Run both builds in turn, compare them, and end with the exit code of what came of it.

    Raises:
        PlanError: the plan, with a build's changes, is wrong.
        UsageError: the builds are not two, or one of them came to no verdict.
    """
    if len(targets) != 1:
        raise UsageError("with --build one plan is given, not two groups of runs")
    if not 2 <= runs <= MOST_RUNS:
        raise UsageError(f"--runs is from 2 to {MOST_RUNS} for each build, not {runs}")
    both = parse_builds(builds)
    planned = _check(Path(targets[0]), both, profile, overrides)
    total = 2 * runs
    err.print(
        f"{total} runs, {runs} of each build in turn, about {total * planned:.0f} s of planned load in all; suites, "
        "recoveries, and loads that end when their work is done come on top"
    )
    groups: tuple[list[RunInfo], list[RunInfo]] = ([], [])
    for number, side in enumerate(order_of(runs), 1):
        build = both[side]
        err.print(f"run {number} of {total}: {escape(build.name)}")
        arguments = ["run", targets[0], "--root", str(root), "--build", build.name]
        arguments += ["--profile", profile] if profile else []
        for override in (*overrides, *build.overrides):
            arguments += ["--set", override]
        code, pid = run_child(arguments, build.environment)
        _, results = open_results(root)
        groups[side].append(ended_run(results, code, pid))
    store, results = open_results(root)
    found = compare_groups(store, results, (both[0].name, both[1].name), groups, figures=figures)
    show_comparison(found, as_json=as_json)
    needed = [one.needed for one in found.differences.values() if one.change is Change.INCONCLUSIVE]
    known = [number for number in needed if number is not None]
    if known:
        err.print(
            f"for a verdict on every figure: --runs {max(known)}" + ("" if len(known) == len(needed) else " or more")
        )
    sys.stdout.flush()
    conclude(found, allow_inconclusive=allow_inconclusive)


def _check(plan: Path, builds: Sequence[Build], profile: str | None, overrides: Sequence[str]) -> float:
    """Load the plan as each build has it, before anything is run; the planned time of a run, seconds."""
    from shakedown.plan import load_plan, planned_durations

    planned = 0.0
    for build in builds:
        environ: Mapping[str, str] = {**os.environ, **build.environment}
        loaded = load_plan(plan, profile=profile, overrides=[*overrides, *build.overrides], environ=environ)
        planned = max(planned, sum(planned_durations(loaded.plan).values()))
    return planned
