"""The load engine against real servers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from shakedown.analysis.evidence import histogram_between
from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.spec import Target
from shakedown.plan.executors import ConstantArrivalRate, ConstantVus
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult, Outcome
from shakedown.services.ports import free_port

pytestmark = pytest.mark.integration


@contextmanager
def server(mode: str = "good") -> Iterator[tuple[int, subprocess.Popen]]:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("servers.py")), str(port), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield port, process
        finally:
            process.kill()


def handle(tmp_path, port, executor, *, timeout=5.0, workers=1, ledger=None) -> LoadHandle:
    request = Request(
        name="r", post="/", json={"id": "{{ uuid() }}"}, timeout=timeout, ledger=ledger, checks=["status == 200"]
    )
    spec = LoadSpec(
        label="l", scenario="s", stage="x", duration=executor.longest, seed=1, workers=workers,
        work=Scenario(executor=executor, http=Http(target="a.http", requests=[request])),
        target=Target(host="127.0.0.1", port=port),
        ledger_dir=str(tmp_path), origin=time.monotonic() - 1,
    )  # fmt: skip
    return LoadHandle(spec, lambda _: None)


def arrivals(rate, duration, **changes) -> ConstantArrivalRate:
    return ConstantArrivalRate(type="constant-arrival-rate", rate=rate, duration=duration, **changes)


def run(load: LoadHandle) -> LoadResult:
    load.start()
    result = load.wait(threading.Event())
    assert result.counts.problems() == []
    return result


def test_a_stall_shows_in_full(tmp_path):
    """A server stopped for 1 s in 10 s at 1000/s: p99 from the intended start is 900 ms ± 5 %, service time stays small."""
    with server() as (port, process):
        load = handle(tmp_path, port, arrivals(1000, 10, max_vus=10))
        load.start()
        time.sleep(4)
        stalled = time.monotonic()
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(process.pid, signal.SIGCONT)
        stall = time.monotonic() - stalled
        result = load.wait(threading.Event())
    assert result.counts.problems() == []
    service = Histogram()
    for bucket in result.buckets.values():
        service.merge(bucket.service)
    expected = stall - 0.01 * 10
    seen = histogram_between(result).quantile(0.99)  # a busy machine adds to it; nothing may be missing from it
    assert 0.95 * expected <= seen <= 1.2 * expected
    assert service.quantile(0.99) < expected / 3
    assert result.rate_held
    assert result.counts.ok == 10_000


def test_too_few_users_drop_or_queue(tmp_path):
    """One VU on a silent server: dropping counts every arrival that found none; queueing loses none in silence."""
    with server("silent") as (port, _):
        dropped = run(handle(tmp_path, port, arrivals(50, 1, max_vus=1, overload="drop", graceful_stop=1), timeout=0.5))
        queued = run(handle(tmp_path, port, arrivals(50, 1, max_vus=1, overload="queue", graceful_stop=1), timeout=0.5))
    assert dropped.counts.scheduled == queued.counts.scheduled == 50
    assert dropped.counts.dropped > 40
    assert dropped.counts.timed_out + dropped.counts.cancelled == dropped.counts.started
    assert not dropped.rate_held
    assert not queued.rate_held


def test_a_time_out_counts_at_least_its_limit(tmp_path):
    """A request that is given up counts with its limit or more."""
    with server("silent") as (port, _):
        result = run(handle(tmp_path, port, arrivals(20, 1, graceful_stop=3), timeout=0.5))
    assert result.counts.timed_out == 20
    assert all(bucket.response.min >= 0.5 for bucket in result.buckets.values())
    assert result.errors[0].kind == "timeout-first-byte"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("garbage", "protocol"), ("half", "closed"), ("chunks", "protocol"), ("headers", "protocol"), ("nothing", "closed"),
     ("status", "status")],
)  # fmt: skip
def test_hostile_servers_cost_one_error_each(tmp_path, mode, kind):
    """Each rubbish answer is one classified error, and the load goes on."""
    with server(mode) as (port, _):
        result = run(handle(tmp_path, port, arrivals(20, 1)))
    assert (result.counts.failed, result.counts.ok) == (20, 0)
    assert {(error.kind, error.count) for error in result.errors} == {(kind, 20)}


def test_nobody_listens(tmp_path):
    """A refused connection is an error with its latency."""
    result = run(handle(tmp_path, free_port(), arrivals(20, 1)))
    assert result.counts.failed == 20
    assert result.errors[0].kind == "refused"
    assert sum(bucket.response.count for key, bucket in result.buckets.items() if key.outcome is Outcome.FAILED) == 20


def test_two_workers_are_one_load(tmp_path):
    """Shards add up to exactly the schedule."""
    with server() as (port, _):
        result = run(handle(tmp_path, port, arrivals(200, 1), workers=2))
    assert (result.counts.ok, result.generator.workers) == (200, 2)


def test_constant_vus_until_stopped(tmp_path):
    """A closed load ends when it is told to, with every iteration accounted for."""
    with server() as (port, _):
        load = handle(tmp_path, port, ConstantVus(type="constant-vus", vus=3, duration=60))
        load.start()
        time.sleep(1)
        load.stop()
        result = load.wait(threading.Event())
    assert result.counts.problems() == []
    assert result.counts.ok > 3
    assert not result.interrupted


def test_an_interrupted_load_keeps_what_it_measured(tmp_path):
    """The stop event ends a load early, labelled so."""
    stop = threading.Event()
    with server() as (port, _):
        load = handle(tmp_path, port, arrivals(100, 60))
        load.start()
        time.sleep(1)
        stop.set()
        result = load.wait(stop)
    assert result.interrupted
    assert result.counts.problems() == []
    assert 0 < result.counts.ok < 6000


def test_a_killed_worker_makes_the_load_untrusted(tmp_path):
    """Kill -9 of a worker: the result says so and can pass nothing."""
    with server() as (port, _):
        load = handle(tmp_path, port, arrivals(100, 3), workers=2)
        load.start()
        time.sleep(1)
        os.kill(load._workers[0].process.pid, signal.SIGKILL)
        result = load.wait(threading.Event())
    assert result.generator.lost_workers == 1
    assert "1 of 2 load workers died" in result.generator.starved


def test_workers_end_with_their_parent(tmp_path):
    """Kill -9 of the parent: its workers see their input end, and end."""
    code = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[2]);"
        "from tests.integration.test_load import handle, arrivals;"
        "load = handle(pathlib.Path(sys.argv[3]), int(sys.argv[1]), arrivals(50, 60)); load.start();"
        "print(load._workers[0].process.pid, flush=True); time.sleep(60)"
    )
    root = str(Path(__file__).parent.parent.parent)
    with server() as (port, _):
        command = [sys.executable, "-c", code, str(port), root, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            worker = psutil.Process(int(parent.stdout.readline()))
            parent.kill()
        _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive


def test_ledger_notes_every_write(tmp_path):
    """Every acknowledged request stands in the ledger, under a key of its own."""
    from shakedown.ledgers.entries import read_entries
    from shakedown.records.ledger import Acknowledgement

    with server() as (port, _):
        result = run(handle(tmp_path, port, arrivals(100, 1), ledger="w"))
    entries = list(read_entries(tmp_path / "w"))
    assert len({entry.key for entry in entries}) == len(entries) == result.counts.ok
    assert {entry.outcome for entry in entries} == {Acknowledgement.ACKNOWLEDGED}
