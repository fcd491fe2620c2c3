"""What one request, one delta, one row and one shard cost: the unit costs that docs/scale.md reckons with.

`python benchmarks/units.py [--rounds N] [--rate R] [--seconds T]` measures for half a minute to a minute, prints a table
in Markdown, then what a load of R requests per second takes by these figures. Costs are CPU time by the kernel's
accounts, not time that passed; each is the median of several rounds, with the least and the greatest beside it. The
unit of the column `ratio` is one `json.dumps` of a fixed document in the same round, so that two machines, or two
moments of a noisy one, can be compared.
"""  # noqa: INP001

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.codec import decode_delta, encode_delta
from shakedown.load.parcels import pack, unpack
from shakedown.load.recorder import Recorder
from shakedown.load.reference_server import reference_server
from shakedown.load.shards import ShardOutcome
from shakedown.load.spec import Target
from shakedown.plan.executors import ConstantArrivalRate, ConstantVus, Executor
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.load import LoadCounts, LoadDelta, LoadResult, Outcome, merge_parts
from shakedown.results import Store
from shakedown.results.tables import RunRow

USERS, SECONDS, OPEN_SHARE = 50, 3, 0.4
PER_SECOND = (100, 1_000, 10_000, 100_000)
BUSY = 0.6  # of a core, for a generator whose own lateness must not show
SHARD_SECONDS = 60
DOCUMENT = {"id": "0123456789abcdef", "values": list(range(100)), "text": "x" * 500}


@dataclass(slots=True)
class Unit:
    """One cost, over several rounds."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The cost that is reckoned with."""
        return statistics.median(self.values)

    def row(self) -> str:
        """A line of the table."""
        ratio = f"{statistics.median(self.ratios):.2f}" if self.ratios else ""
        return f"| {self.name} | {self.median:,.3g} {self.unit} | {min(self.values):,.3g} to {max(self.values):,.3g} | {ratio} |"


def cpu_micros(work: Callable[[], object], times: int) -> float:
    """CPU microseconds of a piece of work, repeated."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times * 1e6


def run(port: int, executor: Executor, deltas: list[LoadDelta]) -> tuple[LoadResult, float]:
    """A load against the least service there is, and its parent's CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        request = Request(name="r", get="/", checks=["status == 200"])
        load = LoadHandle(
            LoadSpec(
                label="unit", scenario="unit", stage="unit", duration=executor.longest, seed=1, ledger_dir=folder,
                work=Scenario(executor=executor, http=Http(target="a.http", requests=[request])),
                target=Target(host="127.0.0.1", port=port), origin=time.monotonic(),
            ), deltas.append,
        )  # fmt: skip
        begun = time.process_time()
        load.start()
        result = load.wait(threading.Event())
        return result, time.process_time() - begun


def micros_per_request(result: LoadResult) -> float:
    """CPU microseconds of the worker for each request."""
    return result.generator.cpu * (result.end - result.start) / result.counts.requests * 1e6


def synthetic(per_second: int, seconds: int, seed: int = 1) -> LoadDelta:
    """What a worker measures in some seconds: log-normal times around 5 ms, 1 % errors."""
    draw = np.random.default_rng(seed)
    recorder = Recorder("unit")
    good, bad = recorder.cell("r", Outcome.OK), recorder.cell("r", Outcome.FAILED)
    for second in range(seconds):
        times = draw.lognormal(math.log(0.005), 0.5, per_second)
        for number, took in enumerate(times.tolist()):
            due = second + number / per_second
            (bad if number % 100 == 99 else good).add(due, due + 1e-4, due + took, 200)
            recorder.lag(due, due + 1e-4)
    return recorder.take(float(seconds))


def empty() -> LoadDelta:
    """Nothing measured yet."""
    return LoadDelta("unit", 0.0, LoadCounts(), {}, {}, {}, [])


def store_rows(folder: Path, deltas: list[LoadDelta]) -> tuple[int, float, float]:
    """Rows, CPU microseconds and bytes for each row of deltas that are stored."""
    store = Store.open(folder)
    store.begin_run(
        RunRow(
            id="unit", plan="unit", plan_path="", plan_digest="", plan_json="{}", overrides="[]", command="", status="running",
            started=datetime.now(UTC), host="unit", pid=os.getpid(), pid_created=0.0, version="", seed=1, environment="{}",
        )
    )  # fmt: skip
    store.engine.dispose()
    before = sum(file.stat().st_size for file in folder.glob("*"))
    begun = time.process_time()
    for delta in deltas:
        store.add_delta("unit", "unit", 0, delta)
    cpu = time.process_time() - begun
    store.engine.dispose()  # the write-ahead log goes into the database
    after = sum(file.stat().st_size for file in folder.glob("*"))
    rows = sum(len(delta.buckets) + len(delta.start_lag) + len(delta.pulses) + len(delta.errors) for delta in deltas)
    return rows, cpu / rows * 1e6, (after - before) / rows


class Costs:
    """All unit costs."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.reference = 1.0

    def note(self, key: str, name: str, unit: str, value: float) -> None:
        """One round's value."""
        known = self.units.setdefault(key, Unit(name, unit))
        known.values.append(value)
        if "µs" in unit:
            known.ratios.append(value / self.reference)

    def measure(self, port: int) -> None:
        """One round of everything."""
        self.reference = cpu_micros(lambda: json.dumps(DOCUMENT), 3000)
        self.note("reference", "`json.dumps` of a fixed document, the unit of the ratios", "µs", self.reference)
        closed, _ = run(port, ConstantVus(type="constant-vus", vus=USERS, duration=SECONDS, graceful_stop=2), [])
        self.note("closed", "a request, closed model, 50 connections: worker", "µs CPU", micros_per_request(closed))
        rate = max(closed.counts.requests / SECONDS * OPEN_SHARE, 100)
        deltas: list[LoadDelta] = []
        arrivals = ConstantArrivalRate(
            type="constant-arrival-rate", rate=rate, duration=SECONDS, max_vus=500, graceful_stop=2
        )
        opened, parent = run(port, arrivals, deltas)
        self.note("open", "a request, open model at 40 % of that: worker", "µs CPU", micros_per_request(opened))
        self.note("parent", "a worker's deltas for a second: its parent", "µs CPU", parent / SECONDS * 1e6)
        with tempfile.TemporaryDirectory() as folder:
            rows, micros, _ = store_rows(Path(folder), deltas)
        self.note(
            "live_rows", "rows a second of one load of this machine (two deltas a second)", "rows", rows / SECONDS
        )
        self.note("row_live", "a row written, by delta", "µs CPU", micros)
        for number in PER_SECOND:
            text = json.dumps(encode_delta(synthetic(number // 2 or 1, 1)))
            self.note(
                f"line_{number}", f"a delta's line, {number:,} requests/s and worker, 2 outcomes", "bytes", len(text)
            )
        text = json.dumps(encode_delta(synthetic(5_000, 1)))
        self.note(
            "delta", "a delta decoded and merged (10,000 requests/s)", "µs CPU",
            cpu_micros(lambda: merge_parts(empty(), decode_delta(text)), 100),
        )  # fmt: skip
        for number in PER_SECOND[:3]:
            outcome = ShardOutcome(0, "unit", 1, synthetic(number, 10))
            size = len(pack(outcome)) / 10
            self.note(f"parcel_{number}", f"a shard's outcome for each second, {number:,} requests/s", "bytes", size)
        parcel = pack(ShardOutcome(0, "unit", 1, synthetic(10_000, 10)))

        def gather() -> None:
            delta = unpack(parcel).delta
            assert delta is not None  # noqa: S101 - as packed
            merge_parts(empty(), delta)

        self.note(
            "gather", "a shard's outcome unpacked and merged, for each second", "µs CPU", cpu_micros(gather, 5) / 10
        )
        whole = synthetic(10_000, 10)
        with tempfile.TemporaryDirectory() as folder:
            rows, micros, size = store_rows(Path(folder), [whole])
        self.note("spread_rows", "rows a second of one load in shards, however many (2 outcomes)", "rows", rows / 10)
        self.note("row", "a row written, all at once", "µs CPU", micros)
        self.note("row_size", "a row on disk (SQLite)", "bytes", size)

    def table(self) -> str:
        """Everything, as Markdown."""
        head = ["| unit | median | least to greatest | ratio |", "|---|---:|---:|---:|"]
        return "\n".join([*head, *(unit.row() for unit in self.units.values())])

    def reckoning(self, rate: float, seconds: float) -> str:
        """What a rate takes, as Markdown."""
        units = self.units
        cores = math.ceil(rate * units["open"].median / 1e6 / BUSY)
        each = rate / cores
        parcel = units["parcel_10000"].median
        lines = [
            ("cores (workers) at 60 % of a core each", f"{cores:,}, each {each:,.0f} requests/s"),
            ("a shard's outcome", f"{parcel * seconds / 1e6:.2f} MB for {seconds:g} s"),
            ("all outcomes, once, at the end", f"{cores * parcel * seconds / 1e6:,.1f} MB"),
            ("the same, were it sent as it is measured", f"{cores * parcel / 1e6:,.2f} MB/s"),
            ("unpacking and merging", f"{cores * seconds * units['gather'].median / 1e6:,.1f} CPU s, after the load"),
            ("merging as it is measured (not done)", f"{cores * 2 * units['delta'].median / 1e6:.2f} of a core"),
            ("database rows", f"{units['spread_rows'].median:,.0f} a second of load, {units['spread_rows'].median * 3600:,.0f} an hour"),
            ("database size", f"{units['spread_rows'].median * 3600 * units['row_size'].median / 1e6:,.1f} MB an hour"),
            ("rows, were each worker's deltas stored", f"{cores * units['live_rows'].median:,.0f} a second"),
        ]  # fmt: skip
        return "\n".join(["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in lines)])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Unit costs of a load, and what a rate takes by them.")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rate", type=float, default=1e6, help="requests per second to reckon with")
    options.add_argument("--seconds", type=float, default=SHARD_SECONDS, help="length of that load")
    given = options.parse_args()
    costs = Costs()
    begun = os.times()
    with reference_server() as port:
        for number in range(given.rounds):
            sys.stderr.write(f"round {number + 1} of {given.rounds}\n")
            costs.measure(port)
    wall = os.times().elapsed - begun.elapsed
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    text = [
        costs.table(),
        f"\n{os.cpu_count()} cores, {given.rounds} rounds in {wall:.0f} s, system load {load} (1, 5, 15 minutes)\n",
        f"{given.rate:,.0f} requests/s for {given.seconds:g} s:\n",
        costs.reckoning(given.rate, given.seconds),
    ]
    sys.stdout.write("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
