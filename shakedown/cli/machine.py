"""`cleanup` and `doctor`."""

import sys
import textwrap
from pathlib import Path

from rich.markup import escape

from shakedown.cli.console import err, out
from shakedown.errors import EngineError, ExitCode
from shakedown.guard import cleanup, find_engine
from shakedown.session.doctor import examine_machine

__all__ = ["clean_up", "examine"]

WIDTH = 79
INDENT = "    "


def clean_up(root: Path, run: str | None) -> None:
    """Take back what dead runs left; ends with 4 if something could not be."""
    from shakedown.results import Store

    try:
        client = find_engine(timeout=60)
    except EngineError as error:
        client = None
        err.print(f"[yellow]{escape(str(error))}[/]\ncontainers and networks are not looked at")
    report = cleanup(root / "runs", client, run=run, say=lambda line: out.print(escape(line)))
    for name in Store.open(root).reconcile() if (root / "shakedown.db").exists() else []:
        out.print(f"run {escape(name)} marked as interrupted")
    for name in report.live:
        err.print(f"run {escape(name)} still goes on: left alone")
    for name in report.elsewhere:
        err.print(
            f"run {escape(name)} belongs to another machine or container, whose processes cannot be seen from here: left alone; "
            f"if it is dead, `shakedown cleanup --run {escape(name)}` takes back what it left"
        )
    if not report.done and not report.failed:
        out.print("nothing was left behind")
    if report.failed or client is None:
        sys.exit(int(ExitCode.COULD_NOT_RUN))


def examine(root: Path) -> None:
    """Say what this machine can do; ends with 4 if it cannot run plans with containers."""
    essential = True
    for finding in examine_machine(root):
        mark = "[green]✓[/]" if finding.ok else "[yellow]✗[/]"
        out.print(f"{mark} {escape(finding.what)}: {escape(finding.found)}")
        if not finding.ok:
            means = textwrap.wrap(finding.means, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
            out.print(escape("\n".join(means)))
            essential &= not finding.essential
    if not essential:
        sys.exit(int(ExitCode.COULD_NOT_RUN))
