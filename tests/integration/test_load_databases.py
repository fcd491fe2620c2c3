"""Databases as loads: PostgreSQL and Redis in containers of their own, SQLite in a file."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator

import asyncpg
import pytest
import redis

from shakedown.ledgers.entries import read_entries
from shakedown.plan.services import Build
from shakedown.records.ledger import Acknowledgement
from shakedown.records.load import Outcome
from shakedown.services.images import build_image
from tests.conftest import COURIER
from tests.integration.driver_loads import ended, finish, kinds, load, run, times, times_each

pytestmark = pytest.mark.integration
PASSWORD = "p@ss:w/rd"  # noqa: S105 - of a container that lives as long as these tests


class Server:
    """A server in a container, reached over a port of this machine."""

    def __init__(self, container, port: int) -> None:
        self.container, self.port = container, port


def _start(engine, image: str, inside: int, environment: dict) -> Server:
    tag = build_image(engine, COURIER.parent / "images" / image, Build(context="."), print)
    container = engine.containers.run(
        tag, detach=True, environment=environment, ports={f"{inside}/tcp": ("127.0.0.1", None)}
    )
    container.reload()
    return Server(container, int(container.ports[f"{inside}/tcp"][0]["HostPort"]))


def _until(attempt) -> None:
    limit = time.monotonic() + 60
    while True:
        try:
            attempt()
        except (OSError, asyncpg.PostgresError, redis.RedisError):
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def postgres(engine) -> Iterator[Server]:
    """PostgreSQL with the tables that the tests use."""
    made = _start(engine, "postgres", 5432, {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_USER": "shop"})
    try:
        _until(lambda: ask(made, "select 1"))
        ask(made, "create table customers (name text primary key, since timestamptz default now())")
        ask(made, "create table items (id uuid primary key, customer text references customers, amount int)")
        ask(made, "create table audit (number int)")
        ask(made, "create table once (number int primary key)")
        yield made
    finally:
        made.container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def store(engine) -> Iterator[Server]:
    """Redis."""
    made = _start(engine, "redis", 6379, {})
    try:
        with redis.Redis(port=made.port) as client:
            _until(client.ping)
        yield made
    finally:
        made.container.remove(force=True, v=True)


def ask(server: Server, statement: str):
    """The first value that a statement gives."""

    async def work():
        connection = await asyncpg.connect(
            host="127.0.0.1", port=server.port, user="shop", password=PASSWORD, database="shop", timeout=5
        )
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


def sql(*operations, **changes) -> dict:
    url = "postgresql+asyncpg://shop@{host}:{port}/shop"
    return {"target": "a.db", "url": url, "password": PASSWORD, "operations": list(operations), **changes}


# ----------------------------------------------------------------------------------------------------------- PostgreSQL
def test_every_operation_is_counted(tmp_path, postgres):
    """20 workers × 50 iterations × (get-or-create, insert, query): the counts are the database's own, row for row."""
    customer = {"name": "c{{ randint(1, 30) }}"}
    operations = [
        {"name": "get_or_create", "parameters": customer, "checks": ["rows == 1", 'value matches "^c"'],
         "transaction": ["insert into customers values (:name) on conflict do nothing",
                         "select name from customers where name = :name"]},
        {"name": "insert", "statement": "insert into items values (:id, (select min(name) from customers), :amount)",
         "parameters": {"id": "{{ uuid() }}", "amount": "{{ randint(1, 9) }}"}, "checks": ["rows == 1"], "ledger": "items"},
        {"name": "query", "statement": "select count(*) as number, sum(amount) as total from items",
         "checks": ["column.number > 0", "column.total > 0", "latency < 30s"]},
    ]  # fmt: skip
    result = run(tmp_path, times_each(20, 50), postgres.port, workers=2, sql=sql(*operations))
    assert result.errors == []
    assert ended(result) == {("get_or_create", "ok"): 1000, ("insert", "ok"): 1000, ("query", "ok"): 1000}
    assert result.counts.ok == result.counts.scheduled == 1000
    assert ask(postgres, "select count(*) from items") == 1000
    assert ask(postgres, "select count(*) from customers") <= 30
    entries = list(read_entries(tmp_path / "ledgers" / "items"))
    assert {entry.outcome for entry in entries} == {Acknowledgement.ACKNOWLEDGED}
    assert len({entry.key for entry in entries}) == 1000


def test_a_violated_constraint_leaves_nothing_behind(tmp_path, postgres):
    """Of each two transactions with the same key the second fails, is rolled back whole, and is refused in the ledger."""
    operation = {
        "name": "book", "parameters": {"id": "{{ iteration // 2 }}"}, "ledger": "books",
        "transaction": ["insert into audit values (:id)", "insert into once values (:id)"],
    }  # fmt: skip
    result = run(tmp_path, times_each(1, 40), postgres.port, sql=sql(operation))
    assert ended(result) == {("book", "ok"): 20, ("book", "failed"): 20}
    assert kinds(result) == {("book", "constraint"): 20}
    assert "duplicate key" in result.errors[0].example
    assert ask(postgres, "select count(*) from audit") == ask(postgres, "select count(*) from once") == 20
    entries = list(read_entries(tmp_path / "ledgers" / "books"))
    assert (
        sorted(entry.outcome for entry in entries)
        == [Acknowledgement.ACKNOWLEDGED] * 20 + [Acknowledgement.REFUSED] * 20
    )


def test_a_check_that_fails_rolls_back(tmp_path, postgres):
    """A transaction whose check does not hold is failed, and nothing of it is kept."""
    before = ask(postgres, "select count(*) from audit")
    operation = {
        "name": "move", "checks": ["rows == 1"],
        "transaction": ["insert into audit values (77)", "update once set number = 78 where number = -1"],
    }  # fmt: skip
    result = run(tmp_path, times_each(2, 5), postgres.port, sql=sql(operation))
    assert kinds(result) == {("move", "check"): 10}
    assert ask(postgres, "select count(*) from audit") == before


def test_waiting_for_the_pool_is_response_time(tmp_path, postgres):
    """4 users on one connection: they wait for each other in the response time, and not in the service time."""
    operation = {"name": "nap", "statement": "select pg_sleep(0.2)"}
    result = run(tmp_path, times_each(4, 3), postgres.port, sql=sql(operation, pool=1))
    assert ended(result) == {("nap", "ok"): 12}
    response, service = times(result, "nap"), times(result, "nap", service=True)
    assert response.quantile(0.5) > 3 * service.quantile(0.5) * 0.8
    assert service.quantile(0.5) < 0.4
    short = run(tmp_path, times_each(4, 1), postgres.port, sql=sql({**operation, "timeout": "300ms"}, pool=1))
    assert ended(short)["nap", "timed_out"] >= 2
    assert {error.kind for error in short.errors} <= {"timeout-pool", "timeout-response"}


def test_slow_statements_end_in_time_and_hinder_no_others(tmp_path, postgres):
    """A statement that sleeps is timed out with at least its limit; others on the same pool go on."""
    operations = [
        {"name": "slow", "statement": "select pg_sleep(20)", "timeout": "400ms"},
        {"name": "quick", "statement": "select 1", "checks": ["value == 1"], "weight": 3},
    ]
    executor = {"type": "constant-arrival-rate", "rate": 40, "duration": "3s", "graceful_stop": "5s"}
    result = run(tmp_path, executor, postgres.port, sql=sql(*operations, mode="weighted", pool=20))
    found = ended(result)
    assert set(found) == {("slow", "timed_out"), ("quick", "ok")}
    assert sum(found.values()) == 120
    assert times(result, "slow", Outcome.TIMED_OUT).min >= 0.4


def test_what_a_statement_does_wrong_is_named(tmp_path, postgres):
    """A table that is not there, a value that does not fit, a lost connection, a database that is not there: each its kind."""
    operations = [
        {"name": "table", "statement": "select * from nowhere"},
        {"name": "value", "statement": "select cast(:x as int)", "parameters": {"x": "many"}},
        {"name": "killed", "statement": "select pg_terminate_backend(pg_backend_pid())"},
    ]
    for operation in operations:
        result = run(tmp_path, times_each(2, 2), postgres.port, sql=sql(operation))
        kind = {"table": "statement", "value": "data", "killed": "closed"}[operation["name"]]
        assert kinds(result) == {(operation["name"], kind): 4}
    wrong = sql({"name": "r", "statement": "select 1"}, password="wrong")  # noqa: S106
    assert kinds(run(tmp_path, times_each(1, 2), postgres.port, sql=wrong)) == {("r", "auth"): 2}
    lost = sql({"name": "r", "statement": "select 1"}, url="postgresql+asyncpg://shop@{host}:{port}/nowhere")
    assert kinds(run(tmp_path, times_each(1, 2), postgres.port, sql=lost)) == {("r", "statement"): 2}


def test_a_frozen_database(tmp_path, postgres):
    """Frozen, its operations time out with at least their limit; thawed, they are good again; none is lost from the counts."""
    operation = {"name": "read", "statement": "select count(*) from audit", "timeout": "1s"}
    executor = {"type": "constant-arrival-rate", "rate": 20, "duration": "12s", "graceful_stop": "3s"}
    handle = load(tmp_path, executor, postgres.port, sql=sql(operation, pool=4))
    handle.start()
    time.sleep(2)
    postgres.container.pause()
    try:
        time.sleep(3)
    finally:
        postgres.container.unpause()
    result = finish(handle)
    assert set(ended(result)) == {("read", "ok"), ("read", "timed_out")}
    assert times(result, "read", Outcome.TIMED_OUT).min >= 1
    seconds = {outcome: sorted(key.second for key in result.buckets if key.outcome is outcome) for outcome in Outcome}
    assert seconds[Outcome.OK][-1] > seconds[Outcome.TIMED_OUT][-1]
    assert result.counts.ok + result.counts.timed_out == result.counts.scheduled == 240


# ---------------------------------------------------------------------------------------------------------------- Redis
def commands(*operations, **changes) -> dict:
    return {"target": "a.redis", "operations": list(operations), **changes}


def test_commands_and_pipelines(tmp_path, store):
    """Replies are what the server said, of commands, pipelines and transactions; every write is there."""
    operations = [
        {"name": "set", "command": ["SET", "k:{{ iteration }}", "ü{{ iteration }}"], "checks": ['reply == "OK"'], "ledger": "keys"},
        {"name": "get", "command": ["GET", "k:{{ iteration }}"], "checks": ['reply matches "^ü[0-9]+$"']},
        {"name": "none", "command": ["GET", "nothing"], "checks": ["reply == null"]},
        {"name": "pipe", "pipeline": [["INCR", "n"], ["LPUSH", "l:{{ iteration }}", 1, 2], ["LRANGE", "l:{{ iteration }}", 0, -1]],
         "checks": ["reply.0 > 0", "reply.1 == 2", 'reply.2 == ["2", "1"]']},
        {"name": "atomic", "atomic": True, "pipeline": [["INCR", "m"], ["INCR", "m"]], "checks": ["reply.1 > 1"]},
    ]  # fmt: skip
    result = run(tmp_path, times_each(5, 20), store.port, workers=2, redis=commands(*operations, database=1))
    assert result.errors == []
    assert ended(result) == {(operation["name"], "ok"): 100 for operation in operations}
    with redis.Redis(port=store.port, db=1) as client:
        assert (client.get("n"), client.get("m")) == (b"100", b"200")
        keys = {entry.key for entry in read_entries(tmp_path / "ledgers" / "keys")}
        assert len(keys) == client.exists(*keys) == 100


def test_commands_that_go_wrong(tmp_path, store):
    """A refused command, a command that blocks for ever, and one of a pipeline: counted once each, the next reply is its own."""
    operations = [
        {"name": "type", "pipeline": [["SET", "text", "a"], ["LPUSH", "text", 1], ["GET", "text"]], "weight": 1},
        {"name": "block", "command": ["BLPOP", "never", 0], "timeout": "1s"},
        {"name": "after", "command": ["ECHO", "{{ iteration }}"], "checks": ['reply matches "^[0-9]+$"']},
    ]
    result = run(tmp_path, times_each(3, 20), store.port, redis=commands(*operations, mode="weighted"))
    found = ended(result)
    assert set(found) == {("type", "failed"), ("block", "timed_out"), ("after", "ok")}
    assert sum(found.values()) == 60
    assert kinds(result) == {
        ("type", "reply"): found["type", "failed"],
        ("block", "timeout-response"): found["block", "timed_out"],
    }
    assert times(result, "block", Outcome.TIMED_OUT).min >= 1


def test_large_values_under_memory_pressure(tmp_path, store):
    """1000 keys of 10 kB, each operation judged by its time, then cleaned up."""
    write = {
        "name": "write",
        "command": ["SET", "big:{{ iteration }}", "{{ 'x' * 10000 }}"],
        "checks": ["latency < 1s"],
    }
    clean = {"name": "clean", "command": ["DEL", "big:{{ iteration }}"], "checks": ["reply == 1"]}
    result = run(tmp_path, times_each(10, 100), store.port, redis=commands(write, database=2))
    assert result.counts.ok == 1000
    assert run(tmp_path, times_each(10, 100), store.port, redis=commands(clean, database=2)).counts.ok == 1000
    with redis.Redis(port=store.port, db=2) as client:
        assert client.dbsize() == 0


# --------------------------------------------------------------------------------------------------------------- SQLite
def test_a_database_in_a_file(tmp_path):
    """Without a target, in a file that starts from the plan's folder; two worker processes write into it."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table items (id text primary key, amount int check (amount > 0))")
    operations = [
        {"name": "insert", "statement": "insert into items values (:id, :amount)", "checks": ["rows == 1"],
         "parameters": {"id": "{{ uuid() }}", "amount": "{{ iteration % 4 }}"}},
    ]  # fmt: skip
    spoken = {"url": "sqlite+aiosqlite:///shop.db?timeout=30", "pool": 4, "operations": operations}
    result = run(tmp_path, times_each(4, 20), workers=2, sql=spoken)
    assert ended(result) == {("insert", "ok"): 60, ("insert", "failed"): 20}
    assert kinds(result) == {("insert", "constraint"): 20}
    with sqlite3.connect(tmp_path / "shop.db") as database:
        assert database.execute("select count(*) from items").fetchone() == (60,)


def test_an_interrupted_load_of_statements(tmp_path, postgres):
    """Stopped in the middle, everything that began is accounted for, and no session is left in the database."""
    handle = load(
        tmp_path, {"type": "constant-vus", "vus": 5, "duration": "60s", "graceful_stop": "200ms"}, postgres.port,
        sql=sql({"name": "nap", "statement": "select pg_sleep(5)"}),
    )  # fmt: skip
    handle.start()
    time.sleep(1.5)
    stop = threading.Event()
    stop.set()
    result = handle.wait(stop)
    assert result.interrupted
    assert result.counts.problems() == []
    assert ended(result) == {("nap", "cancelled"): 5}
    assert (
        ask(
            postgres,
            "select count(*) from pg_stat_activity where query like '%pg_sleep(5)%' and pid <> pg_backend_pid()",
        )
        == 0
    )
