"""`shakedown prune`: remove old runs, their rows and their folders."""

from datetime import UTC, datetime
from pathlib import Path

from rich.markup import escape

from shakedown.cli.console import err, out
from shakedown.cli.opened import open_results
from shakedown.errors import UsageError
from shakedown.units import format_size, parse_duration

__all__ = ["prune"]


def prune(root: Path, keep: str | None, keep_last: int | None, *, dry_run: bool, vacuum: bool) -> None:
    """Remove what is due and print it, a line each.

    Raises:
        UsageError: it is not said what to keep.
    """
    from shakedown.results.pruning import choose_runs, prune_runs, shrink

    if keep is None and keep_last is None:
        raise UsageError("say what to keep: --keep 90d, --keep-last 20, or both (then what either keeps stays)")
    try:
        seconds = None if keep is None else parse_duration(keep)
    except ValueError as error:
        raise UsageError(f"--keep: {error}", hint="days are written 90d") from error
    store, _ = open_results(root)
    due = choose_runs(store, datetime.now(UTC), keep=seconds, keep_last=keep_last)
    if dry_run:
        for run in due:
            out.print(escape(run))
        err.print(f"{len(due)} runs would be removed")
        return
    done = prune_runs(store, root.resolve(), due)
    for run in done.removed:
        out.print(escape(run))
    for run, why in done.kept:
        err.print(f"{escape(run)} stays: {escape(why)}")
    if vacuum:
        shrink(store)
    err.print(f"{len(done.removed)} runs removed, {done.folders} folders of {format_size(done.bytes)}")
