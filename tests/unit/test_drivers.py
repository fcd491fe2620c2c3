"""Drivers' pure parts: what plans may say, what checks mean, how errors are named."""

import dataclasses
import datetime as dt
import re
import uuid
from decimal import Decimal

import pytest
import sqlalchemy.exc as sa
from pydantic import ValidationError

from shakedown.errors import PlanError
from shakedown.load import values
from shakedown.load.drivers.sql_errors import sql_failure
from shakedown.load.drivers.tcp import _end_of
from shakedown.load.drivers.users import transport_failure
from shakedown.plan import json_schema, load_plan
from shakedown.plan.driver_checks import Facts, compile_driver_checks
from shakedown.plan.drivers import Expect, Sql, TcpOperation, Via, WebsocketOperation
from shakedown.plan.scenarios import Scenario
from shakedown.user import User

EXECUTOR = {"type": "constant-vus", "vus": 1, "duration": "1s"}
SQL = {"url": "sqlite+aiosqlite:///a.db", "operations": [{"name": "one", "statement": "select 1"}]}


# ------------------------------------------------------------------------------------------------------------- scenarios
def test_a_scenario_speaks_one_language():
    """None, or two, are an error; with one, operations, target, tags and ledgers are that one's."""
    for spoken in ({}, {"sql": SQL, "python": {"function": "a:b"}}):
        with pytest.raises(ValidationError, match="exactly one of http, sql, redis, tcp, websocket, python"):
            Scenario.model_validate({"executor": EXECUTOR, **spoken})
    with pytest.raises(ValidationError, match="`via` is a way for http"):
        Scenario.model_validate({"executor": EXECUTOR, "sql": SQL, "via": {"http_version": 2}})
    operation = {"name": "w", "command": ["SET", "a", 1], "ledger": "l", "tags": {"kind": "write"}}
    scenario = Scenario.model_validate({"executor": EXECUTOR, "redis": {"target": "r.p", "operations": [operation]}})
    assert (scenario.driver, scenario.target, scenario.operations) == ("redis", "r.p", ["w"])
    assert (scenario.tags, scenario.ledgers, scenario.http.all_requests) == ({"w": {"kind": "write"}}, ["l"], [])


def test_a_scenario_survives_the_way_to_a_worker():
    """What a worker reads is what was written, for every language."""
    for spoken in (
        {"sql": SQL},
        {"http": {"target": "a.b", "requests": [{"name": "r", "get": "/"}]}, "via": {"http_version": 2}},
        {"python": {"function": "a.b:c_d", "operations": ["x"]}},
        {"tcp": {"target": "a.b", "operations": [{"name": "r", "hex": "00ff", "expect": {"length": 3}}]}},
        {"websocket": {"target": "a.b", "operations": [{"name": "r", "json": {"a": 1}, "until": ["json.a == 1"]}]}},
    ):
        scenario = Scenario.model_validate({"executor": EXECUTOR, **spoken})
        assert Scenario.model_validate_json(scenario.model_dump_json(by_alias=True)) == scenario
        assert "http" not in scenario.model_dump() or "http" in spoken


def test_the_schema_knows_every_language():
    """Editors can complete what a scenario speaks."""
    known = json_schema()["$defs"]["Scenario"]
    assert {"http", "sql", "redis", "tcp", "websocket", "python", "via"} <= set(known["properties"])
    assert known["required"] == ["executor"]


def test_secrets_and_notes_are_told():
    """Passwords are named as secrets wherever they stand; the lower ceiling of httpx is a note."""
    sql = Sql.model_validate({**SQL, "url": "postgresql+asyncpg://u:p%40ss@127.0.0.1/d", "password": "other"})
    assert set(sql.secrets) == {"other", "p%40ss"}
    assert Via(proxy="http://u:hidden@127.0.0.1:1").secrets == ["hidden"]
    http = {"target": "a.b", "requests": [{"name": "r", "get": "/"}]}
    scenario = Scenario.model_validate({"executor": EXECUTOR, "http": http, "via": {"http_version": 2}})
    assert "httpx" in scenario.notes[0]


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (Sql, {**SQL, "url": "postgresql://a/b"}, "not the URL of an async database driver"),
        (Sql, {**SQL, "url": "postgresql+asyncpg://{host}/b"}, "needs a `target`"),
        (Sql, {**SQL, "target": "a.b"}, "says {host} and {port}"),
        (Sql, {**SQL, "operations": [{"name": "a"}]}, "exactly one of statement, transaction"),
        (Sql, {**SQL, "pool": 0}, "greater than 0"),
        (TcpOperation, {"name": "a"}, "sends something, expects something"),
        (TcpOperation, {"name": "a", "send": "a", "hex": "00"}, "at most one of"),
        (TcpOperation, {"name": "a", "hex": "0g"}, "no hexadecimal"),
        (TcpOperation, {"name": "a", "base64": "a"}, "no Base64"),
        (TcpOperation, {"name": "a", "send": "a", "checks": ["size > 1B"]}, "say with `expect`"),
        (Expect, {"until": "a", "length": 3}, "exactly one way"),
        (Expect, {"regex": "("}, "not a regular expression"),
        (WebsocketOperation, {"name": "a"}, "needs one of"),
        (WebsocketOperation, {"name": "a", "ping": True, "send": "x"}, "by itself"),
        (WebsocketOperation, {"name": "a", "listen": "20s"}, "shorter than"),
        (Via, {}, "needs no `via`"),
        (Via, {"proxy": "squid"}, "not a proxy"),
    ],
)
def test_what_makes_no_sense_is_refused(model, data, words):
    """Each contradiction in a plan is named before anything starts."""
    with pytest.raises(ValidationError, match=re.escape(words)):
        model.model_validate(data)


PLAN = """
version: 1
name: p
services:
  db: {url: "http://127.0.0.1:5432"}
scenarios:
  s:
    executor: {type: constant-vus, vus: 1, duration: 1s}
    sql:
      target: db.wrong
      url: "postgresql+asyncpg://u@{host}:{port}/d"
      operations:
        - {name: a, statement: "select :x", parameters: {y: "{{ nothing }}"}, checks: [status == 200]}
        - {name: a, statement: "select {{ 1 }}", ledger: gone}
  far:
    executor: {type: constant-vus, vus: 1, duration: 1s}
    sql: {url: "postgresql+asyncpg://u@db.example.com/d", operations: [{name: a, statement: "select '12:30'::time, :a", parameters: {a: 1}}]}
  code:
    executor: {type: constant-vus, vus: 1, duration: 1s}
    python: {function: "a:b", path: nowhere}
  socket:
    executor: {type: constant-vus, vus: 1, duration: 1s}
    websocket: {target: db.http, operations: [{name: a, send: "{{ row.x }}", until: ["rows == 1"]}]}
stages:
  stress: {parallel: [{use: s}, {use: far}, {use: code}, {use: socket}], thresholds: [code.b.p95 < 1s, code.c.p95 < 1s]}
"""


def test_every_problem_of_a_plan_is_found_at_once(tmp_path):
    """Names, templates, parameters, checks, hosts and folders: each at its place, and nothing else."""
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        load_plan(path, environ={})
    found = {problem.key: problem.message for problem in caught.value.problems}
    sql = "scenarios.s.sql"
    expected = {
        f"{sql}.target": "no service.port",
        f"{sql}.operations.0.statement": "has `:x`",
        f"{sql}.operations.0.checks.0": "they have rows, value, column.name, latency",
        f"{sql}.operations.1.name": "two operations are called `a`",
        f"{sql}.operations.1.statement": "a statement is no template",
        f"{sql}.operations.1.ledger": "",
        "scenarios.far.sql.url": "load on db.example.com",
        "scenarios.code.python.path": "no such folder",
        "scenarios.socket.websocket.operations.0.send": "`row`",
        "scenarios.socket.websocket.operations.0.until.0": "is not what checks of websocket look at",
        "stages.stress.thresholds.1": "`c`",
    }
    for key, words in expected.items():
        assert words in found.pop(key), key
    assert set(found) == {f"{sql}.operations.0.parameters"}


# ---------------------------------------------------------------------------------------------------------------- checks
FACTS = Facts(
    {
        "rows": 3, "value": Decimal("1.50"),
        "column": {"id": uuid.UUID(int=1), "at": dt.date(2026, 1, 2), "flag": True, "none": None, "raw": b"\xffx"},
    },
    latency=0.2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        ("rows == 3", True), ("rows in [1, 2]", False), ("rows != 3", False), ("value == 1.5", True), ("value > 1", True),
        ('column.id == "00000000-0000-0000-0000-000000000001"', True), ('column.at < "2026-02"', True),
        ("column.flag == true", True), ("column.flag == 1", False), ("column.none == null", True),
        ("column.none exists", False), ("column.flag exists", True), ("column.gone != 1", False),
        ("column.gone == null", False), ('column.raw contains "x"', True), ('column.id matches "^0+-"', True),
        ('rows > "2"', False), ("latency < 500ms", True), ("latency > 500ms", False),
    ],
)  # fmt: skip
def test_checks_compare_as_they_read(check, holds):
    """Numbers as numbers, the rest as texts; what is not there fulfils nothing."""
    assert (compile_driver_checks("sql", [check]).failed(FACTS) is None) is holds


def test_checks_reach_into_lists():
    """The replies of a pipeline, and lists in them, by their place."""
    facts = Facts({"reply": ["OK", [1, "2"], None]})
    for check in (
        'reply.0 == "OK"',
        "reply.1.0 < 2",
        'reply.1 contains "2"',
        "reply.2 == null",
        'reply == ["OK", [1, "2"], null]',
    ):
        assert compile_driver_checks("redis", [check]).failed(facts) is None
    assert compile_driver_checks("redis", ["reply.3 exists"]).failed(facts) == "reply.3 exists"


@pytest.mark.parametrize(
    "check",
    ["", "rows", "rows = 3", "rows == three", "rows exists 3", "size < 1MB", "column == 1", "rows.a == 1", "value in 3",
     "value matches 3", 'value matches "("', "value > true", "latency == 5s", "latency < many", "reply == 1"],
)  # fmt: skip
def test_checks_that_are_none(check):
    """What does not follow the grammar, or looks at what statements have not, is refused."""
    with pytest.raises(ValueError):
        compile_driver_checks("sql", [check])


# ---------------------------------------------------------------------------------------------------------------- pieces
def test_single_expressions_keep_their_type():
    """A whole text that is one expression gives its value; any other text gives a text; an unknown name never passes."""
    tree = {"n": "{{ a + 1 }}", "t": "{{ a }}!", "l": ["{{ b }}", 3, None], "f": "{{ a | float }}", "c": "x"}
    made = values.value(tree)({"a": 1, "b": "y"})
    assert made == {"n": 2, "t": "1!", "l": ["y", 3, None], "f": 1.0, "c": "x"}
    assert isinstance(made["n"], int)
    assert isinstance(made["f"], float)
    with pytest.raises(Exception, match="gone"):
        values.value("{{ gone }}")({})


@pytest.mark.parametrize(
    ("expect", "whole", "length"),
    [({"until": "\r\n"}, b"abc\r\ndef", 5), ({"length": 4}, b"abcdef", 4), ({"regex": "c.e"}, b"abc\nef", 5)],
)
def test_an_answer_ends_at_the_same_byte_however_it_comes(expect, whole, length):
    """Byte by byte or at once, an answer's end is the same."""
    end = _end_of(Expect.model_validate(expect))
    assert end(bytearray(whole), 0) == length
    held = bytearray()
    for byte in whole[:length]:
        assert end(held, max(len(held) - 1, 0)) == -1
        held.append(byte)
    assert end(held, length - 1) == length


def test_database_errors_are_named():
    """SQLSTATE decides; without one, the class and SQLite's words do; only what is certain counts as undone."""

    class OriginError(Exception):
        sqlstate = "40P01"

    lost = sa.DBAPIError("s", {}, Exception("gone"), connection_invalidated=True)
    for error, kind, undone in [
        (sa.IntegrityError("s", {}, Exception("UNIQUE constraint failed")), "constraint", True),
        (sa.DBAPIError("s", {}, OriginError("deadlock detected")), "conflict", True),
        (sa.OperationalError("s", {}, Exception("database is locked")), "locked", True),
        (sa.OperationalError("s", {}, Exception("no such table: a")), "statement", True),
        (lost, "closed", False),
        (ConnectionRefusedError("no"), "refused", True),
        (ConnectionResetError("no"), "reset", False),
        (sa.DBAPIError("s", {}, Exception("strange")), "sql", False),
    ]:
        failure = sql_failure(error)
        assert (failure.kind, failure.undone) == (kind, undone), error


def test_transport_errors_are_named():
    """A full table of files is ours; an unknown name is the resolver's."""
    assert transport_failure(OSError(24, "too many open files")).kind == "local"
    assert transport_failure(EOFError()).kind == "closed"
    assert transport_failure(BrokenPipeError()).kind == "reset"


def test_a_user_without_a_load():
    """For tests of one's own: it measures into nothing, and lets exceptions through."""
    user = User(3)
    with user.measure("a"):
        user.state.seen = user.random.random()
    with pytest.raises(ValueError), user.measure("b"):
        raise ValueError
    assert (user.vu, user.iteration, user.host) == (3, 0, None)
    assert not dataclasses.is_dataclass(user)
