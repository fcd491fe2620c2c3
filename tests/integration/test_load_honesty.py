"""The contracts of load with real processes, sockets and signals; what simulated time can show is in the unit tests."""

import contextlib
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shakedown.analysis.evidence import Evidence, histogram_between
from shakedown.analysis.thresholds import judge
from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.codec import decode_delta
from shakedown.load.spec import Target
from shakedown.plan.executors import Burst, ConstantArrivalRate, ConstantVus, SharedIterations
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult
from shakedown.verdict import Verdict

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def reference() -> Iterator[tuple[int, psutil.Process]]:
    """The reference server and its process."""
    from shakedown.load.reference_server import reference_server

    before = set(psutil.Process().children())
    with reference_server() as port:
        (process,) = set(psutil.Process().children()) - before
        yield port, process


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that answers at once."""
    with reference() as (number, _):
        yield number


def handle(folder, port, executor, *, workers=1, seed=1, **request) -> LoadHandle:
    asked = Request(**{"name": "r", "get": "/", "checks": ["status == 200"], **request})
    spec = LoadSpec(
        label="l", scenario="s", stage="x", duration=executor.longest, seed=seed, workers=workers,
        work=Scenario(executor=executor, http=Http(target="a.http", requests=[asked])),
        target=Target(host="127.0.0.1", port=port), ledger_dir=str(folder), origin=time.monotonic() - 1,
    )  # fmt: skip
    return LoadHandle(spec, lambda _: None)


def rate(number, duration, **changes) -> ConstantArrivalRate:
    return ConstantArrivalRate(type="constant-arrival-rate", rate=number, duration=duration, **changes)


def users(number, duration, **changes) -> ConstantVus:
    return ConstantVus(type="constant-vus", vus=number, duration=duration, **changes)


def run(load: LoadHandle) -> LoadResult:
    load.start()
    return finish(load)


def finish(load: LoadHandle) -> LoadResult:
    result = load.wait(threading.Event())
    assert result.counts.problems() == []
    return result


def lags(result: LoadResult) -> Histogram:
    merged = Histogram()
    for lag in result.start_lag.values():
        merged.merge(lag)
    return merged


def pids(load: LoadHandle) -> list[int]:
    return [worker.process.pid for worker in load._workers]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that gets no CPU for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("connections", [1, 2000])
def test_a_stall_shows_in_full(tmp_path, connections):
    """A real server stopped for S ≈ 1 s in T = 10 s at 1000/s: p99 is S − T/100, ± 5 %, over 1 connection or 2000."""
    with reference() as (port, server):
        load = handle(tmp_path, port, rate(1000, 10, max_vus=connections))
        load.start()
        time.sleep(4)
        with stopped(server.pid):
            begun = time.monotonic()
            time.sleep(1)
            stall = time.monotonic() - begun
        result = finish(load)
    assert result.counts.ok == 10_000
    seen = histogram_between(result).quantile(0.99)  # a busy machine adds to it; nothing may be missing from it
    assert 0.95 * (stall - 0.1) <= seen <= 1.2 * (stall - 0.1)


def test_ten_thousand_a_second_drop_nothing(tmp_path, port):
    """10 000/s for a second, users enough, no queue: every one is scheduled and started, whatever timers do."""
    result = run(handle(tmp_path, port, rate(10_000, 1, max_vus=6000, overload="drop")))
    assert (result.counts.scheduled, result.counts.dropped) == (10_000, 0)
    assert result.counts.started == 10_000


def test_no_time_is_negative_and_no_start_is_early(tmp_path, port):
    """On the real loop, which fires timers early as well as late: lags and times are never below zero, and add up."""
    result = run(handle(tmp_path, port, rate(500, 2)))
    response, service = Histogram(), Histogram()
    for bucket in result.buckets.values():
        assert 0 < bucket.service.min <= bucket.response.max
        assert bucket.response.min >= bucket.service.min
        response.merge(bucket.response)
        service.merge(bucket.service)
    lag = lags(result)
    assert lag.min >= 0
    assert lag.count == response.count == 1000
    # From begin to send an iteration takes some microseconds of the worker's own.
    assert response.sum - service.sum == pytest.approx(lag.sum, abs=1000 * 5e-5 + 0.05 * lag.sum)


def test_the_books_balance_whenever_it_stops(tmp_path, port):
    """Open and closed loads of two workers, stopped at random instants: both equations hold, and nothing is lost."""
    draw = random.Random(1)
    for executor in (rate(3000, 60, max_vus=3, overload="drop"), users(20, 60)):
        load = handle(tmp_path, port, executor.model_copy(update={"graceful_stop": 0.0}), workers=2)
        load.start()
        time.sleep(draw.uniform(0.2, 0.6))
        load.stop()
        result = finish(load)
        assert result.counts.scheduled > 0
        assert result.counts.requests == sum(bucket.response.count for bucket in result.buckets.values())
        assert result.counts.requests == result.counts.started


def test_a_rate_that_cannot_be_held_is_said(tmp_path, port):
    """One user, half a second of silence: fewer than 99 % start, the result says so, and no threshold on it passes."""
    with reference() as (number, server):
        load = handle(tmp_path, number, rate(400, 2, max_vus=1, overload="drop", graceful_stop=2))
        load.start()
        time.sleep(0.8)
        with stopped(server.pid):
            time.sleep(0.5)
        result = finish(load)
    assert result.counts.dropped > 100
    assert not result.rate_held
    assert result.target_rate == 400
    judged = judge(parse_threshold("l.p50 < 10s"), Evidence(loads={"l": result}))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "rate not held" in judged.reason or result.generator.starved  # as may be, on a busy machine


@pytest.mark.parametrize("executor", [rate(100, 2), users(2, 2)], ids=["open", "closed"])
def test_a_starved_generator_is_said(tmp_path, port, executor):
    """A worker that gets no CPU for a second: the result says that the generator was late, and judges nothing."""
    load = handle(tmp_path, port, executor)
    load.start()
    time.sleep(0.6)
    with stopped(pids(load)[0]):
        time.sleep(1)
    result = finish(load)
    assert "the load generator itself was late" in (result.generator.starved or "")
    assert judge(parse_threshold("l.p50 < 10s"), Evidence(loads={"l": result})).verdict is Verdict.INCONCLUSIVE
    assert judge(parse_threshold("l.p50 < 1us"), Evidence(loads={"l": result})).verdict is Verdict.INCONCLUSIVE


def test_the_same_seed_sends_the_same_data(tmp_path):
    """The same seed sends the same bodies, by one worker or by two; another seed sends others."""
    got: list[bytes] = []

    class Service(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def bodies(seed, workers):
        got.clear()
        body = {"id": "{{ uuid() }}", "n": "{{ randint(1, 1000) }}", "i": "{{ iteration }}"}
        request = {"get": None, "post": "/", "json": body, "checks": []}
        executor = SharedIterations(type="shared-iterations", vus=4, iterations=60)
        assert (
            run(handle(tmp_path, server.server_port, executor, workers=workers, seed=seed, **request)).counts.ok == 60
        )
        return sorted(got)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        first = bodies(1, 1)
        assert bodies(1, 2) == first
        assert not set(bodies(2, 1)) & set(first)
        server.shutdown()
    assert len({json.loads(body)["id"] for body in first}) == 60


def test_a_parent_that_hangs_does_not_disturb_the_load(tmp_path, port):
    """The process that runs stages and reports gets no CPU for 1.5 s: the workers keep their schedule all the same."""
    code = (
        "import sys, pathlib; from tests.integration.test_load_honesty import handle, rate, finish, lags;"
        "load = handle(pathlib.Path(sys.argv[2]), int(sys.argv[1]), rate(200, 4)); load.start(); print('go', flush=True);"
        "result = finish(load);"
        "print(result.counts.ok, lags(result).quantile(0.95), result.generator.starved, result.rate_held, sep=';')"
    )
    command = [sys.executable, "-c", code, str(port), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout.readline() == "go\n"
        time.sleep(0.5)
        with stopped(parent.pid):
            time.sleep(1.5)
        ok, lag, starved, held = parent.stdout.readline().strip().split(";")
    assert (ok, starved, held) == ("800", "None", "True")
    assert float(lag) < 0.5  # of a schedule that had hung with its parent, a third would be up to 1.5 s late


def test_a_parent_that_does_not_listen_does_not_disturb_the_load(tmp_path, port):
    """The worker's pipe is full for seconds, as nobody reads it: it keeps its schedule, and says everything later."""
    import fcntl

    load = handle(tmp_path, port, rate(200, 4))
    with subprocess.Popen(
        [sys.executable, "-m", "shakedown.load.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        worker.stdin.write(json.dumps({"spec": load.spec.model_dump(mode="json", by_alias=True), "shard": 0}) + "\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "ready\n"
        fcntl.fcntl(worker.stdout, fcntl.F_SETPIPE_SZ, 4096)
        worker.stdin.write(f"go {time.monotonic() + 0.1}\n")
        worker.stdin.flush()
        time.sleep(4.5)
        lines = [worker.stdout.readline() for _ in range(4)]
        while not lines[-1].startswith("done "):
            lines.append(worker.stdout.readline())
    deltas = [decode_delta(line.partition(" ")[2]) for line in lines[:-1]]
    lag = Histogram()
    for delta in deltas:
        for part in delta.start_lag.values():
            lag.merge(part)
    assert sum(delta.counts.ok for delta in deltas) == 800
    assert lag.quantile(0.9) < 0.5  # had it waited for its pipe, more than half of the arrivals would be seconds late
    assert sum(len(line) for line in lines) > 2 * 4096


def test_memory_does_not_grow_with_requests(tmp_path, port):
    """The worker's memory after 150 000 requests is that after 30 000, within 2 MB."""
    load = handle(tmp_path, port, SharedIterations(type="shared-iterations", vus=50, iterations=150_000))
    load.start()
    worker, sizes = psutil.Process(pids(load)[0]), []
    waiting = threading.Thread(target=lambda: sizes.append(("end", finish(load).counts.ok)))
    waiting.start()
    while waiting.is_alive():
        with contextlib.suppress(psutil.Error):
            done = load.snapshot().counts.ok
            if done > 30_000 and (memory := worker.memory_info().rss):
                sizes.append((done, memory))
        time.sleep(0.05)
    assert ("end", 150_000) in sizes
    early = next(memory for done, memory in sizes if done != "end")
    latest = [memory for done, memory in sizes if done != "end"][-1]
    assert latest - early < 2e6


def test_ctrl_c_is_the_parents_affair(tmp_path, port):
    """SIGINT at a worker changes nothing; the parent's stop ends a hanging load within its grace, labelled interrupted."""
    with reference() as (number, server):
        load = handle(tmp_path, number, rate(100, 60, graceful_stop=1))
        load.start()
        os.kill(pids(load)[0], signal.SIGINT)
        time.sleep(1)
        with stopped(server.pid):
            time.sleep(0.3)
            stop = threading.Event()
            stop.set()
            begun = time.monotonic()
            result = load.wait(stop)
            took = time.monotonic() - begun
    assert result.interrupted
    assert result.counts.problems() == []
    assert result.counts.ok > 30
    assert result.counts.cancelled > 10  # those that the silent server held
    assert 1 <= took < 1 + 3


def test_a_thousand_at_once_all_start(tmp_path, port):
    """A burst of 1000: a thousand connections, a thousand answers, all due in the first moment."""
    result = run(handle(tmp_path, port, Burst(type="burst", count=1000, max_vus=1000), timeout=20.0))
    assert (result.counts.scheduled, result.counts.dropped, result.counts.ok) == (1000, 0, 1000)
    assert len({key.second for key in result.buckets}) == 1
