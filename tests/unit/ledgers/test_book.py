"""Ledgers on disk: what is noted survives, and what is expected of each key follows from all its writes."""

import random
import subprocess
import sys

import pytest

from shakedown.ledgers.book import EITHER, GONE, REFUSED, THERE, Book, expected
from shakedown.ledgers.digest import digest_of
from shakedown.ledgers.entries import read_entries
from tests.unit.ledgers.ledger_files import NO, OK, UNKNOWN, written


def states(book):
    return {book.text(index): int(book.keys.state[index]) for index in range(len(book.keys))}


def test_expectation_follows_from_outcome(tmp_path):
    """One write: acknowledged is there, refused is nothing, unknown and unanswered are either."""
    book = Book(written(tmp_path, ("a", 1, 2, OK), ("b", 1, 2, NO), ("c", 1, 2, UNKNOWN), ("d", 3, 0, None)))
    assert states(book) == {"a": THERE, "b": REFUSED, "c": EITHER, "d": EITHER}
    assert (book.writes, book.acknowledged, book.refused, book.unknown) == (4, 1, 1, 2)


@pytest.mark.parametrize(
    ("writes", "state"),
    [
        ([("k", 1, 2, UNKNOWN), ("k", 3, 4, OK)], THERE),
        ([("k", 1, 2, OK), ("k", 3, 4, UNKNOWN)], THERE),
        ([("k", 1, 2, UNKNOWN), ("k", 3, 4, NO)], EITHER),
        ([("k", 1, 2, OK), ("k", 3, 4, NO)], THERE),
        ([("k", 1, 2, OK), ("k", 3, 4, OK, {"removes": True})], GONE),
        ([("k", 1, 2, OK), ("k", 3, 4, NO, {"removes": True})], THERE),
        ([("k", 1, 2, OK), ("k", 3, 4, UNKNOWN, {"removes": True})], EITHER),
        ([("k", 1, 2, UNKNOWN), ("k", 3, 4, OK, {"removes": True})], EITHER),
        ([("k", 1, 9, OK), ("k", 3, 4, OK, {"removes": True})], EITHER),
        ([("k", 1, 2, OK, {"removes": True}), ("k", 3, 4, OK)], THERE),
        ([("k", 1, 2, NO), ("k", 3, 4, NO)], REFUSED),
    ],
)
def test_several_writes_of_a_key_are_one_expectation(tmp_path, writes, state):
    """Retries, removals and what overlaps leave exactly what any right system may have."""
    book = Book(written(tmp_path, *writes))
    assert states(book) == {"k": state}


def test_only_a_value_that_must_be_the_last_is_compared():
    """Two values, of which either may have come last, are not compared; a later acknowledged one is."""
    one, two = 11, 22
    later = [(1, 2, 0, False, one), (3, 4, 0, False, two)]
    beside = [(1, 9, 0, False, one), (3, 4, 0, False, two)]
    doubtful = [(1, 2, 2, False, one), (3, 4, 0, False, two)]
    same = [(1, 2, 2, False, one), (3, 4, 0, False, one)]
    assert [expected(writes)[2] for writes in (later, beside, doubtful, same)] == [two, 0, 0, one]


@pytest.mark.parametrize("key", ["plain", "tab\tkey", "line\nend\r", "back\\slash\\n", "ünï", "nul\0l", "", "\udc80"])
def test_keys_survive_the_file(tmp_path, key):
    """Whatever stands in a key or a group comes back as it was."""
    written(tmp_path, (key, 1, 2, OK, {"group": key, "digest": "00ff"}))
    (entry,) = read_entries(tmp_path)
    assert (entry.key, entry.group, entry.digest, entry.outcome) == (key, key, "00ff", OK)
    assert Book(tmp_path).text(0) == key


def test_a_torn_line_and_zeros_are_passed_over(tmp_path):
    """At whatever byte a file is torn, every whole note before it is read, and a writer can go on behind it."""
    path = written(tmp_path, *((f"k{n}", n, n + 0.5, OK) for n in range(4))) / "a.ledger"
    whole = path.read_bytes()
    for cut in random.Random(1).sample(range(20, len(whole)), 15):
        path.write_bytes(whole[:cut] + bytes(random.Random(cut).randrange(5000)))
        sent = whole[:cut].count(b"\n>") - (whole[:cut].rpartition(b"\n")[2][:1] == b">")
        before = {entry.key for entry in read_entries(tmp_path)}
        assert before == {f"k{n}" for n in range(sent)}
        written(tmp_path, ("next", 9, 10, OK))
        after = {entry.key: entry.outcome for entry in read_entries(tmp_path)}
        # A note that was torn in its last field alone is read as sent: it never left, and unknown is right for it.
        assert after["next"] is OK
        assert before <= after.keys()
        assert len(after.keys() - before) <= 2


def test_notes_survive_a_worker_that_is_killed(tmp_path):
    """Every write that was told to the ledger before SIGKILL is in it, with no flush in between."""
    script = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom shakedown.ledgers.writer import LedgerWriter\n"
        "from shakedown.records.ledger import Acknowledgement, LedgerNote\n"
        f"writer = LedgerWriter(Path({str(tmp_path)!r}) / 'a.ledger')\n"
        "for number in range(20_000):\n    at = writer.sent(LedgerNote(f'key-{number:08d}-' + 'x' * 20), 1.0)\n"
        "    if number % 2: writer.ended(at, 2.0, Acknowledgement.ACKNOWLEDGED)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    book = Book(tmp_path)
    assert (book.writes, book.acknowledged, book.unknown) == (20_000, 10_000, 10_000)


def test_files_of_several_workers_are_one_book(tmp_path):
    """A retry by another worker is the same key; hashes lead back to texts."""
    written(tmp_path, ("a", 1, 2, UNKNOWN), ("b", 2, 3, OK), name="one")
    written(tmp_path, ("a", 4, 5, OK), name="two")
    book = Book(tmp_path)
    assert states(book) == {"a": THERE, "b": THERE}
    assert [book.text(index) for index in range(2)] == ["b", "a"]  # by the time of the write that decided


def test_a_digest_is_of_the_value_and_not_of_its_spelling():
    """JSON is compared as JSON, bytes as their text; different values differ."""
    assert digest_of('{"b": 1, "a": [2]}') == digest_of({"a": [2], "b": 1}) == digest_of(b'{"a":[2],"b":1}')
    assert digest_of(5) == digest_of("5") == digest_of(5.0) == digest_of(b"5")
    assert len({digest_of(value) for value in ("", "a", "A", "a ", {}, [], None, True, 1, "ä", b"\xff")}) == 11
