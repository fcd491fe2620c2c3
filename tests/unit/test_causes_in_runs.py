"""The evidence of a mistake, looked for in what a run measured."""

from types import SimpleNamespace
from typing import Any

import pytest

from shakedown.records.experiment import ExperimentRecord, Injection, Proof
from shakedown.records.histogram import Histogram
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.records.ledger import LedgerFault, LedgerResult
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome, Pulse
from shakedown.records.observation import ProbeResult, Sample
from shakedown.session.causes import breach_of, late_recovery, name_experiments, name_losses
from shakedown.verdict import Verdict

RATE = 10


def load(*, bad_from: int = 0, bad_until: int = 0, slow: tuple[int, int] = (0, 0)) -> LoadResult:
    """Sixty seconds of ten requests a second; from one second to another they fail, or take a second each."""
    buckets, pulses = {}, {}
    for second in range(60):
        bad = bad_from <= second < bad_until
        times = Histogram()
        times.record(1.0 if slow[0] <= second < slow[1] else 0.01, RATE)
        buckets[BucketKey("read", Outcome.FAILED if bad else Outcome.OK, second)] = Bucket(times, times)
        pulses |= {second * 10 + slot: Pulse(ok=0 if bad else 1, bad=1 if bad else 0) for slot in range(10)}
    counts = LoadCounts(scheduled=600, started=600, ok=600)
    return LoadResult(
        "users", "users", "faults", 0, 0.0, 60.0, "constant-arrival-rate", RATE, counts, buckets, pulses, {}, [], GeneratorHealth()
    )  # fmt: skip


def record(fault: str = "service-kill", target: str = "redis", **changes: Any) -> ExperimentRecord:
    given = {"asked_at": 10.0, "applied_at": 10.0, "reverted_at": 15.0, **changes}
    return ExperimentRecord(f"{target} disturbed", [Injection(fault, target, "", "", (), **given)], watched_until=29.0)


def bench(measured: LoadResult, *records: ExperimentRecord, samples: tuple[Sample, ...] = ()) -> Any:
    found: list[Any] = []
    within = lambda _, start, end: [one for one in samples if start <= one.at < end]  # noqa: E731
    session = SimpleNamespace(
        loaded=SimpleNamespace(plan=SimpleNamespace(scenarios={"users": SimpleNamespace(target="api.http")})),
        results=SimpleNamespace(samples=within), run_id="r", find=lambda _, finding: found.append(finding), found=found,
    )  # fmt: skip
    stage = SimpleNamespace(hold_window=2.0, load=SimpleNamespace(use="users"))
    return SimpleNamespace(
        load=measured, steady=SimpleNamespace(rate=RATE), stage=stage, records=list(records), session=session
    )


@pytest.mark.parametrize(
    ("until", "next_fault", "named"),
    [
        (38, None, True),  # back by itself, 23 s after the revert
        (60, None, False),  # never
        (38, 30.0, False),  # another fault came before: whose work it was cannot be said
        (20, None, False),  # within the limit
    ],
)
def test_who_comes_back_by_itself_is_slow(until, next_fault, named):
    """What happens between the end of the watching and the next fault tells a slow recovery from none."""
    records = [record(), *([record(asked_at=next_fault, applied_at=next_fault)] if next_fault else [])]
    finding = late_recovery(bench(load(bad_from=10, bad_until=until), *records), records[0], 12.0, "api")
    assert (finding is not None and "(slow recovery)" in finding.cause) is named


def test_a_queue_beyond_its_limit():
    """Nobody was refused: no limit. Half of them were: it has one."""
    result = ThresholdResult("api.queue_depth <= 220", Verdict.FAILED, 260.0, 220.0, "", 20)
    assert "(unbounded queue)" in breach_of(result, load(), 10.0, 30.0)[0]
    assert "unbounded" not in breach_of(result, load(bad_from=20, bad_until=30), 10.0, 30.0)[0]


LATE = Proof(held=True, evidence="", asked=1.0, measured=1.0, unit="s")


@pytest.mark.parametrize(
    ("lag", "slow", "starved", "named"),
    [(2.5, (10, 16), None, True), (0.2, (10, 16), None, False), (2.5, (0, 0), None, False), (2.5, (10, 16), "late", False)],
)  # fmt: skip
def test_a_loop_that_waits_for_somebody_slow(lag, slow, starved, named):
    """The client's service, its own gauge of the loop and what clients saw; of a generator that was late nothing is concluded."""
    measured = load(slow=slow)
    measured.generator.starved = starved
    samples = tuple(
        Sample(at + 0.5, "api", "event_loop_lag_seconds", lag if 16 <= at < 21 else 0.02) for at in range(60)
    )
    run = bench(measured, record("http-delay", "chat", effect=LATE), samples=samples)
    name_experiments(run)
    assert [("(blocking call)" in finding.cause) for finding in run.session.found] == ([True] if named else [])


@pytest.mark.parametrize(("healthy", "named"), [(True, True), (False, False)])
def test_who_is_down_is_not_held_up_by_a_message(healthy, named):
    """A queue that grows since a malformed message came is laid on it unless the service that should process is down since."""
    measured = load()
    measured.buckets[BucketKey("odd", Outcome.OK, 20)] = Bucket()
    found = ["writes are acknowledged before they are stored (lost writes)"]
    scenario = SimpleNamespace(operations=["odd"], tags={"odd": {"input": "malformed"}})
    session = SimpleNamespace(
        loaded=SimpleNamespace(plan=SimpleNamespace(scenarios={"users": scenario}, ledgers={"l": SimpleNamespace(read=None)})),
        results=SimpleNamespace(
            samples=lambda *_: [Sample(at + 0.5, "api", "queue_depth", max(0.0, 5.0 * (at - 20))) for at in range(60)],
            probes=lambda _: [ProbeResult(float(at), "worker", at < 21 or healthy, 0.01, "") for at in range(60)],
            experiments=lambda _: [],
        ),
        run_id="r", loads=[measured],
    )  # fmt: skip
    result = LedgerResult("l", 10, lost=1, faults=[LedgerFault("k", "lost", 30.0, "")])
    causes = [finding.cause for finding in name_losses(session, result, [Finding(Severity.FAILURE, "t", found[0])])]
    assert any("(poison message)" in cause for cause in causes) is named
