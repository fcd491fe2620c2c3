"""The store on a real file: what goes in comes out, and survives."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shakedown.errors import StoreError, UsageError
from shakedown.guard import Owner
from shakedown.records.experiment import ExperimentRecord, Injection, Proof
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.records.ledger import LedgerFault, LedgerResult
from shakedown.records.load import (
    Bucket,
    BucketKey,
    ErrorRecord,
    GeneratorHealth,
    LoadCounts,
    LoadDelta,
    LoadResult,
    Outcome,
    Pulse,
)
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison, HealthTruth, PhaseStats, RecoveryMeasurement
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus
from shakedown.reports import write_report
from shakedown.results import Results, Store
from shakedown.results.tables import RunRow
from shakedown.verdict import Verdict

pytestmark = pytest.mark.integration
NASTY = "a|b `c` <script>alert(1)</script> *x* [l](u)\nnew\x00line"


def row(name="run-1", **changes) -> RunRow:
    owner = Owner.current()
    values = {
        "id": name, "plan": "demo", "plan_path": "plan.yaml", "plan_digest": "0" * 64, "plan_json": "{}", "status": "running",
        "started": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "host": os.uname().nodename, "pid": owner.pid,
        "pid_created": owner.created, "command": "shakedown run plan.yaml", "environment": '{"cores": "2"}',
    }  # fmt: skip
    return RunRow(**{**values, **changes})


def delta(second: int, values: list[float]) -> LoadDelta:
    bucket = Bucket(bytes_received=10)
    bucket.response.record_many(values)
    bucket.service.record_many(values)
    key = BucketKey("r", Outcome.OK, second)
    error = ErrorRecord("reset", "r", 1, float(second), float(second), NASTY)
    return LoadDelta(
        "send",
        1.0,
        LoadCounts(),
        {key: bucket},
        {second * 10: Pulse(len(values), 1, max(values))},
        {second: bucket.response},
        [error],
    )


def fill(store: Store, verdict: Verdict | None = Verdict.FAILED) -> None:
    """A run with something of everything."""
    run = "run-1"
    store.begin_run(row())
    store.begin_stage(run, "baseline", 0, 0.0)
    for second in (1, 2, 2):
        store.add_delta(run, "baseline", 0, delta(second, [0.01] * 50))
    counts = LoadCounts(scheduled=150, started=150, ok=150, requests=150, on_time=150)
    store.add_load(
        run,
        LoadResult(
            "send",
            "send",
            "baseline",
            0,
            1.0,
            3.0,
            "constant-vus",
            None,
            counts,
            {},
            {},
            {},
            [],
            GeneratorHealth(cpu=0.1),
        ),
    )
    store.add_samples(run, [Sample(at, "api", "memory", 5e7 + at) for at in (1.0, 2.0, 3.0)])
    store.add_probes(run, [ProbeResult(at / 10, "api", at != 15, 0.01, NASTY) for at in range(30)])
    store.add_event(run, Event(1.0, "stage.start", "baseline", NASTY))
    store.add_services(run, [("api", "docker", "demo:1")])
    outcomes = [TestOutcome("t.py::test_a", TestStatus.FAILED, 0.1, NASTY, "traceback")]
    store.add_suite(run, SuiteResult("unit", "endurance", 1, 1.0, 2.0, 1, 1, outcomes, command="pytest"))
    record = ExperimentRecord(NASTY, [Injection("service-kill", "redis", "SIGKILL", "signal", ("journal",), 5.0, 5.1, 5.2, 7.0, 7.1, 7.2,
                              Proof(True, NASTY), Proof(True, "gone"))], watched_until=9.0)  # fmt: skip
    recovery = RecoveryMeasurement(NASTY, 0.1, None, 1.9, 0.1, 2.0, (PhaseStats("before", 1.0, 3.0, 100, 0.0, 0.01, 0.02, 0.03),),
                                   (HealthTruth("api", 1.0, 2.0, 0.0, 1.0),))  # fmt: skip
    store.put_experiment(run, 0, record)
    store.put_experiment(run, 0, record, recovery, Verdict.FAILED, "did not recover")
    store.add_thresholds(run, "baseline", [ThresholdResult("send.p95 < 5ms", Verdict.FAILED, 0.01, 0.005, "s", 150)])
    store.add_findings(run, "faults", [Finding(Severity.FAILURE, NASTY, NASTY, (NASTY,), NASTY)])
    store.add_ledger(run, LedgerResult("messages", 10, 1, 1, 11, 0, 1, 2, 0, [LedgerFault(NASTY, "lost", 6.0, NASTY)]))
    store.add_comparisons(run, [Comparison("send", "p95", "s", 0.01, 0.05, 0.2, Verdict.FAILED, 100)])
    store.add_cycle(run, 1, [Sample(4.0, "api", "memory", 5e7)])
    store.end_stage(run, "baseline", Verdict.FAILED, "too slow", 4.0)
    store.skip_stage(run, "stress", 1, "the baseline failed")
    store.end_run(run, status="finished", verdict=verdict, reason="too slow", exit_code=1, at=10.0)


def test_everything_comes_back(tmp_path):
    """Records are read as they were written; deltas of one cell add up."""
    store = Store.open(tmp_path)
    fill(store)
    results = Results.open(tmp_path)
    (load,) = results.loads("run-1")
    assert {key.second: bucket.response.count for key, bucket in load.buckets.items()} == {1: 50, 2: 100}
    assert load.counts.ok == 150
    assert load.pulses[20].ok == 100
    assert load.errors[0].count == 3
    (info,) = results.experiments("run-1")
    assert info.record.effect == Proof(True, NASTY)
    assert info.recovery.censored_at == 1.9
    assert info.recovery.phases[0].requests == 100
    assert results.ledgers("run-1")[0].faults[0].key == NASTY
    assert results.suites("run-1")[0].outcomes[0].status is TestStatus.FAILED
    assert [stage.verdict for stage in results.stages("run-1")] == [Verdict.FAILED, Verdict.SKIPPED]
    assert len(results.samples("run-1", 1.5, 2.5)) == 1
    assert results.run("last").id == results.run("run").id == "run-1"
    with pytest.raises(UsageError, match="there is no run"):
        results.run("nope")


def test_a_report_shows_it_and_nothing_breaks_out(tmp_path):
    """The report opens with verdict and reason; untrusted text breaks neither a table nor the page."""
    fill(Store.open(tmp_path))
    path = write_report(Results.open(tmp_path), "run-1", tmp_path / "report")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# demo: ✗ failed\n\n**The system does not hold.** too slow.")
    assert "<script>" not in re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text.replace("\\`", ""))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)
    assert "> 1.9 s" in text
    assert "| stress | - skipped | – | the baseline failed |" in text
    assert (path.parent / "summary.json").is_file()
    assert {chart.name for chart in (path.parent / "charts").iterdir()} == {"latency.svg", "memory.svg", "health.svg"}
    first = (path.parent / "charts" / "latency.svg").read_bytes()
    write_report(Results.open(tmp_path), "run-1", tmp_path / "again")
    assert (tmp_path / "again" / "charts" / "latency.svg").read_bytes() == first


def test_a_killed_writer_leaves_what_it_wrote(tmp_path):
    """Kill -9 of the writer: what was committed is there, and the run is marked as interrupted."""
    code = (
        "import os, sys, signal, pathlib; sys.path.insert(0, sys.argv[2]);"
        "from tests.integration.test_results import row, delta; from shakedown.results import Store;"
        "store = Store.open(pathlib.Path(sys.argv[1])); store.begin_run(row());"
        "store.begin_stage('run-1', 'baseline', 0, 0.0); store.add_delta('run-1', 'baseline', 0, delta(1, [0.1]));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(Path(__file__).parent.parent.parent)
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path), root], check=False).returncode == -9
    results = Results(Store.open(tmp_path).engine)
    assert results.run("run-1").status == "interrupted"
    (load,) = results.loads("run-1")
    assert load.interrupted
    assert sum(bucket.response.count for bucket in load.buckets.values()) == 1
    text = write_report(results, "run-1", tmp_path / "report").read_text(encoding="utf-8")
    assert "**The run was interrupted.**" in text


def test_a_live_run_is_not_called_interrupted(tmp_path):
    """Another process that opens the store leaves a run alone that goes on."""
    Store.open(tmp_path).begin_run(row())
    assert Results(Store.open(tmp_path).engine).run("run-1").status == "running"


def test_a_full_disk_is_told(tmp_path):
    """A database that cannot grow is an error with its reason, and what was there stays."""
    code = (
        "import resource, signal, sys, pathlib; sys.path.insert(0, sys.argv[2]); signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from tests.integration.test_results import row; from shakedown.results import Store; from shakedown.errors import StoreError;"
        "from shakedown.records.observation import Event\n"
        "store = Store.open(pathlib.Path(sys.argv[1])); store.begin_run(row()); resource.setrlimit(resource.RLIMIT_FSIZE, (400000,) * 2)\n"
        "try:\n    for n in range(500): store.add_event('run-1', Event(n, 'k', 's', 'x' * 5000))\n"
        "except StoreError as error: print('told:', error)"
    )
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), root], capture_output=True, text=True, check=False
    )
    assert "told: results cannot be written" in done.stdout, done.stderr
    assert Results(Store.open(tmp_path).engine).run("run-1").plan == "demo"


def test_a_wrong_database_url():
    """A URL that is none is an error, not a traceback."""
    with pytest.raises(StoreError, match="no database URL"):
        Store.open(Path(), "nonsense")


def test_a_database_of_the_first_schema_is_brought_up(tmp_path):
    """What the first schema held is there after the migration: an experiment of one fault, and a suite without an order."""
    import sqlite3

    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    from shakedown.results.database import MIGRATIONS

    path = tmp_path / "shakedown.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    record = {
        "name": "redis killed", "fault": "service-kill", "target": "redis", "parameters": "SIGKILL", "mechanism": "signal",
        "layers": ["journal"], "asked_at": 1.0, "applied_at": 1.1, "proved_at": 1.2, "revert_asked_at": 2.0, "reverted_at": 2.1,
        "gone_at": 2.2, "effect": {"held": True, "evidence": "down"}, "gone": {"held": True, "evidence": "up"}, "refused": None,
        "error": None, "watched_until": 9.0,
    }  # fmt: skip
    with sqlite3.connect(path) as old:
        old.execute(
            "INSERT INTO run (id, plan, plan_path, plan_digest, plan_json, overrides, command, started, status, reason, host, pid,"
            " pid_created, version, seed, planned, environment) VALUES ('r', 'p', '', '', '{}', '[]', '', '2026-01-01 00:00:00',"
            " 'finished', '', 'h', 1, 0.0, '0.1.0', 1, 1.0, '{}')"
        )
        old.execute(
            "INSERT INTO experiment (run_id, name, position, fault, target, reason, record) VALUES ('r', 'redis killed', 0,"
            " 'service-kill', 'redis', '', ?)",
            (json.dumps(record),),
        )
        old.execute(
            'INSERT INTO suite (run_id, stage, label, repetition, start, "end", workers, peak_memory, command)'
            " VALUES ('r', 'baseline', 'unit', 1, 0, 1, 1, 0, 'pytest')"
        )
    store = Store.open(tmp_path)
    (info,) = Results(store.engine).experiments("r")
    assert (info.record.name, info.record.fault, info.record.applied_at, info.record.watched_until) == (
        "redis killed", "service-kill", 1.1, 9.0,
    )  # fmt: skip
    assert info.record.gone.held
    (suite,) = Results(store.engine).suites("r")
    assert suite.order is None
