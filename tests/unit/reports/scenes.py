"""Runs of every kind, written to a store by hand: everything in them is fixed, and nothing comes from this machine."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from shakedown.records.experiment import ExperimentRecord, Injection, Proof
from shakedown.records.figures import Change, FigureName, Outlook
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
)
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison, HealthTruth, PhaseStats, RecoveryMeasurement
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus
from shakedown.results import PROFILE_CUTS, Store
from shakedown.results.tables import RunRow
from shakedown.verdict import Verdict

NASTY = "a|b `c` ``d`` <script>alert(1)</script> *x* _y_ [l](javascript:u) &amp; $1$ \\| # ~~z~~\nnew\x00line\u202e"
NAME = NASTY.replace("\x00", "") + "; end"  # an experiment's name comes back from JSON as it went in
PLAN = {
    "version": 1, "name": "demo",
    "services": {"api": {}, "redis": {}, "mail": {}},
    "ledgers": {"messages": {}},
    "stages": {
        "baseline": {"scenarios": [{"use": "send"}]},
        "stress": {"parallel": [{"use": "send"}]},
        "endurance": {"repeat": 3},
        "faults": {"experiments": [{"name": "redis killed"}, {"name": "slow redis"}]},
        "recovery": {"ledgers": ["messages"]},
    },
}  # fmt: skip
TRACE = "\n".join(
    [
        "Traceback (most recent call last):",
        '  File "test_a.py", line 3, in test_one',
        *(f'  File "deep.py", line {number}, in again' for number in range(50)),
        f"AssertionError: {NASTY}",
        "</details>",
        "````",
    ]
)
STARVED = "the load generator itself was late: 1 % of its wake-ups by more than 123 ms"


def begin(store: Store, run: str, hour: int, **changes: object) -> None:
    """A run begins, on a machine that is not this one."""
    values: dict[str, object] = {
        "id": run, "plan": "demo", "plan_path": "plans/demo.yaml", "plan_digest": "0123456789abcdef" * 4,
        "plan_json": json.dumps(PLAN), "status": "running", "started": datetime(2026, 1, 2, hour, 4, 5, tzinfo=UTC),
        "host": "elsewhere", "pid": 1, "pid_created": 1.0, "command": "shakedown run plans/demo.yaml --profile smoke",
        "profile": "smoke", "version": "1.2.3", "seed": 7, "planned": 40.0, "environment": '{"cores": "2", "python": "3.11"}',
    }  # fmt: skip
    store.begin_run(RunRow(**{**values, **changes}))
    store.add_services(run, [("api", "docker", "demo:1"), ("redis", "docker", "redis:7"), ("mail", "external", "")])


def load(
    store: Store, run: str, stage: str, start: int, seconds: int, *, rate: int = 60, latency: float = 0.01, bad: int = 0,
    bad_from: int = 0, repetition: int = 0, ended: bool = True, **changes: object,
) -> None:  # fmt: skip
    """A load of `rate` requests a second, of which the last `bad` seconds fail from `bad_from` on."""
    buckets: dict[BucketKey, Bucket] = {}
    lag: dict[int, object] = {}
    failed = 0
    for second in range(start, start + seconds):
        wrong = bad and bad_from <= second < bad_from + bad
        bucket = buckets.setdefault(BucketKey("post", Outcome.FAILED if wrong else Outcome.OK, second), Bucket())
        values = [latency * (1 + number / rate) for number in range(rate)]
        bucket.response.record_many(values)
        bucket.service.record_many([value / 2 for value in values])
        lag.setdefault(second, Bucket().response).record_many([0.001] * rate)  # type: ignore[attr-defined]
        failed += rate if wrong else 0
    errors = [ErrorRecord("status", "post", failed, bad_from + 0.1, bad_from + bad - 0.1, "HTTP 503")] if failed else []
    total = rate * seconds
    counts = LoadCounts(total, total, 0, total - failed, failed, 0, 0, total, total)
    store.add_delta(run, stage, repetition, LoadDelta("send", 0.0, LoadCounts(), buckets, {}, lag, errors))  # type: ignore[arg-type]
    if ended:
        result = LoadResult("send", "send", stage, repetition, float(start), float(start + seconds), "constant-arrival-rate",
                            float(rate), counts, {}, {}, {}, [], GeneratorHealth(0.05, 0.001, 1))  # fmt: skip
        store.add_load(run, replace(result, **changes))  # type: ignore[arg-type]


def watch(store: Store, run: str, end: int, down: tuple[int, int] = (0, 0)) -> None:
    """Memory of two services and the health of one, each second."""
    store.add_samples(
        run, [Sample(float(at), name, "memory", 5e7 + at * 1e5) for at in range(end) for name in ("api", "redis")]
    )
    store.add_probes(
        run, [ProbeResult(float(at), "api", not down[0] <= at < down[1], 0.01, "200") for at in range(end)]
    )


def experiment(name: str = "redis killed", watched_until: float | None = 30.0, **changes: object) -> ExperimentRecord:
    """A fault that was injected, proved, and taken back."""
    injection = Injection(
        "service-kill", "redis", "SIGKILL", "Docker: signal", ("journal", "watchdog"), 20.0, 20.1, 20.2, 25.0, 25.1, 25.2,
        Proof(True, "container exited with exit code 137"), Proof(True, "the container runs again"),
    )  # fmt: skip
    return ExperimentRecord(name, [replace(injection, **changes)], watched_until)  # type: ignore[arg-type]


def recovery(name: str = "redis killed", **changes: object) -> RecoveryMeasurement:
    """Clients felt it at once, and it was over 1.4 s after the revert."""
    phases = (
        PhaseStats("before", 16.0, 20.0, 240, 0.0, 0.01, 0.02, 0.03),
        PhaseStats("during", 20.1, 25.0, 300, 1.0, None, None, None),
        PhaseStats("after", 26.5, 30.0, 40, 0.0, 0.011, 0.02, 0.03),
    )
    measured = RecoveryMeasurement(name, 0.0, 1.4, None, 0.1, 6.3, phases, (HealthTruth("api", 5.8, 0.5, 0.2, 3.0),))
    return replace(measured, **changes)  # type: ignore[arg-type]


def threshold(
    text: str, verdict: Verdict, actual: float | None, limit: float, unit: str, n: int, why: str = ""
) -> ThresholdResult:
    """A threshold, judged."""
    return ThresholdResult(text, verdict, actual, limit, unit, n, why)


def stage(
    store: Store, run: str, name: str, position: int, start: float, end: float, verdict: Verdict, why: str = ""
) -> None:
    """A stage with its verdict."""
    store.begin_stage(run, name, position, start)
    store.end_stage(run, name, verdict, why, end)


def suite(
    store: Store, run: str, name: str, repetition: int, outcome: TestStatus = TestStatus.PASSED, message: str = ""
) -> None:
    """Two tests of a suite."""
    tests = [
        TestOutcome("test_a.py::test_one", outcome, 0.1, message, TRACE if outcome.bad else ""),
        TestOutcome("test_a.py::test_two", TestStatus.PASSED, 0.1),
    ]
    store.add_suite(
        run, SuiteResult("unit", name, repetition, 10.0, 11.0 + repetition, 1, 0, tests, 60_000_000, command="pytest")
    )


def passed(store: Store, run: str) -> None:
    """Five stages that hold, with a recovery, a ledger, a comparison and readings after repetitions."""
    begin(store, run, 1)
    watch(store, run, 40, (21, 26))
    stage(store, run, "baseline", 0, 1.0, 6.0, Verdict.PASSED)
    load(store, run, "baseline", 1, 5)
    stage(store, run, "stress", 1, 6.0, 10.0, Verdict.PASSED)
    load(store, run, "stress", 6, 4, rate=200)
    stage(store, run, "endurance", 2, 10.0, 16.0, Verdict.PASSED)
    for repetition in (1, 2, 3):
        suite(store, run, "endurance", repetition)
        load(store, run, "endurance", 8 + 2 * repetition, 2, repetition=repetition)
        readings = [Sample(9.0 + 2 * repetition, name, "memory", 5e7 + repetition) for name in ("api", "redis", "host")]
        store.add_cycle(run, repetition, readings)
    note = Finding(
        Severity.NOTE, "api.memory: 0.02 % over 3 repetitions: steady", "", ("95 % interval -1 % to 1 %",), "", "api"
    )
    store.add_findings(run, "endurance", [note])
    stage(store, run, "faults", 3, 16.0, 32.0, Verdict.PASSED)
    load(store, run, "faults", 16, 16, bad=6, bad_from=20)
    store.put_experiment(run, 0, experiment(), recovery(), Verdict.PASSED, "recovered 1.4 s after the revert")
    slow = experiment(
        "slow redis", fault="network-latency", parameters="latency 100 ms", applied_at=30.2, reverted_at=31.2
    )
    felt = recovery("slow redis", detected_after=None, recovered_after=0.03, error_seconds=0.0, health=())
    store.put_experiment(run, 1, slow, felt, Verdict.PASSED, "recovered 30 ms after the revert")
    stage(store, run, "recovery", 4, 32.0, 38.0, Verdict.PASSED)
    load(store, run, "recovery", 33, 5)
    store.add_thresholds(run, "baseline", [threshold("send.p95 < 500ms", Verdict.PASSED, 0.0195, 0.5, "s", 300)])
    store.add_thresholds(
        run, "stress",
        [threshold("send.rate >= 200/s", Verdict.PASSED, 200.0, 200.0, "/s", 800),
         threshold("api.memory < 400MB", Verdict.PASSED, 51e6, 4e8, "B", 4)],
    )  # fmt: skip
    during = threshold("send.error_rate < 100%", Verdict.PASSED, 0.996, 1.0, "%", 300)
    store.add_thresholds(run, "faults", [during], "redis killed, during")
    store.add_comparisons(run, [
        Comparison("send", "p95", "s", 0.0195, 0.0201, 0.2, Verdict.PASSED, 300),
        Comparison("api", "memory", "B", 5.05e7, 5.05e7, 0.25, Verdict.PASSED, 5, "a growth below 16 MB does not count"),
        Comparison("send", "error_rate", "%", 0.0, 0.0, 0.01, Verdict.PASSED, 300, "in absolute terms"),
    ])  # fmt: skip
    store.add_ledger(run, LedgerResult("messages", 1900, 300, 5, 1905, 0, 3, 0, 0, verdict=Verdict.PASSED))
    store.add_event(run, Event(12.0, "sampler.failed", "redis", "statistics: the container is gone"))
    store.add_event(run, Event(14.5, "sampler.recovered", "redis", "statistics"))
    store.add_regressions(run, {
        FigureName("stress", "send", "p95"): ("s", Outlook(
            Change.SUSPECT, 0.0195, 0.012, 0.014, 12, 1, "one run is beyond the limit; 2 more in a row would confirm it")),
        FigureName("stress", "send", "error_rate"): ("%", Outlook(Change.UNCHANGED, 0.0, 0.0, 0.005, 12)),
        FigureName("stress", "send", "p99"): ("s", Outlook(
            Change.INCONCLUSIVE, 0.03, runs=3, reason="3 comparable runs with this figure, 8 needed")),
    })  # fmt: skip
    suspect = "stress.send.p95 is suspect: 19.5 ms, usually 12 ms, limit 14 ms"
    store.add_findings(run, "history", [Finding(Severity.NOTE, suspect, "one run is beyond the limit")])
    store.add_findings(run, "stress", [Finding(Severity.NOTE, "test test_slow is slow: 2 s", "", ("it sleeps",))])
    store.end_run(run, status="finished", verdict=Verdict.PASSED, reason="every stage held what the plan asks of it",
                  exit_code=0, at=39.5)  # fmt: skip


def failed(store: Store, run: str) -> None:
    """Lost writes, no recovery, a failing test, a slow stage: each cause is stored in several sentences; names are nasty."""
    begin(
        store,
        run,
        2,
        plan=f"demo {NASTY}",
        profile=NASTY,
        command="shakedown run 'x\n```\n# out.yaml'",
        plan_path=NASTY,
        plan_json=json.dumps(PLAN).replace("redis killed", json.dumps(NAME)[1:-1]),
    )
    watch(store, run, 40, (21, 40))
    stage(store, run, "baseline", 0, 1.0, 6.0, Verdict.PASSED)
    load(store, run, "baseline", 1, 5)
    slow = threshold("send.p95 < 5ms", Verdict.FAILED, 0.0195, 0.005, "s", 800)
    broken = threshold("unit.success_rate >= 100%", Verdict.FAILED, 0.5, 1.0, "%", 2)
    store.add_thresholds(run, "stress", [slow, broken])
    suite(store, run, "stress", 1, TestStatus.FAILED, NASTY)
    test = Finding(Severity.FAILURE, "test test_a.py::test_one failed 1 of 1 times (broken)", "",
                   (f"first message: {NASTY}", "repeat with: pytest"), "", "test_a.py::test_one")  # fmt: skip
    store.add_findings(run, "stress", [test])
    why_stress = "send.p95 < 5ms: 19.5 ms; unit.success_rate >= 100%: 50 %"
    stage(store, run, "stress", 1, 6.0, 10.0, Verdict.FAILED, why_stress)
    load(store, run, "stress", 6, 4, rate=200)
    store.skip_stage(run, "endurance", 2, "not in the plan")
    never = f"{NAME}: api did not recover within 5 s after the fault was gone"
    health = f"{NAME}: the health of api should have been unhealthy while the fault held"
    findings = [
        Finding(Severity.FAILURE, never, "redis is back, but api still fails: no reconnect",
                ("fault reverted at 25.1 s", f"post: status, 3 times: {NASTY}"), "let api make its connection anew", NAME),
        Finding(Severity.FAILURE, health, "the health endpoint of api does not show the loss of redis", (), "", NAME),
    ]  # fmt: skip
    store.add_findings(run, "faults", findings)
    why_faults = f"{NAME}: {never}; {health}; {never}; {health}"
    stage(store, run, "faults", 3, 16.0, 32.0, Verdict.FAILED, why_faults)
    load(store, run, "faults", 16, 16, bad=12, bad_from=20)
    lost = recovery(NAME, recovered_after=None, censored_at=4.9)
    store.put_experiment(run, 0, experiment(NAME, error=NASTY), lost, Verdict.FAILED, f"{never}; {health}")
    title = "12 of 1900 acknowledged writes in `messages` were lost"
    back = "send did not come back to its baseline: p95 19.5 ms → 95 ms"
    store.add_findings(run, "recovery", [
        Finding(Severity.FAILURE, back, "", ("tolerance 20 %, 300 samples",), "", "send"),
        Finding(Severity.FAILURE, title, "writes are acknowledged before they are stored (lost writes)",
                ("12 were sent during `redis killed`",), "acknowledge a write only after it is stored", "messages"),
    ])  # fmt: skip
    store.add_comparisons(run, [Comparison("send", "p95", "s", 0.0195, 0.095, 0.2, Verdict.FAILED, 300)])
    why_recovery = f"send.p95: 19.5 ms before, 95 ms after; {title}; {back}; {title}; something that nobody knows"
    stage(store, run, "recovery", 4, 32.0, 38.0, Verdict.FAILED, why_recovery)
    faults = [LedgerFault(f"key-{number}" if number else NASTY, "lost", 20.5 + number, NASTY) for number in range(12)]
    lost = LedgerResult("messages", 1900, 300, 5, 1905, 0, 3, 12, 0, faults, verdict=Verdict.FAILED)
    store.add_ledger(run, lost)
    alone = Finding(Severity.NOTE, "this run was not compared with earlier ones", "0 comparable runs, 8 needed")
    store.add_findings(run, "history", [alone])
    whole = f"stress: {why_stress}; faults: {why_faults}; recovery: {why_recovery}; left behind: a network"
    store.end_run(run, status="finished", verdict=Verdict.FAILED, reason=whole, exit_code=1, at=39.5)


def inconclusive(store: Store, run: str) -> None:
    """A starved generator, a rate that was not held, a fault without effect, a refused one, a ledger half read."""
    begin(store, run, 3, profile=None)
    parts = [
        threshold("send.p95 < 500ms", Verdict.INCONCLUSIVE, 0.0195, 0.5, "s", 300, STARVED),
        threshold("send.error_rate < 1%", Verdict.INCONCLUSIVE, 0.0, 0.01, "%", 300, STARVED),
        threshold("send.p99 < 1s", Verdict.INCONCLUSIVE, None, 1.0, "s", 0, "too few samples: 0 of 299"),
    ]
    why = f"send.p95 < 500ms: 19.5 ms ({STARVED}); send.error_rate < 1%: 0 % ({STARVED}); send.p99 < 1s: nothing (too few samples: 0 of 299)"
    stage(store, run, "baseline", 0, 1.0, 6.0, Verdict.PASSED)
    load(store, run, "baseline", 1, 5, rate=10)
    stage(store, run, "stress", 1, 6.0, 10.0, Verdict.INCONCLUSIVE, why)
    store.add_thresholds(run, "stress", parts)
    load(store, run, "stress", 6, 4, rate_held=False, generator=GeneratorHealth(0.99, 0.123, 1, 0, STARVED))
    store.skip_stage(run, "endurance", 2, "not in the plan")
    why_faults = "redis killed: the fault did not take effect: still answers; slow redis: not injected: no netem"
    stage(store, run, "faults", 3, 16.0, 32.0, Verdict.INCONCLUSIVE, why_faults)
    useless = experiment(effect=Proof(False, "still answers"))
    store.put_experiment(
        run, 0, useless, recovery(), Verdict.INCONCLUSIVE, "the fault did not take effect: still answers"
    )
    injection = Injection("network-latency", "redis", "", "netem", (), refused="no netem")
    refused = ExperimentRecord("slow redis", [injection])
    store.put_experiment(run, 1, refused, None, Verdict.INCONCLUSIVE, "not injected: no netem")
    title = "ledger `messages` could not be judged: 40 keys could not be read"
    store.add_findings(run, "recovery", [Finding(Severity.DOUBT, title, subject="messages")])
    half = LedgerResult(
        "messages", 100, 0, 0, 60, 40, 0, 0, 0, problem="40 keys could not be read", verdict=Verdict.INCONCLUSIVE
    )
    store.add_ledger(run, half)
    stage(store, run, "recovery", 4, 32.0, 38.0, Verdict.INCONCLUSIVE, title)
    whole = f"stress: {why}; faults: {why_faults}; recovery: {title}"
    store.end_run(run, status="finished", verdict=Verdict.INCONCLUSIVE, reason=whole, exit_code=3, at=39.5)


def skipped(store: Store, run: str) -> None:
    """A baseline that fails: the rest is skipped, with the reason."""
    begin(
        store,
        run,
        4,
        environment=json.dumps({PROFILE_CUTS: "durations × 0.2, without endurance", "memory": "8589934592"}),
    )
    words = "send.error_rate < 1%: 100 %"
    stage(store, run, "baseline", 0, 1.0, 6.0, Verdict.FAILED, words)
    store.add_thresholds(run, "baseline", [threshold("send.error_rate < 1%", Verdict.FAILED, 1.0, 0.01, "%", 300)])
    load(store, run, "baseline", 1, 5, bad=5, bad_from=1)
    for position, name in enumerate(("stress", "endurance", "faults", "recovery"), 1):
        store.skip_stage(run, name, position, "the baseline failed: under load nothing could be learned")
    store.end_run(run, status="finished", verdict=Verdict.FAILED, reason=f"baseline: {words}", exit_code=1, at=7.0)


def interrupted(store: Store, run: str) -> None:
    """Killed while a fault held: its load never ended, its fault has no revert, later experiments never began."""
    begin(store, run, 5, status="interrupted", reason="its process ended without a word", exit_code=130)
    watch(store, run, 24, (21, 24))
    stage(store, run, "baseline", 0, 1.0, 6.0, Verdict.PASSED)
    load(store, run, "baseline", 1, 5)
    store.begin_stage(run, "faults", 3, 16.0)
    load(store, run, "faults", 16, 7, bad=3, bad_from=20, ended=False)
    held = experiment(revert_asked_at=None, reverted_at=None, gone_at=None, gone=None, watched_until=None)
    store.put_experiment(run, 0, held)


def empty(store: Store, run: str) -> None:
    """A run that has only begun, and still goes on."""
    begin(store, run, 6, plan_json="{}")


def error(store: Store, run: str) -> None:
    """A service that never got healthy: a reason of several lines."""
    begin(store, run, 7)
    lines = ("last lines of its log:", NASTY)
    store.add_findings(
        run, "services", [Finding(Severity.DOUBT, "api did not get healthy within 1 s", "", lines, "read its log")]
    )
    for position, name in enumerate(PLAN["stages"]):  # type: ignore[arg-type]
        store.skip_stage(run, name, position, "could not run: api did not get healthy within 1 s")
    reason = "api did not get healthy within 1 s\n  last lines of its log:\n  boom\nhint: read its log"
    store.end_run(run, status="finished", verdict=Verdict.ERROR, reason=reason, exit_code=4, at=2.0)


SCENES: dict[str, Callable[[Store, str], None]] = {
    "passed": passed, "failed": failed, "inconclusive": inconclusive, "skipped": skipped, "interrupted": interrupted,
    "empty": empty, "error": error,
}  # fmt: skip
