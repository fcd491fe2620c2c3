"""Clean-up without an engine: which journals are touched, and what an unreadable one does to the rest."""

import subprocess
import sys
from pathlib import Path

from shakedown.guard import Journal, cleanup
from shakedown.guard.cleanup import owner_of
from shakedown.guard.journal import Owner, read_journal
from shakedown.guard.labels import OWNER
from shakedown.guard.undo import ProcessKill

# A run that writes one intent (a process that never was) and dies without a word.
DEAD_RUN = """
import os, pathlib, sys
from shakedown.guard import Journal
from shakedown.guard.undo import ProcessKill
Journal(pathlib.Path(sys.argv[1]), run="dead", plan="p").intend("process", "p", ProcessKill(pid=2**22 - 1, created=1.0))
os._exit(1)
"""


def dead_run(runs: Path, name: str = "dead") -> Path:
    path = runs / name / "journal.jsonl"
    subprocess.run([sys.executable, "-c", DEAD_RUN, str(path)], check=False)
    assert len(read_journal(path).intents) == 1
    return path


def test_a_dead_run_is_undone_and_a_live_one_left(tmp_path: Path) -> None:
    """Open intents of the dead are carried out and struck; those of the living stay."""
    dead = dead_run(tmp_path)
    live = Journal(tmp_path / "live" / "journal.jsonl", run="live", plan="p")
    live.intend("process", "p", ProcessKill(pid=2**22 - 1, created=1.0))
    said: list[str] = []
    report = cleanup(tmp_path, None, say=said.append)
    assert report.live == ["live"]
    assert report.failed == []
    assert said == report.done == ["p: process 4194303 is gone"]
    assert read_journal(dead).intents == []
    assert len(read_journal(live.path).intents) == 1
    assert cleanup(tmp_path, None).done == []


def test_one_run_alone(tmp_path: Path) -> None:
    """With a run's name only that run is looked at."""
    first, second = dead_run(tmp_path, "first"), dead_run(tmp_path, "second")
    cleanup(tmp_path, None, run="second")
    assert len(read_journal(first).intents) == 1
    assert read_journal(second).intents == []


def test_an_unreadable_journal_does_not_keep_the_rest_from_being_undone(tmp_path: Path) -> None:
    """It is reported as failed; the other dead runs are cleaned up all the same."""
    (tmp_path / "a-broken" / "journal.jsonl").mkdir(parents=True)  # not a file at all
    odd = tmp_path / "b-odd" / "journal.jsonl"
    odd.parent.mkdir()
    odd.symlink_to("/proc/self/mem")  # a file that cannot be read
    dead = dead_run(tmp_path, "c-dead")
    report = cleanup(tmp_path, None)
    assert len(report.failed) == 1
    assert "b-odd" in report.failed[0]
    assert read_journal(dead).intents == []


def test_another_machines_run_is_left_alone(tmp_path: Path) -> None:
    """A journal of another machine (a shared folder) is only touched when its run is named, and told while it holds something."""
    path = dead_run(tmp_path)
    there = Owner.current().model_copy(update={"machine": "elsewhere"})
    path.write_text(path.read_text().replace(Owner.current().machine, there.machine))
    report = cleanup(tmp_path, None)
    assert (report.done, report.live, report.elsewhere) == ([], [], ["dead"])
    assert cleanup(tmp_path, None, run="dead").done == ["p: process 4194303 is gone"]
    assert cleanup(tmp_path, None).elsewhere == []


def test_the_owner_in_a_label() -> None:
    """The label names the very process; one that cannot be understood names nobody."""
    me = Owner.current()
    found = owner_of({OWNER: str(me)})
    assert found is not None
    assert (found.pid, found.machine, found.alive()) == (me.pid, me.machine, True)
    for odd in ("", "x", "12", "12:", "12:x", "12:1.5", ":1.5:m", "1:2:"):
        assert owner_of({OWNER: odd}) is None, odd
    assert owner_of(None) is None
