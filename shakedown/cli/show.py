"""`validate`, `runs`, `report`, `schema`."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from shakedown.cli.console import err, out, paint
from shakedown.errors import StoreError, UsageError
from shakedown.plan import json_schema, load_plan, planned_stages
from shakedown.units import format_duration
from shakedown.verdict import Verdict

if TYPE_CHECKING:
    from shakedown.results import Results, RunInfo

__all__ = ["find_run", "list_runs", "print_schema", "render", "validate_plan"]

LONGEST_PROFILE = 20
NO_RUN = "there is no run yet"
HOW_TO_RUN = "`shakedown run PLAN` makes one"


def validate_plan(plan: Path, profile: str | None, overrides: list[str]) -> None:
    """Check a plan and say what it would do."""
    loaded = load_plan(plan, profile=profile, overrides=overrides, environ=os.environ)
    if loaded.plan.report.templates:
        from shakedown.reports import check_template

        for name in loaded.plan.report.templates:
            check_template(loaded.base / name)
    from shakedown.services.compose import check_project

    unasked = check_project(loaded.plan, loaded.base)
    if unasked is not None:
        err.print(escape(f"the Compose project was not read by Compose itself: {unasked}"))
    planned = planned_stages(loaded.plan)
    out.print(f"{escape(str(plan))}: no errors")
    count = len(loaded.plan.services)
    in_all = format_duration(sum(stage.seconds for stage in planned.values()))
    out.print(f"{count} service{'s' if count != 1 else ''}; planned: {in_all} in all")
    for name, stage in planned.items():
        out.print(f"  {name}: {stage}")


def list_runs(root: Path, limit: int) -> None:
    """The newest runs: a line each, so that other programs can pick it; on a terminal the reason stands below.

    Raises:
        StoreError: the results cannot be read.
    """
    from shakedown.reports import reading

    results = _results(root)
    with reading("the list of runs"):
        found = results.runs(limit) if results is not None else []
    if not found:
        err.print(f"{NO_RUN}; {HOW_TO_RUN}")
        return
    rows = [("run", "verdict", "took", "profile", "why"), *(_row(info) for info in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for number, (name, verdict, took, profile, why) in enumerate(rows):
        word = paint(verdict) if number else verdict
        line = (
            f"{escape(name):{widths[0]}}  {word}{' ' * (widths[1] - len(verdict))}  {took:{widths[2]}}  "
            f"{escape(profile)}{' ' * (widths[3] - len(profile))}"
        )
        if not out.is_terminal:
            out.print(f"{line}  {escape(why)}".rstrip(), emoji=False)
            continue
        if number:
            out.print(line.rstrip(), emoji=False)
            if why and verdict != "passed":
                out.print(f"    {escape(_cut(why, out.width - 4))}", style="dim", no_wrap=True, emoji=False)
        else:
            out.print(line.rstrip(), style="dim", emoji=False)


def _row(info: "RunInfo") -> tuple[str, str, str, str, str]:
    from shakedown.reports import tidy

    word = str(info.verdict) if info.verdict else info.status
    took = format_duration(info.ended_at) if info.ended_at is not None else "–"
    why = tidy(info.reason) if info.verdict is not Verdict.ERROR else (info.reason.splitlines() or [""])[0]
    return info.id, word, took, _cut(_plain(info.profile or "–"), LONGEST_PROFILE), _plain(why)


def _plain(text: str) -> str:
    """Stored text without what would move a terminal's cursor or colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def render(
    run: str, root: Path, folder: Path | None, *, as_json: bool, in_terminal: bool, template: Path | None = None
) -> None:
    """Render a run's report again, or print its summary, or the report itself, or what a template makes of it.

    Raises:
        ReportError: it cannot be written.
        StoreError: the results cannot be read.
        UsageError: there is no such run, the template is wrong, or it is to be printed in two ways.
    """
    from shakedown.reports import check_template, markdown_text, own_report, own_text, summary_text, write_report

    ways = [
        name for name, wanted in (("--json", as_json), ("--terminal", in_terminal), ("--template", template)) if wanted
    ]
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} each say what is printed", hint="take one of them")
    if template is not None:
        check_template(template)

    results, info = find_run(run, root)
    if template is not None:
        if folder is None:
            sys.stdout.write(own_text(results, info.id, template))
        else:
            out.print(escape(str(own_report(results, info.id, template, folder))))
        return
    printed = as_json or in_terminal
    if folder is not None or not printed:
        path = write_report(results, info.id, folder or root / "runs" / info.id / "report")
        if not printed:
            out.print(escape(str(path)))
    if in_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(markdown_text(results, info.id), hyperlinks=False), emoji=False, soft_wrap=False)
    if as_json:
        sys.stdout.write(summary_text(results, info.id))


def find_run(run: str, root: Path) -> "tuple[Results, RunInfo]":
    """A run, by its name, the beginning of it, or `last`.

    Raises:
        StoreError: the results cannot be read.
        UsageError: there is no such run.
    """
    from shakedown.reports import reading

    results = _results(root)
    if results is None:
        raise UsageError(f"{NO_RUN} in {root}", hint=HOW_TO_RUN)
    with reading(f"the run {run!r}"):
        return results, results.run(run)


def _results(root: Path) -> "Results | None":
    """The results of a folder, or of SHAKEDOWN_DATABASE_URL; None where nothing was ever written: looking makes nothing.

    Raises:
        StoreError: they cannot be opened.
    """
    from shakedown.results import Results, Store
    from shakedown.results.database import VARIABLE

    if not os.environ.get(VARIABLE):
        if root.exists() and not root.is_dir():
            raise StoreError(f"{root} is not a folder: results cannot be there", hint="name another one with --root")
        if not (root / "shakedown.db").exists():
            return None
    return Results(Store.open(root).engine)


def print_schema(*, of_summary: bool) -> None:
    """The JSON Schema of plans, or of summary.json."""
    from shakedown.reports import summary_schema

    sys.stdout.write(json.dumps(summary_schema() if of_summary else json_schema(), indent=2) + "\n")
