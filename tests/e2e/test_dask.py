"""A load over a real Dask cluster on this machine: a scheduler and two worker processes, each a program of its own."""

import dataclasses
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("prefect_dask")

from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from shakedown.analysis.evidence import Evidence
from shakedown.analysis.thresholds import judge_all
from shakedown.load import LoadHandle
from shakedown.load.schedule import Arrivals, profile_of
from shakedown.load.spec import LoadSpec
from shakedown.load.spread import ShardedLoad
from shakedown.plan.model import Shards
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.load import LoadResult
from shakedown.services.ports import free_port
from shakedown.verdict import Verdict
from tasks.shards import launch_shards
from tests.conftest import ROOT
from tests.integration.test_load import server
from tests.integration.test_shards import arrivals, spec

pytestmark = pytest.mark.e2e


class Cluster:
    """A scheduler and its workers, by pid."""

    def __init__(self, folder: Path, allowed_failures: int) -> None:
        self.allowed_failures = allowed_failures
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        self.workers: list[subprocess.Popen] = []

    def start(self, workers: int) -> None:
        port = self.address.rpartition(":")[2]
        self._run("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        for number in range(workers):
            self.workers.append(
                self._run(
                    "worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--nworkers", "1", "--no-nanny",
                    "--no-dashboard", "--name", f"w{number}", "--local-directory", str(self.folder),
                )
            )  # fmt: skip

    def _run(self, role: str, *arguments: str) -> subprocess.Popen:
        log = (self.folder / f"{role}-{len(self.processes)}.log").open("w")
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.allowed_failures),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{role}", *arguments], env=environment, stdout=log, stderr=log
        )
        self.processes.append(process)
        return process

    def wait(self, workers: int) -> None:
        import distributed

        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path, request) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, getattr(request, "param", 0))
    try:
        cluster.start(2)
        cluster.wait(2)
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def prefect_server():
    with prefect_test_harness(server_startup_timeout=120):
        yield


def spread(load: ShardedLoad, begun=lambda: None) -> LoadResult:
    """Run a load inside a flow; `begun` is called when its schedule has begun."""
    results = []

    @flow(name="spreading")
    def spreading() -> None:
        load.start()
        results.append(load.wait(threading.Event()))

    def watch() -> None:
        while load.begins_at is None and not over.is_set():
            time.sleep(0.05)
        if not over.wait(max((load.begins_at or 0) - time.monotonic(), 0)):
            begun()

    over = threading.Event()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    spreading()
    over.set()
    watcher.join(10)
    return results[0]


def per_second(result: LoadResult) -> dict[int, int]:
    """Requests by the second of their schedule in which they were due."""
    found: dict[int, int] = {}
    for key, bucket in result.buckets.items():
        found[key.second] = found.get(key.second, 0) + bucket.response.count
    return found


def dues(schedule: Arrivals) -> Iterator[float]:
    while (due := schedule.due()) is not None:
        yield due
        schedule.advance()


def single(whole: LoadSpec) -> LoadResult:
    load = LoadHandle(whole, lambda _: None)
    load.start()
    return load.wait(threading.Event())


def test_two_dask_workers_make_one_load(prefect_server, cluster, tmp_path):
    """Two shards count what one process with the same seed counts, and each second holds what the one schedule has in it."""
    told: list[str] = []
    with server() as (port, _):
        whole = spec(tmp_path, port, arrivals(100, 4, arrivals="poisson"))
        alone = single(whole)
        load = ShardedLoad(
            whole, Shards(count=2, runner="dask", address=cluster.address), launch_shards, lambda _: None, told.append
        )
        result = spread(load)
    print(told, alone.counts, result.counts, result.generator)  # noqa: T201 - shown when it fails, or with -s
    schedule = Arrivals(result.start, profile_of(whole.executor), whole.arrival_seed)
    timely = alone.counts.on_time  # whether the last one begins before the schedule ends is the machine's doing
    assert dataclasses.replace(result.counts, on_time=timely) == alone.counts
    assert result.counts.problems() == []
    assert result.counts.ok > 300
    assert per_second(result) == Counter(math.floor(due) for due in dues(schedule))
    assert {outcome.pid for outcome in load.outcomes.values()} == {worker.pid for worker in cluster.workers}
    assert "lost" not in (result.generator.starved or "")


@pytest.mark.parametrize(
    ("cluster", "reason"),
    [(0, "was lost: KilledWorker"), (3, "sent nothing: it was started a second time")],
    indirect=["cluster"],
)
def test_a_killed_dask_worker_makes_the_load_inconclusive(prefect_server, cluster, reason, tmp_path):
    """Kill -9 of one worker in mid-load: the other's half is kept, nothing is sent again even by a cluster that repeats lost tasks, and no threshold passes."""
    whole_rate, seconds = 50, 8
    children: list[psutil.Process] = []

    def kill() -> None:
        time.sleep(2)
        children.extend(psutil.Process(cluster.workers[0].pid).children(recursive=True))
        os.kill(cluster.workers[0].pid, signal.SIGKILL)

    with server() as (port, _):
        whole = spec(tmp_path, port, arrivals(whole_rate, seconds))
        load = ShardedLoad(
            whole, Shards(count=2, runner="dask", address=cluster.address), launch_shards, lambda _: None
        )
        result = spread(load, kill)
    print(result.generator, result.counts)  # noqa: T201 - as above
    assert re.search(rf"shard [12] of 2 {reason}", result.generator.starved)
    assert result.counts.scheduled == whole_rate * seconds / 2
    assert result.generator.lost_workers == 1
    (judged,) = judge_all([parse_threshold("l.error_rate < 50%")], Evidence(loads={"l": result}, suites={}, samples=[]))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert reason in judged.reason
    assert not psutil.wait_procs(children, timeout=15)[1], "the killed worker's load processes must end with it"


PLAN = """\
version: 1
name: spread
services:
  web: {{process: ["{python}", "{server}", "{{port.http}}", good], ports: {{http: 0}}, health: {{tcp: http}}}}
scenarios:
  get:
    executor: {{type: constant-arrival-rate, rate: 50, duration: 3s}}
    http: {{target: web.http, requests: [{{name: get, get: /, checks: [status == 200]}}]}}
stages:
  stress: {{parallel: [{{use: get, shards: {{count: 2, runner: dask}}}}]}}
"""


def test_a_plan_spreads_its_load(tmp_path):
    """A whole run with `shards` and no address: a cluster of its own, the whole schedule stored as one load, nothing left running."""
    port_server = ROOT / "tests" / "integration" / "servers.py"
    (tmp_path / "plan.yaml").write_text(PLAN.format(python=sys.executable, server=port_server))
    program = Path(sys.executable).with_name("shakedown")
    done = subprocess.run([str(program), "run", "plan.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=280,
                          env={**os.environ, "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}, check=False)  # fmt: skip
    assert done.returncode in (0, 3), (
        done.stderr + done.stdout
    )  # 3: the machine was too busy for a generator to be trusted
    with sqlite3.connect(tmp_path / ".shakedown" / "shakedown.db") as database:
        ((counts, generator),) = database.execute("select counts, generator from load").fetchall()
        (requests,) = database.execute("select count(*) from histogram where kind = 'request'").fetchone()
    database.close()
    assert json.loads(counts)["ok"] == json.loads(counts)["scheduled"] == 150
    assert (json.loads(generator)["workers"], json.loads(generator)["lost_workers"]) == (2, 0)
    assert requests in (3, 4)  # one for each second, not for each shard and second
    assert not [process for process in psutil.process_iter() if _works_in(process, tmp_path)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False
