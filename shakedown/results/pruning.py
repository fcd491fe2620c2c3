"""Runs that nobody asks for any more."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlmodel import Session, col

from shakedown.errors import GuardError
from shakedown.guard.journal import read_journal
from shakedown.results import tables as t
from shakedown.results.store import Store

__all__ = ["Pruned", "choose_runs", "prune_runs", "shrink"]

BATCH = 50  # runs that are removed in one transaction: others want to write, too


@dataclass(slots=True)
class Pruned:
    """What was removed, and what was kept although it was due."""

    removed: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)  # run and why
    folders: int = 0
    bytes: int = 0  # of the folders


def choose_runs(store: Store, now: datetime, *, keep: float | None = None, keep_last: int | None = None) -> list[str]:
    """Runs that are due, the oldest first; running ones never are.

    Args:
        keep: due are those that began more than so many seconds ago.
        keep_last: the last so many of each plan and profile are not due, however old.
    """
    run = t.RunRow
    query = select(*(col(one) for one in (run.id, run.plan, run.profile, run.started, run.status)))
    with Session(store.engine) as session:
        rows = session.execute(query.order_by(col(run.started).desc(), col(run.id))).all()
    border = None if keep is None else now - timedelta(seconds=keep)
    seen: dict[tuple[str, str | None], int] = {}
    due = []
    for row in rows:
        key = (row.plan, row.profile)
        seen[key] = seen.get(key, 0) + 1
        started = row.started if row.started.tzinfo else row.started.replace(tzinfo=now.tzinfo)
        recent = border is not None and started >= border
        last = keep_last is not None and seen[key] <= keep_last
        if not recent and not last and row.status != "running":
            due.append(row.id)
    return due[::-1]


def prune_runs(store: Store, root: Path, runs: Sequence[str]) -> Pruned:
    """Remove runs and their folders; a folder first, so that what is killed halfway is found again and finished.

    A run whose journal still holds something to be undone stays.

    Raises:
        StoreError: they cannot be removed from the database.
    """
    done = Pruned()
    for start in range(0, len(runs), BATCH):
        gone = []
        for run in runs[start : start + BATCH]:
            problem = _remove_folder(root / "runs", run, done)
            if problem:
                done.kept.append((run, problem))
            else:
                gone.append(run)
        if gone:
            store.remove_runs(gone)
            done.removed += gone
    return done


def _remove_folder(runs: Path, run: str, done: Pruned) -> str:
    """Why a run's folder has to stay; empty when it is gone or there is none."""
    folder = runs / run
    if folder.parent != runs or run in ("", ".", "..") or "/" in run:
        return "its name is no folder's name"
    if folder.is_symlink() or not folder.is_dir():
        return ""
    journal = folder / "journal.jsonl"
    try:
        contents = read_journal(journal) if journal.exists() else None
    except GuardError as error:
        return str(error)
    if contents is not None and contents.owner is not None and contents.owner.here() and contents.owner.alive():
        return "its process still runs"
    if contents is not None and contents.intents:
        return f"{len(contents.intents)} of its steps are not undone: `shakedown cleanup` does it"
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return f"its folder cannot be removed: {error.strerror or error}"
    done.folders += 1
    done.bytes += size
    return ""


def shrink(store: Store) -> None:
    """Give the file system back what removed runs took: SQLite writes its file anew; others do so themselves."""
    if store.engine.dialect.name == "sqlite":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
