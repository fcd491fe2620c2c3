"""Shards under Prefect's own task runners, against a real server."""

import threading
import time
from pathlib import Path

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from shakedown.errors import LoadError
from shakedown.ledgers.entries import read_entries
from shakedown.load import LoadSpec
from shakedown.load.shards import Ready, ShardJob, Word, machine, run_shard
from shakedown.load.spec import Target
from shakedown.load.spread import ShardedLoad
from shakedown.plan.executors import ConstantArrivalRate, ConstantVus, Executor
from shakedown.plan.model import Shards
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.load import LoadResult
from tasks.shards import launch_shards
from tests.integration.test_load import server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def prefect_server():
    """A Prefect server of our own for all tests here."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


def spec(folder: Path, port: int, executor: Executor, **request) -> LoadSpec:
    asked = Request(name="r", post="/", json={"id": "{{ uuid() }}"}, timeout=5.0, checks=["status == 200"], **request)
    return LoadSpec(
        label="l", scenario="s", stage="x", duration=executor.longest, seed=1,
        work=Scenario(executor=executor, http=Http(target="a.http", requests=[asked])),
        target=Target(host="127.0.0.1", port=port), ledger_dir=str(folder / "ledgers"), origin=time.monotonic() - 1,
    )  # fmt: skip


def arrivals(rate, duration, **changes) -> ConstantArrivalRate:
    return ConstantArrivalRate(type="constant-arrival-rate", rate=rate, duration=duration, **changes)


def spread(load: ShardedLoad, stop: threading.Event | None = None) -> LoadResult:
    """Run a load inside a flow, as a stage does."""
    results = []

    @flow(name="spreading")
    def spreading() -> None:
        load.start()
        results.append(load.wait(stop or threading.Event()))

    spreading()
    return results[0]


@pytest.mark.parametrize("runner", ["thread", "process", "ray"])
def test_two_shards_are_one_load(prefect_server, tmp_path, runner):
    """Two shards make exactly the schedule's requests, each second of it, and bring their ledger lines home."""
    if runner == "ray":
        pytest.importorskip("prefect_ray")
    deltas, told = [], []
    with server() as (port, _):
        whole = spec(tmp_path, port, arrivals(100, 2), ledger="w")
        load = ShardedLoad(whole, Shards(count=2, runner=runner), launch_shards, deltas.append, told.append)
        result = spread(load)
    assert "shard" not in (result.generator.starved or "") or "late" in result.generator.starved, told
    assert result.counts.problems() == []
    assert (result.counts.scheduled, result.counts.ok, result.generator.workers) == (200, 200, 2)
    assert result.rate_held
    assert result.end - result.start == pytest.approx(2)
    assert deltas[0].buckets == result.buckets
    entries = list(read_entries(tmp_path / "ledgers" / "w"))
    assert len({entry.key for entry in entries}) == 200
    assert all(load.clocks[index].proven == 0 for index in (0, 1)), load.clocks
    assert len(told) == 2
    assert "100 iterations" in told[0]


def test_stopping_reaches_every_shard(prefect_server, tmp_path):
    """A set stop event ends all shards long before their schedule; the result is interrupted and adds up."""
    stop = threading.Event()
    with server() as (port, _):
        load = ShardedLoad(
            spec(tmp_path, port, ConstantVus(type="constant-vus", vus=2, duration=120, think_time={"constant": "10ms"})),
            Shards(count=2), launch_shards, lambda _: None,
        )  # fmt: skip
        threading.Timer(8, stop.set).start()
        begun = time.monotonic()
        result = spread(load, stop)
        took = time.monotonic() - begun
    assert took < 60
    assert result.interrupted
    assert result.counts.problems() == []
    assert len(load.outcomes) == 2


def test_a_mistake_of_the_plan_is_told_as_one(prefect_server, tmp_path):
    """What no shard could do (a data file that is torn) is an error with the shard's name, and nothing is sent."""
    (tmp_path / "rows.csv").write_text("a\n")
    with server() as (port, _):
        whole = spec(tmp_path, port, arrivals(10, 1))
        work = Scenario.model_validate({**whole.work.model_dump(by_alias=True), "data": {"file": "rows.csv"}})
        load = ShardedLoad(
            whole.model_copy(update={"work": work, "base": str(tmp_path)}),
            Shards(count=2),
            launch_shards,
            lambda _: None,
        )
        with pytest.raises(LoadError, match=r"shard 1 of 2 .*holds no rows"):
            spread(load)


def test_a_shard_elsewhere_reads_what_travelled_with_it(tmp_path, monkeypatch):
    """Data files come from the job where the plan's folder is not this machine's."""
    monkeypatch.setattr("shakedown.load.shards.is_loopback", lambda _: False)
    with server() as (port, _):
        whole = spec(tmp_path, port, arrivals(20, 1))
        work = Scenario.model_validate({**whole.work.model_dump(by_alias=True), "data": {"file": "in/rows.csv"}})
        whole = whole.model_copy(update={"work": work, "base": "/nowhere"})
        made = job(whole, machine="elsewhere", files={"in/rows.csv": b"text\nhello\n"})
        outcome = run_shard(made, Line(made, 1))
    assert outcome.failure == ""
    assert outcome.delta.counts.ok == 20


class Line:
    """A line in memory, with a start that is `ahead` seconds away from when it is asked for."""

    def __init__(self, job: ShardJob, ahead: float, *, claimed: bool = False, silent_after: float = 1e9) -> None:
        self.origin, self.ahead, self.claimed, self.silent_after = job.spec.origin, ahead, claimed, silent_after
        self.start_at: float | None = None
        self.beat = 0

    def claim(self, _index: int, _ready: Ready) -> bool:
        return not self.claimed

    def word(self) -> Word | None:
        if self.start_at is None:
            self.start_at = time.monotonic() - self.origin + self.ahead
            self.begun = time.monotonic()
        if time.monotonic() - self.begun > self.silent_after:
            return None
        self.beat += 1
        return Word(beat=self.beat, wall=time.time(), start_at=self.start_at)


def job(whole: LoadSpec, **changes) -> ShardJob:
    import shakedown

    fields = {
        "spec": whole, "index": 0, "count": 1, "origin_wall": time.time() - (time.monotonic() - whole.origin),
        "machine": machine(), "version": shakedown.__version__,
    }  # fmt: skip
    return ShardJob(**{**fields, **changes})


def test_a_shard_that_comes_too_late_sends_nothing(tmp_path):
    """The agreed instant is over: not one request, and the reason."""
    with server() as (port, _):
        work = job(spec(tmp_path, port, arrivals(10, 1)))
        outcome = run_shard(work, Line(work, -2))
    assert outcome.delta is None
    assert "too late for the agreed instant" in outcome.refused


def test_a_shard_is_never_run_twice(tmp_path):
    """A number that is claimed already sends nothing."""
    with server() as (port, _):
        work = job(spec(tmp_path, port, arrivals(10, 1)))
        outcome = run_shard(work, Line(work, 1, claimed=True))
    assert outcome.delta is None
    assert "second time" in outcome.refused


def test_a_shard_whose_orchestrator_is_silent_ends(tmp_path):
    """Without a sign of life for the lease the load ends, untrusted, long before its schedule."""
    with server() as (port, _):
        work = job(spec(tmp_path, port, arrivals(20, 120)), lease=1.0)
        begun = time.monotonic()
        outcome = run_shard(work, Line(work, 1, silent_after=2.0))
    assert time.monotonic() - begun < 60
    assert outcome.cut_short
    assert "heard nothing from the orchestrator" in outcome.starved
    assert outcome.delta is not None
    assert outcome.delta.counts.problems() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"machine": "elsewhere/net:[1]"}, "is another"), ({"version": "0.0.0"}, "the orchestrator 0.0.0"),
     ({"files": {"../../x": b""}, "machine": "elsewhere"}, "outside the plan's folder")],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_before_anything_starts(tmp_path, changes, words):
    """A service at 127.0.0.1 of another machine, another version, a file that would be written elsewhere."""
    work = job(spec(tmp_path, 9, arrivals(10, 1)), **changes)
    if "files" in changes:  # a service that other machines reach: 192.0.2.1 is nobody's, and nothing gets that far
        work = work.model_copy(
            update={"spec": work.spec.model_copy(update={"target": Target(host="192.0.2.1", port=9)})}
        )
    outcome = run_shard(work, Line(work, 1))
    assert words in outcome.failure
    assert outcome.delta is None


def test_folders_of_killed_shards_are_removed(tmp_path, monkeypatch):
    """What a shard leaves that was killed with -9 goes with the next one; that of a shard that lives stays."""
    import fcntl
    import os

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "shakedown-shard-dead", tmp_path / "shakedown-shard-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "alive").touch()
        os.utime(folder, (0, 0))
    with (alive / "alive").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run_shard(
            job(spec(tmp_path, 9, arrivals(10, 1)), version="0.0.0"), Line(job(spec(tmp_path, 9, arrivals(10, 1))), 1)
        )
        assert [folder.name for folder in tmp_path.iterdir()] == ["shakedown-shard-alive"]
