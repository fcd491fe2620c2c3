"""Each fault of Redis on a real server: injected, felt by a client of another kind, reverted, as before."""

import threading
import time

import pytest
import redis

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.databases import (
    RedisBlock,
    RedisEvict,
    RedisFailover,
    RedisFlush,
    RedisKillClients,
    RedisMaxmemory,
    RedisPause,
)
from tests.integration.faults.databases import client, redis_service, tried
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration
SETTINGS = ("maxmemory", "maxmemory-policy")


@pytest.fixture
def cache(make_system, engine):
    """A server with a key; whatever a test did, its settings must be as before."""
    system = make_system({"cache": redis_service(engine, "--maxmemory", "64mb")})
    client(system).set("key", "value")
    before = [client(system).config_get(name) for name in SETTINGS]
    yield system
    if system.runner("cache").exit_code() is None:
        assert [client(system).config_get(name) for name in SETTINGS] == before
        assert client(system).exists("shakedown:probe") == 0


def whole(record) -> None:
    """The fault took effect, was taken back, and nothing went wrong."""
    assert record.refused is None, record.refused
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone


def closed(idle: redis.Redis) -> bool:
    """Whether the server has closed a client's connection; the client does not make another one by itself."""
    try:
        idle.connection.send_command("PING")
        idle.connection.read_response()
    except redis.ConnectionError:
        return True
    return False


def waits(system, within: float) -> list[float]:
    """How long each command of a patient client takes, for a while."""
    patient = client(system, socket_timeout=15)
    taken, until = [], time.monotonic() + within
    while time.monotonic() < until:
        begun = time.monotonic()
        patient.get("key")
        taken.append(time.monotonic() - begun)
        time.sleep(0.01)
    return taken


def test_memory_is_full(cache):
    """Writes are refused with OOM, reads are answered; afterwards writes go through."""

    def during():
        return tried(lambda: client(cache).set("new", "x"))[0], client(cache).get("key")

    record, found = inject(cache, RedisMaxmemory(target="cache"), hold=2, during=during)
    whole(record)
    assert found == [("OutOfMemoryError", "value")]
    assert record.effect.measured > record.effect.asked
    assert client(cache).set("new", "x")
    assert client(cache).exists("new") == 1


def test_memory_that_is_not_full_is_not_proved(cache):
    """A limit far above what is in use refuses nothing."""
    record, _ = inject(cache, RedisMaxmemory(target="cache", maxmemory="60MB"), hold=1)
    assert not record.effect.held
    assert record.gone.held


def test_keys_are_evicted(cache):
    """Memory is lowered and keys go; afterwards limit and policy are as before."""
    with client(cache).pipeline() as pipe:
        for number in range(4000):
            pipe.set(f"k{number}", "x" * 500)
        pipe.execute()
    before = client(cache).dbsize()
    record, found = inject(
        cache,
        RedisEvict(target="cache", destructive=True),
        hold=2,
        during=lambda: (time.sleep(0.5), client(cache).dbsize()),
    )
    whole(record)
    assert 0 < found[0][1] < before
    assert record.effect.measured <= record.effect.asked * 1.1


def test_everything_waits(cache):
    """No command is answered while it lasts, though the connection stays; afterwards each is at once."""

    def during():
        time.sleep(0.2)
        return waits(cache, 0.1)

    record, found = inject(cache, RedisPause(target="cache"), hold=3, during=during)
    whole(record)
    assert len(found[0]) == 1
    assert found[0][0] > 2.0
    assert max(waits(cache, 0.5)) < 0.4


def test_a_pause_ends_early(cache, engine):
    """The journal's undo, carried out twice at once, ends a pause of a minute within a slice."""
    fault = build_fault(RedisPause(target="cache"), context_of(cache))
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 75)
    until = time.monotonic() + 10
    while not fault.effect().held:  # as a run does: looked for until it shows
        assert time.monotonic() < until, fault.effect()
        time.sleep(0.1)
    begun = time.monotonic()
    threads = [threading.Thread(target=carry_out, args=(undo, engine)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits(cache, 0.1)
    assert time.monotonic() - begun < 5
    assert fault.gone().held


def test_writes_wait_and_reads_do_not(cache):
    """A write is answered when the pause is over, a read at once."""

    def during():
        return max(waits(cache, 0.5)), tried(lambda: client(cache).set("key", "value"))[0]

    record, found = inject(cache, RedisPause(target="cache", commands="write"), hold=3, during=during)
    whole(record)
    assert found[0][0] < 0.4
    assert found[0][1] == "TimeoutError"
    assert client(cache).set("key", "value")


def test_scripts_block_the_server(cache):
    """A client that asks all the time waits as long as a script takes, again and again; afterwards not."""
    quiet = max(waits(cache, 0.3))
    record, found = inject(cache, RedisBlock(target="cache", block=0.4), hold=3, during=lambda: waits(cache, 1.5))
    whole(record)
    assert sum(taken > 0.2 for taken in found[0]) >= 2
    assert record.effect.measured >= 0.2
    assert max(waits(cache, 0.3)) < max(0.2, quiet * 3)


def test_blocking_ends_by_itself_and_early(cache, engine):
    """Nobody reverts: it is over after its hold time. Undone from outside: within a script's time."""
    for early in (False, True):
        fault = build_fault(RedisBlock(target="cache", block=0.5), context_of(cache))
        fault.check()
        undo = fault.undo()
        fault.inject(time.time() + 15 + (60 if early else 1))
        if early:
            carry_out(undo, engine)
        until = time.monotonic() + 20
        while not fault.gone().held:  # on a busy machine its processes take their time to end
            assert time.monotonic() < until, fault.gone()
            time.sleep(0.2)


def test_connections_are_closed(cache):
    """A client loses its connection once; without a client the effect is not proved."""
    idle = client(cache).client()
    idle.ping()
    record, _ = inject(cache, RedisKillClients(target="cache"), hold=1)
    whole(record)
    assert record.effect.measured == 1
    assert closed(idle)
    record, _ = inject(cache, RedisKillClients(target="cache", clients="pubsub"), hold=1)
    assert not record.effect.held


def test_connections_are_closed_again_and_again(cache):
    """Closed every half second: a client that comes back loses it again."""

    def during():
        lost, until = 0, time.monotonic() + 2.3
        while time.monotonic() < until:
            single = client(cache, single_connection_client=True)
            try:
                while time.monotonic() < until:
                    single.ping()
                    time.sleep(0.02)
            except redis.ConnectionError:
                lost += 1
        return lost

    record, found = inject(cache, RedisKillClients(target="cache", every=0.5), hold=3, during=during)
    whole(record)
    assert found[0] >= 2


def test_a_flush_is_for_good(cache):
    """Keys are counted before and after; nothing pretends to bring them back; an empty database is refused."""
    client(cache).set("other", "x")
    record, _ = inject(cache, RedisFlush(target="cache", destructive=True), hold=1)
    whole(record)
    assert (record.effect.asked, record.effect.measured) == (2, 2)
    assert record.layers == ()
    assert client(cache).dbsize() == 0
    record, _ = inject(cache, RedisFlush(target="cache", destructive=True, database=3))
    assert "no key in database 3" in record.refused


def test_a_password_is_read_inside(make_system, engine):
    """With a password in the container's environment it works, and the journal does not hold it; without it, refused."""
    password = "s3cret w'ord$1"  # noqa: S105 - of a container that lives as long as this test
    service = redis_service(engine, "--requirepass", password, CACHE_PASSWORD=password)
    system = make_system({"cache": service})
    plan = RedisMaxmemory.model_validate({"target": "cache", "password_variable": "CACHE_PASSWORD"})
    record, _ = inject(system, plan, hold=1)
    whole(record)
    assert "s3cret" not in system.journal.path.read_text(encoding="utf-8")
    record, _ = inject(system, RedisMaxmemory(target="cache"))
    assert "NOAUTH" in record.refused
    assert "REDIS_PASSWORD" in record.refused


def test_a_server_that_starts_anew_is_no_pass(cache, engine):
    """Restarted in the middle: an error says so, and nothing of the fault is left."""

    def during():
        container = engine.containers.get(cache.handle("cache").container)
        time.sleep(0.5)
        container.restart(timeout=1)

    record, _ = inject(cache, RedisMaxmemory(target="cache"), hold=3, during=during)
    assert "started anew" in record.error
    assert record.gone.held


@pytest.fixture
def two(make_system, engine):
    """A primary and its replica."""
    system = make_system({
        "cache": redis_service(engine, "--repl-diskless-sync-delay", "0"),
        "copy": {**redis_service(engine, "--replicaof", "cache", "6379"), "depends_on": ["cache"]},
    })  # fmt: skip
    until = time.monotonic() + 10
    while client(system, "copy").info("replication")["master_link_status"] != "up" and time.monotonic() < until:
        time.sleep(0.1)
    return system


def test_a_replica_takes_over_and_gives_back(two):
    """The replica takes writes and the old primary refuses them; afterwards it has what was written meanwhile."""
    client(two).set("before", "1")

    def during():
        old = tried(lambda: client(two).set("key", "old"))
        return old[0], client(two, "copy").set("meanwhile", "2")

    record, found = inject(two, RedisFailover(target="cache", replica="copy"), hold=3, during=during)
    whole(record)
    assert found == [("ReadOnlyError", True)]
    assert client(two).info("replication")["role"] == "master"
    assert client(two, "copy").info("replication")["role"] == "slave"
    assert (client(two).get("before"), client(two).get("meanwhile")) == ("1", "2")


def test_what_is_no_replica_is_refused(two):
    """The wrong way round: the refusal says who follows whom."""
    record, _ = inject(two, RedisFailover(target="copy", replica="cache"))
    assert "it follows cache" in record.refused


def test_a_failover_is_undone_from_outside(two, engine):
    """The journal's undo alone brings the old order back, twice in a row too."""
    fault = build_fault(RedisFailover(target="cache", replica="copy"), context_of(two))
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    assert fault.effect().held
    carry_out(undo, engine)
    carry_out(undo, engine)
    until = time.monotonic() + 10
    while not fault.gone().held and time.monotonic() < until:
        time.sleep(0.1)
    assert fault.gone().held, fault.gone()
