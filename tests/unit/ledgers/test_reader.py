"""Ledgers read back: each kind of trouble is counted under its name, and nothing else is accused."""

import json
import sqlite3
import threading

import pytest

from shakedown.clock import RunClock
from shakedown.ledgers.digest import digest_of
from shakedown.ledgers.reader import list_before, read_back
from shakedown.plan.ledgers import LEDGER_KINDS, Ledger
from tests.unit.ledgers.ledger_files import NO, OK, UNKNOWN, written

BY_KEY = {"sql": "SELECT value, position FROM m WHERE id = :key"}
LISTING = {"sql": "SELECT id AS key, value, position FROM m ORDER BY rowid"}


@pytest.fixture
def base(tmp_path):
    """A database file with one table of messages."""
    connection = sqlite3.connect(tmp_path / "base.db")
    connection.execute("CREATE TABLE m (id TEXT, value TEXT, position REAL)")
    connection.commit()
    yield connection
    connection.close()


def store(base, *rows):
    base.executemany("INSERT INTO m VALUES (?, ?, ?)", [(*row, None, None)[:3] for row in rows])
    base.commit()


def read(tmp_path, *, ways=("read", "list"), within=0, **limits):
    url = {"url": f"sqlite+aiosqlite:///{tmp_path}/base.db"}
    given = {"read": {**BY_KEY, **url}, "list": {**LISTING, **url}}
    ledger = Ledger.model_validate({**{way: given[way] for way in ways}, "within": within, **limits})
    folder = tmp_path / "ledgers" / "m"
    places = dict.fromkeys(ways)
    return read_back("m", ledger, folder, places, RunClock.start(), threading.Event(), moment=lambda at: f"at {at:g}")


def counts(result):
    return {kind: result.count(kind) for kind in LEDGER_KINDS if result.count(kind)}


def note(text, **rest):
    return {"digest": digest_of(text), **rest}


def prepare(tmp_path, base):
    """Of each kind of trouble some, among a hundred writes that are right."""
    writes = [(f"good-{n}", n, n + 0.5, OK, note("text")) for n in range(100)]
    writes += [("lost-1", 200, 201, OK, note("x")), ("lost-2", 201, 202, OK, note("x"))]
    writes += [("twice", 210, 211, OK, note("x")), ("other", 220, 221, OK, note("mine"))]
    writes += [("no", 230, 231, NO, note("x")), ("no-there", 231, 232, NO, note("x"))]
    writes += [("came", 240, 241, UNKNOWN, note("x")), ("never", 241, 242, UNKNOWN, note("x"))]
    writes += [("dead", 250, 251, OK, note("x")), ("dead", 252, 253, OK, {"removes": True})]
    writes += [("undead", 260, 261, OK, note("x")), ("undead", 262, 263, OK, {"removes": True})]
    written(tmp_path / "ledgers" / "m", *writes)
    store(base, *((f"good-{n}", "text", n) for n in range(100)), ("twice", "x", 1), ("twice", "x", 2))
    store(base, ("other", "yours", 3), ("no-there", "x", 4), ("came", "x", 5), ("undead", "x", 6), ("stranger", "x", 7))


EVERYTHING = {
    "lost": 2, "duplicated": 1, "corrupted": 1, "phantom": 1, "resurrected": 1, "unwanted": 1,
}  # fmt: skip


@pytest.mark.parametrize("ways", [("list",), ("read", "list")])
def test_each_kind_is_counted_under_its_name(tmp_path, base, ways):
    """A listing shows everything; reading by key beside it changes nothing of that."""
    prepare(tmp_path, base)
    result = read(tmp_path, ways=ways)
    assert counts(result) == EVERYTHING
    assert (result.acknowledged, result.refused, result.unknown) == (106, 2, 2)
    assert (result.unknown_found, result.removed, result.unreadable, result.problem) == (1, 2, 0, None)


def test_by_key_nothing_is_seen_that_was_never_sent(tmp_path, base):
    """Reading by key finds all but phantoms, and what was refused only where that has a limit."""
    prepare(tmp_path, base)
    rest = {kind: count for kind, count in EVERYTHING.items() if kind not in ("phantom", "unwanted")}
    assert counts(read(tmp_path, ways=("read",))) == rest
    assert counts(read(tmp_path, ways=("read",), unwanted=0)) == {**rest, "unwanted": 1}


def test_a_right_system_is_accused_of_nothing(tmp_path, base):
    """Whatever unknown and refused writes came to, and however often a write was repeated, all is well."""
    writes = [(f"k{n}", n, n + 0.5, OK, note("v", group=f"u{n % 3}")) for n in range(300)]
    writes += [(f"k{n}", 400 + n, 401 + n, NO, note("v")) for n in range(50)]  # "is there already"
    writes += [(f"maybe{n}", 500, 501, UNKNOWN, note("v")) for n in range(20)]
    written(tmp_path / "ledgers" / "m", *writes)
    store(base, *((f"k{n}", "v", n) for n in range(300)), *((f"maybe{n}", "v", 400 + n) for n in range(0, 20, 2)))
    result = read(tmp_path)
    assert counts(result) == {}
    assert result.problem is None
    assert result.unknown_found == 10


def test_faults_are_listed_by_time_and_all_are_in_the_file(tmp_path, base):
    """The result has the first hundred with their moments, the file has every one."""
    written(tmp_path / "ledgers" / "m", ("kept", 0, 1, OK), *((f"k{n}", n, n + 1, OK) for n in range(1, 131)))
    store(base, ("kept",))
    result = read(tmp_path)
    assert result.lost == 130
    assert len(result.faults) == 100
    assert [fault.key for fault in result.faults[:2]] == ["k1", "k2"]
    assert result.faults[0].moment == "at 1"
    lines = [json.loads(line) for line in (tmp_path / result.file).read_text().splitlines()]
    assert [line["key"] for line in lines] == [f"k{n}" for n in range(1, 131)]
    assert {line["kind"] for line in lines} == {"lost"}


def test_order_is_of_what_was_acknowledged_before_the_next_was_sent(tmp_path, base):
    """Within a group only, and only where one was acknowledged before the other was sent."""
    writes = [
        ("a1", 1, 2, OK, {"group": "a"}), ("a2", 3, 4, OK, {"group": "a"}), ("a3", 5, 6, OK, {"group": "a"}),
        ("b1", 1, 9, OK, {"group": "b"}), ("b2", 3, 4, OK, {"group": "b"}),  # at the same time: either order
        ("c1", 1, 2, OK), ("c2", 3, 4, OK),  # of no group
    ]  # fmt: skip
    written(tmp_path / "ledgers" / "m", *writes)
    store(base, ("a1", "", 1), ("a2", "", 9), ("a3", "", 3), ("b2", "", 1), ("b1", "", 2), ("c2", "", 1), ("c1", "", 2))
    result = read(tmp_path)
    assert counts(result) == {"out_of_order": 1}
    (fault,) = result.faults
    assert fault.key == "a3"
    assert "'a2'" in fault.detail


def test_what_was_there_before_is_no_phantom(tmp_path, base):
    """Only what came during the run and was never sent counts."""
    store(base, ("old-1",), ("old-2",))
    ledger = Ledger.model_validate({"list": {**LISTING, "url": f"sqlite+aiosqlite:///{tmp_path}/base.db"}})
    folder = tmp_path / "ledgers" / "m"
    assert list_before(ledger, folder, {"list": None}, threading.Event()) is None
    written(folder, ("new", 1, 2, OK))
    store(base, ("new",), ("strange",))
    result = read(tmp_path, ways=("list",))
    assert counts(result) == {"phantom": 1}
    assert result.faults[0].key == "strange"


def test_what_comes_in_time_is_not_lost(tmp_path, base):
    """A write that is stored while the ledger is read again counts as there; how often it was read is said."""
    written(tmp_path / "ledgers" / "m", ("slow", 1, 2, OK))
    timer = threading.Timer(0.6, lambda: _late(tmp_path))
    timer.start()
    result = read(tmp_path, ways=("list",), within=20)
    timer.join()
    assert counts(result) == {}
    assert result.rounds > 1


def _late(tmp_path):
    connection = sqlite3.connect(tmp_path / "base.db")
    store(connection, ("slow",))
    connection.close()


def test_a_system_that_does_not_answer_has_lost_nothing(tmp_path, base):
    """Keys that cannot be read are unreadable, and the ledger has a problem: it cannot pass."""
    base.execute("DROP TABLE m")
    base.commit()
    written(tmp_path / "ledgers" / "m", ("a", 1, 2, OK), ("b", 1, 2, OK))
    for ways in (("read",), ("list",)):
        result = read(tmp_path, ways=ways)
        assert result.lost == 0
        assert result.unreadable == 2
        assert "no such table" in result.problem


def test_values_and_places_that_are_not_there_are_a_problem(tmp_path, base):
    """What the plan declares and the system does not show is not passed over."""
    written(tmp_path / "ledgers" / "m", ("a", 1, 2, OK, {"group": "g"}))
    store(base, ("a", "x", None))
    assert "place in the order" in read(tmp_path).problem
