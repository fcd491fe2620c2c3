"""The journal where it gets difficult: torn lines, full disks, several writers."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shakedown.errors import GuardError
from shakedown.guard import Journal, Owner
from shakedown.guard.journal import append_strike, read_journal
from shakedown.guard.undo import ContainerRemove, ProcessKill, RulesRemove

# A disk that is full for one intent (its line is cut short by a limit of the file's size) and has room for the next.
FULL_FOR_A_WHILE = """
import pathlib, resource, signal, sys
from shakedown.errors import GuardError
from shakedown.guard import Journal
from shakedown.guard.undo import ContainerRemove
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = pathlib.Path(sys.argv[1])
journal = Journal(path, run="r", plan="p")
limit = path.stat().st_size + 20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    journal.intend("fault", "refused", ContainerRemove(container="refused"))
except GuardError:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.intend("fault", "accepted", ContainerRemove(container="accepted"))
print("accepted")
"""


def test_an_intent_after_a_torn_one_can_be_read(tmp_path: Path) -> None:
    """What `intend` accepted is on disk readably, also after an intent that the full disk cut in two."""
    path = tmp_path / "j.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL_FOR_A_WHILE, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["refused", "accepted"], done.stderr
    assert [intent.what for intent in read_journal(path).intents] == ["accepted"]


def test_a_strike_after_a_torn_line_counts(tmp_path: Path) -> None:
    """Another process's strike is not lost in the torn line that the dead run left."""
    path = tmp_path / "j.jsonl"
    intent = Journal(path, run="r", plan="p").intend("a", "first", ContainerRemove(container="1"))
    with path.open("a") as file:
        file.write('{"at": 1.0, "intend": {"id": "torn", "ki')
    append_strike(path, intent.id)
    contents = read_journal(path)
    assert contents.intents == []
    assert contents.unreadable == 1


def test_a_journal_taken_up_again_after_a_torn_line(tmp_path: Path) -> None:
    """The header of whoever takes the file up again is read, and the earlier intents stay open."""
    path = tmp_path / "j.jsonl"
    Journal(path, run="r", plan="p").intend("a", "first", ContainerRemove(container="1"))
    with path.open("a") as file:
        file.write('{"at": 1.0, "str')
    Journal(path, run="again", plan="p")
    contents = read_journal(path)
    assert (contents.run, contents.owner) == ("again", Owner.current())
    assert [intent.what for intent in contents.intents] == ["first"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_cut_anywhere(tmp_path: Path, cut: int) -> None:
    """Whatever number of bytes a crash leaves of the last line, what stood before it is read."""
    path = tmp_path / "j.jsonl"
    journal = Journal(path, run="r", plan="p")
    journal.intend("a", "first", ContainerRemove(container="1"))
    whole = path.read_bytes()
    journal.intend("a", "second", ContainerRemove(container="2"))
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    assert [intent.what for intent in read_journal(path).intents] == ["first"]


def test_every_undo_survives_the_file(tmp_path: Path) -> None:
    """Each kind of undo, and the deadline, comes back as it was written."""
    journal = Journal(tmp_path / "j.jsonl", run="r", plan="p")
    undos = [
        ProcessKill(pid=1, created=1.5),
        RulesRemove(container="c", tag='quo"te', image="i"),
        ContainerRemove(container="ü"),
    ]
    for number, undo in enumerate(undos):
        journal.intend("k", f"w{number}", undo, deadline=1e9 + number)
    read = read_journal(tmp_path / "j.jsonl").intents
    assert read == journal.open_intents()
    assert [intent.undo for intent in read] == undos[::-1]
    assert [intent.deadline for intent in read] == [1e9 + 2, 1e9 + 1, 1e9]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Eight threads at once: every line is whole, and exactly what was not struck is open."""
    journal = Journal(tmp_path / "j.jsonl", run="r", plan="p")

    def work(thread: int) -> None:
        for number in range(10):
            intent = journal.intend("k", f"{thread}.{number}", ContainerRemove(container="c"))
            if number % 2:
                journal.strike(intent.id)
                journal.strike(intent.id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = read_journal(tmp_path / "j.jsonl")
    assert contents.unreadable == 0
    expected = {f"{thread}.{number}" for thread in range(8) for number in range(0, 10, 2)}
    assert {intent.what for intent in contents.intents} == expected
    assert {intent.what for intent in journal.open_intents()} == expected
    lines = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text().splitlines() if line]
    assert sum("strike" in line for line in lines) == 40


def test_a_missing_journal_is_an_error(tmp_path: Path) -> None:
    """Reading what is not there says so, with the path."""
    with pytest.raises(GuardError, match=r"none\.jsonl cannot be read"):
        read_journal(tmp_path / "none.jsonl")


def test_an_owner_is_a_process_and_not_a_number() -> None:
    """This process lives; the same number with another creation time, or a number that nobody has, does not."""
    me = Owner.current()
    assert me.alive()
    assert not me.model_copy(update={"created": me.created - 60}).alive()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert not me.model_copy(update={"pid": ended.pid}).alive()
