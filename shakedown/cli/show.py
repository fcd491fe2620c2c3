"""`validate`, `runs`, `report`, `schema`, `init`."""

import json
import os
import sys
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from shakedown.cli.console import err, out, paint
from shakedown.errors import UsageError
from shakedown.plan import json_schema, load_plan, planned_durations, starter_plan
from shakedown.units import format_duration

__all__ = ["list_runs", "print_schema", "render", "validate_plan", "write_starter"]


def validate_plan(plan: Path, profile: str | None, overrides: list[str]) -> None:
    """Check a plan and say what it would do."""
    loaded = load_plan(plan, profile=profile, overrides=overrides, environ=os.environ)
    planned = planned_durations(loaded.plan)
    out.print(f"{escape(str(plan))}: no errors")
    parts = ", ".join(f"{name} {format_duration(seconds)}" for name, seconds in planned.items())
    out.print(
        f"{len(loaded.plan.services)} services; planned: {parts}; {format_duration(sum(planned.values()))} in all"
    )


def list_runs(root: Path, limit: int) -> None:
    """The newest runs."""
    from shakedown.results import Results, Store

    found = Results(Store.open(root).engine).runs(limit)
    if not found:
        err.print("there is no run yet; `shakedown run PLAN` makes one")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "plan", "profile", "started (UTC)", "took", "verdict", "why"):
        table.add_column(heading, no_wrap=heading != "why", overflow="fold")
    for info in found:
        word = str(info.verdict) if info.verdict else info.status
        took = format_duration(info.ended_at) if info.ended_at else "–"
        table.add_row(
            escape(info.id), escape(info.plan), escape(info.profile or ""), f"{info.started:%Y-%m-%d %H:%M:%S}", took,
            paint(word), escape(info.reason.splitlines()[0][:80] if info.reason else ""),
        )  # fmt: skip
    out.print(table)


def render(run: str, root: Path, folder: Path | None, *, as_json: bool) -> None:
    """Render a run's report again."""
    from shakedown.reports import write_report
    from shakedown.results import Results, Store

    results = Results(Store.open(root).engine)
    info = results.run(run)
    path = write_report(results, info.id, folder or root / "runs" / info.id / "report")
    if as_json:
        sys.stdout.write((path.parent / "summary.json").read_text(encoding="utf-8"))
    else:
        out.print(escape(str(path)))


def print_schema() -> None:
    """The JSON Schema of plans."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def write_starter(path: Path) -> None:
    """Write the starter plan; a file that is there stays as it is.

    Raises:
        UsageError: the file is there, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter_plan())
    except FileExistsError:
        raise UsageError(f"{path} is there already", hint="name another file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    out.print(f"{escape(str(path))} written; next: shakedown validate {escape(str(path))}")
