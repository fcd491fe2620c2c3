"""What is read of containers: the kernel's files and the engine's statistics against each other, on a real engine."""

import contextlib
import time

import pytest

from shakedown.clock import RunClock
from shakedown.errors import EngineError, ServiceError
from shakedown.observe import Observer
from shakedown.observe.containers import ContainerReader
from shakedown.observe.lives import Lives

pytestmark = pytest.mark.integration

IMAGE = "debian:bookworm-slim"
# Holds 20 MB that belong to no file, writes 8 MB, and has two more processes.
BUSY = "dd if=/dev/zero of=/file bs=1M count=8 conv=fsync 2>/dev/null; X=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 600 & sleep 600 & wait"
# One process of it is killed for want of memory; it lives on.
HUNGRY = "sleep 1; (tail -c 200m /dev/zero | tail > /dev/null); sleep 600"


def until(check, limit=10.0):
    """Wait for something that an engine does in its own time."""
    end = time.monotonic() + limit
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.fixture
def container(engine, run_name):
    """Starts containers; all are removed."""
    made = []

    def start(name, command, **options):
        item = engine.containers.create(IMAGE, ["sh", "-c", command], name=f"{run_name}-{name}", init=False, **options)
        made.append(item)
        item.start()
        return item

    yield start
    for item in made:
        with contextlib.suppress(Exception):
            item.remove(force=True)


@contextlib.contextmanager
def both_ways(engine, wanted):
    """A reader of the kernel's files and one of the engine, of the same container."""
    lives = Lives(engine)
    readers = [ContainerReader(engine, lives.follow(wanted), direct=direct) for direct in (True, False)]
    try:
        yield readers
    finally:
        lives.close()
        for reader in readers:
            reader.close()


def test_both_ways_say_the_same(engine, container):
    """Names and meanings are one: what both tell is alike, and what only the kernel tells is not made up by the other."""
    item = container("busy", BUSY)
    with both_ways(engine, lambda: item.id) as (files, statistics):
        until(lambda: files.read(whole=True).get("memory_anon", 0) > 20e6)
        files.read(whole=True), statistics.read()
        time.sleep(1)
        direct, told = files.read(whole=True), statistics.read()
        assert not files.waits
        assert statistics.waits
    assert set(told) <= set(direct)
    only_files = {"open_files", "sockets_established", "sockets_close_wait", "sockets_time_wait"}
    assert set(direct) - set(told) <= only_files | {"block_read", "block_write"}
    for series in ("memory", "memory_with_cache", "memory_anon"):
        assert direct[series] == pytest.approx(told[series], rel=0.05, abs=1e6)
    assert 20e6 < direct["memory_anon"] <= direct["memory"] <= direct["memory_with_cache"]
    assert direct["pids"] == told["pids"] == 3
    assert direct["open_files"] >= 9
    assert direct["network_rx"] == pytest.approx(told["network_rx"], rel=0.5, abs=1000)
    assert direct["cpu"] < 0.5
    assert direct["block_write"] >= told.get("block_write", 0.0) >= 0


def test_restarts_kills_and_another_container(engine, container):
    """A restart, a kill for want of memory, a pause, a new container of the same name, and its end, seen both ways."""
    item = container("lives", HUNGRY, mem_limit="30m", memswap_limit="30m")
    with both_ways(engine, lambda: item.name) as readers:
        first = [reader.read() for reader in readers]
        assert [values["oom_kills"] for values in first] == [0, 0]
        assert until(lambda: [reader.read().get("oom_kills") for reader in readers] == [1, 1])
        assert until(lambda: all(reader.read().get("memory", 0) > 0 for reader in readers))
        item.restart(timeout=0)
        assert until(lambda: [reader.read().get("restarts") for reader in readers] == [1, 1])
        item.pause()
        assert until(lambda: all(set(reader.read()) == {"restarts", "oom_kills"} for reader in readers))
        item.unpause()
        item.remove(force=True)

        def gone(reader):
            try:
                reader.read()
            except ServiceError as error:
                return "is gone" in str(error)
            return False

        assert until(lambda: all(gone(reader) for reader in readers))
        container("lives", "sleep 600")

        def again(reader):
            with contextlib.suppress(ServiceError, EngineError):
                values = reader.read()
                return values.get("restarts") == 2 and values.get("memory", 0) > 0 and values["oom_kills"] >= 1
            return False

        assert until(lambda: all(again(reader) for reader in readers))


def test_a_main_process_that_is_killed_for_memory(engine, container):
    """The container has ended before its count could be read: the engine's word counts."""
    item = container("killed", "sleep 1; exec tail /dev/zero", mem_limit="30m", memswap_limit="30m")
    with both_ways(engine, lambda: item.id) as readers:
        assert until(lambda: all("memory" in reader.read() for reader in readers))
        assert until(lambda: [reader.read() for reader in readers] == [{"restarts": 0, "oom_kills": 1}] * 2)


def test_a_sampler_that_hangs_holds_up_nobody(make_system):
    """An endpoint that never answers: it is told once, and the others' samples come second by second."""
    system = make_system({"web": {"image": IMAGE, "command": ["sleep", "600"], "ports": {"http": 80},
                                  "probes": {"stuck": {"command": "sleep 600", "timeout": "30s"}}}})  # fmt: skip
    samples, events = [], []
    observer = Observer(system, RunClock.start(), samples.extend, events.append, 0.2)
    observer.start()
    assert until(lambda: len([one for one in samples if (one.source, one.series) == ("web", "memory")]) >= 8)
    observer.stop()
    assert not [one for one in samples if one.series == "stuck"]
    cost = [one.value for one in samples if (one.source, one.series) == ("shakedown", "observer_cpu")]
    assert all(0 <= value < 2 for value in cost)
    assert len(cost) >= 6
