"""Each fault of PostgreSQL on a real server: injected, felt by a client of another kind, reverted, as before."""

import asyncio
import threading
import time

import asyncpg
import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.databases import (
    PostgresHoldConnections,
    PostgresLock,
    PostgresMaxConnections,
    PostgresReadOnly,
    PostgresSlowCommits,
    PostgresSlowQueries,
    PostgresTerminate,
)
from tests.integration.faults.databases import alone, connect, postgres_service, sql, tried
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration

STATE = """
SELECT concat_ws(' ', (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings
                       WHERE name IN ('default_transaction_read_only', 'commit_delay', 'commit_siblings')),
                 (SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'),
                 (SELECT datconnlimit FROM pg_database WHERE datname = 'shop'),
                 (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'shakedown-%'),
                 (SELECT count(*) FROM pg_class WHERE relname LIKE 'shakedown%'))
"""


@pytest.fixture
def db(make_system, engine):
    """A server with a table and an ordinary user; whatever a test did, it must be as before."""
    system = make_system({"db": postgres_service(engine)})
    until = time.monotonic() + 20
    while (
        tried(lambda: sql(system, "SELECT 1")) != 1 and time.monotonic() < until
    ):  # its port is open before it is ready
        time.sleep(0.1)
    sql(system, "CREATE TABLE orders (id serial PRIMARY KEY, name text)", "INSERT INTO orders (name) VALUES ('a')",
        "CREATE ROLE clerk LOGIN PASSWORD 'p@ss w''rd'", "GRANT ALL ON orders, orders_id_seq TO clerk", "SELECT 1")  # fmt: skip
    before = sql(system, STATE)
    yield system
    if system.runner("db").exit_code() is None:
        assert sql(system, STATE) == before


def whole(record) -> None:
    """The fault took effect, was taken back, and nothing went wrong."""
    assert record.refused is None, record.refused
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone


def test_no_connection_is_left(db):
    """All connections held: a superuser is refused too; an old session goes on; afterwards all are free again."""

    def during():
        return tried(lambda: sql(db, "SELECT 1"))

    record, found = inject(db, PostgresHoldConnections(target="db"), hold=3, during=during)
    whole(record)
    assert found[0][0] == "TooManyConnectionsError"
    assert record.effect.asked == record.effect.measured == 20
    assert sql(db, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == 1


def test_connections_that_come_free_are_taken_too(db):
    """A client that had a connection and closes it does not get another one."""

    async def work():
        old = await connect(db)
        result: list[object] = []

        def during():
            async def close_and_try():
                await old.fetchval("SELECT 1")
                await old.close()
                for _ in range(40):
                    await asyncio.sleep(0.1)
                    try:
                        again = await connect(db)
                    except asyncpg.TooManyConnectionsError:
                        return "refused"
                    await again.close()
                return "let in"

            return asyncio.run_coroutine_threadsafe(close_and_try(), loop).result(10)

        loop = asyncio.get_running_loop()
        result += await asyncio.to_thread(
            lambda: inject(db, PostgresHoldConnections(target="db"), hold=5, during=during)
        )
        return result

    record, found = alone(work)
    whole(record)
    assert found == ["refused"]


@pytest.mark.parametrize(("given", "held"), [({"leave": 5}, 15), ({"connections": 4}, 4)])
def test_some_connections_are_left(db, given, held):
    """All but five, or four: so many are counted, and others still get one."""

    def during():
        return sql(db, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'shakedown-%'")

    record, found = inject(db, PostgresHoldConnections(target="db", **given), hold=2, during=during)
    whole(record)
    assert found == [held]
    assert record.effect.measured == held


def test_more_connections_than_there_are_is_refused(db):
    """Sixty of twenty connections cannot be held: nothing is injected."""
    record, _ = inject(db, PostgresHoldConnections(target="db", connections=60))
    assert "20 are free" in record.refused
    assert record.applied_at is None


def test_sessions_end_by_themselves_and_from_outside(db, engine):
    """Nobody reverts: at the deadline the sessions are gone. Before it, the journal's undo alone ends them, twice at once."""
    for from_outside in (False, True):
        fault = build_fault(PostgresHoldConnections(target="db", connections=6), context_of(db))
        fault.check()
        undo = fault.undo()
        fault.inject(time.time() + (60 if from_outside else 3))
        assert fault.effect().held
        if from_outside:
            threads = [threading.Thread(target=carry_out, args=(undo, engine)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            time.sleep(3.5)
        assert fault.gone().held, fault.gone()


def test_transactions_are_ended(db):
    """A client in mid-transaction loses its session and its work; an idle one keeps its own."""

    async def work():
        idle, busy = await connect(db), await connect(db)
        await busy.execute("BEGIN; INSERT INTO orders (name) VALUES ('lost')")
        record, _ = await asyncio.to_thread(lambda: inject(db, PostgresTerminate(target="db"), hold=2))
        assert await idle.fetchval("SELECT count(*) FROM orders") == 1
        with pytest.raises((asyncpg.PostgresError, OSError, asyncpg.InterfaceError)):
            await busy.fetchval("SELECT 1")
        await idle.close()
        return record

    record = alone(work)
    whole(record)
    assert record.effect.measured == 1


def test_sessions_are_ended_again_and_again(db):
    """A client that connects anew is ended anew, until the fault is over."""

    def during():
        lost, until = 0, time.monotonic() + 2.2

        async def once():
            connection = await connect(db, user="clerk")
            try:
                while time.monotonic() < until:
                    await connection.fetchval("SELECT pg_sleep(0.05)")
            finally:
                await connection.close(timeout=1)

        while time.monotonic() < until:
            try:
                asyncio.run(once())
            except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError):
                lost += 1
        return lost

    plan = PostgresTerminate(target="db", every=0.5, in_transaction=False, role="clerk")
    record, found = inject(db, plan, hold=3, during=during)
    whole(record)
    assert found[0] >= 2


def test_nobody_to_end_is_not_proved(db):
    """Without a transaction nothing is ended, and the effect is not held."""
    record, _ = inject(db, PostgresTerminate(target="db", role="nobody"), hold=1)
    assert not record.effect.held
    assert record.gone.held


@pytest.mark.parametrize(("mode", "read"), [("access-exclusive", False), ("exclusive", True)])
def test_a_locked_table_makes_others_wait(db, mode, read):
    """Writers wait, readers only for access-exclusive; afterwards both go through."""

    def during():
        reading = tried(lambda: sql(db, "SELECT count(*) FROM orders", timeout=0.5))
        writing = tried(lambda: sql(db, "SET lock_timeout = 400", "UPDATE orders SET name = 'b'", "SELECT 1"))
        return reading == 1, writing[0]

    record, found = inject(db, PostgresLock(target="db", table="orders", mode=mode), hold=3, during=during)
    whole(record)
    assert found == [(read, "LockNotAvailableError")]
    assert record.effect.measured >= record.effect.asked
    assert sql(db, "UPDATE orders SET name = 'b'", "SELECT count(*) FROM orders") == 1


def test_a_lock_ends_by_itself_even_while_it_waits(db):
    """Somebody holds the table: the lock is not proved, and neither waiting nor held does it outlast its deadline."""

    async def work():
        other = await connect(db)
        await other.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        fault = build_fault(PostgresLock(target="db", table="orders"), context_of(db))
        fault.check()
        await asyncio.to_thread(fault.inject, time.time() + 2)
        assert not fault.effect().held
        await asyncio.sleep(1.5)
        assert await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0
        assert fault.psql.kept() == 0
        await other.close()

    alone(work)


def test_a_table_that_is_not_there_is_refused(db):
    """The refusal names those that are."""
    record, _ = inject(db, PostgresLock(target="db", table="ordres"))
    assert "public.orders" in record.refused


def test_read_only_reaches_open_sessions(db):
    """A session from before cannot write, nor can a new one; both read. Afterwards both write."""

    async def work():
        old = await connect(db)
        await old.execute("INSERT INTO orders (name) VALUES ('x')")
        loop = asyncio.get_running_loop()

        def during():
            async def attempt():
                try:
                    await old.execute("INSERT INTO orders (name) VALUES ('y')")
                except asyncpg.ReadOnlySQLTransactionError:
                    return await old.fetchval("SELECT count(*) FROM orders")

            time.sleep(0.3)
            new = tried(lambda: sql(db, "INSERT INTO orders (name) VALUES ('z')", "SELECT 1"))
            return asyncio.run_coroutine_threadsafe(attempt(), loop).result(5), new[0]

        record, found = await asyncio.to_thread(
            lambda: inject(db, PostgresReadOnly(target="db"), hold=2, during=during)
        )
        await old.execute("INSERT INTO orders (name) VALUES ('z')")
        await old.close()
        return record, found

    record, found = alone(work)
    whole(record)
    assert found == [(2, "ReadOnlySQLTransactionError")]


def test_a_setting_written_down_before_is_written_down_again(db):
    """What ALTER SYSTEM had said before is what it says afterwards; a server that is set so already is refused."""
    sql(db, "ALTER SYSTEM SET commit_delay = 7", "SELECT pg_reload_conf()")
    record, _ = inject(db, PostgresSlowCommits(target="db", delay=0.05), hold=1.5)
    whole(record)
    written = "SELECT setting FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf' AND name = 'commit_delay'"
    assert sql(db, written) == "7"
    assert sql(db, "SHOW commit_delay") == "7"
    sql(
        db,
        "ALTER SYSTEM RESET commit_delay",
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    )
    time.sleep(0.3)
    record, _ = inject(db, PostgresReadOnly(target="db"))
    assert "already" in record.refused
    sql(db, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    time.sleep(0.3)


def test_commits_are_slow_and_reads_are_not(db):
    """80 ms asked: a commit of a client takes at least 64 ms longer, a read does not."""

    def times():
        async def go():
            connection = await connect(db)
            taken = {}
            for name, statement in (("write", "INSERT INTO orders (name) VALUES ('w')"), ("read", "SELECT 1")):
                found = []
                for _ in range(5):
                    begun = time.monotonic()
                    await connection.execute(statement)
                    found.append(time.monotonic() - begun)
                taken[name] = sorted(found)[2]
            await connection.close()
            return taken

        return asyncio.run(go())

    quiet = times()
    record, found = inject(db, PostgresSlowCommits(target="db", delay=0.08), hold=3, during=times)
    whole(record)
    assert found[0]["write"] - quiet["write"] >= 0.064
    assert found[0]["read"] < 0.064
    assert 0.064 <= record.effect.measured < 0.16


def test_chosen_queries_are_slow(db):
    """300 ms asked for reads of `orders`: a client feels them there, each time, and neither at a write nor at connecting."""

    def times():
        async def go():
            begun = time.monotonic()
            connection = await connect(db)
            taken = {"connect": time.monotonic() - begun}
            statement = await connection.prepare("SELECT name FROM orders")
            for name, work in (
                ("read", lambda: connection.fetch("SELECT * FROM orders WHERE id = $1", 1)), ("prepared", statement.fetch),
                ("again", statement.fetch), ("write", lambda: connection.execute("INSERT INTO orders (name) VALUES ('w')")),
            ):  # fmt: skip
                begun = time.monotonic()
                await work()
                taken[name] = time.monotonic() - begun
            await connection.close()
            return taken

        return asyncio.run(go())

    fault = PostgresSlowQueries(target="db", delay=0.3, matching="select .* from orders", ports=[5432])
    record, found = inject(db, fault, hold=4, during=times)
    whole(record)
    felt = found[0]
    assert all(felt[name] >= 0.3 for name in ("read", "prepared", "again"))
    assert felt["connect"] < felt["read"]
    assert felt["write"] < 0.3
    assert "3 of " in record.effect.evidence
    assert 0.24 <= record.effect.measured < 0.6
    assert times()["read"] < 0.3


def test_queries_that_nobody_asked(db):
    """A fault that held back no query had no effect, and says so."""
    record, _ = inject(db, PostgresSlowQueries(target="db", delay=0.1, ports=[5432]), hold=1.5)
    assert not record.effect.held
    assert "no query was asked" in record.effect.evidence
    assert record.gone.held


def test_fewer_sessions_of_ordinary_users(db):
    """Four sessions, two allowed: two are ended, a new one is refused; afterwards it is let in."""

    async def work():
        sessions = [await connect(db, user="clerk") for _ in range(4)]
        record, found = await asyncio.to_thread(
            lambda: inject(
                db, PostgresMaxConnections(target="db", connections=2), hold=2,
                during=lambda: tried(lambda: sql(db, "SELECT 1", user="clerk")),
            )
        )  # fmt: skip
        alive = 0
        for session in sessions:
            try:
                alive += await session.fetchval("SELECT 1")
            except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError):
                continue
            await session.close()
        return record, found, alive

    record, found, alive = alone(work)
    whole(record)
    assert alive == 2
    assert found[0][0] == "TooManyConnectionsError"
    assert sql(db, "SELECT 1", user="clerk") == 1


def test_a_limit_for_superusers_is_refused(db):
    """Where only superusers are connected, the limit would bind nobody."""

    async def work():
        session = await connect(db)
        record, _ = await asyncio.to_thread(lambda: inject(db, PostgresMaxConnections(target="db", connections=2)))
        await session.close()
        return record

    assert "superusers" in alone(work).refused


def test_a_server_that_dies_in_the_middle_is_no_pass(db, engine):
    """Killed while its setting is changed: an error; its undo is still open, and works once it runs again."""
    context = context_of(db)
    fault = build_fault(PostgresReadOnly(target="db"), context)
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    container = engine.containers.get(db.handle("db").container)
    container.kill()
    with pytest.raises(Exception, match="waits until it runs again"):
        fault.revert()
    with pytest.raises(Exception, match="not running"):
        fault.gone()
    container.start()
    for _ in range(100):
        if tried(lambda: sql(db, "SELECT 1")) == 1:
            break
        time.sleep(0.1)
    carry_out(undo, engine)
    time.sleep(0.3)
    with pytest.raises(Exception, match="started anew"):
        fault.revert()
    assert fault.gone().held


def test_no_password_is_in_the_journal(db):
    """What is written down for an undo holds no password."""
    inject(db, PostgresReadOnly(target="db"), hold=1)
    assert "p@ss" not in db.journal.path.read_text(encoding="utf-8")
