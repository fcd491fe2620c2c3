"""From what was measured of a recovery to its verdict: nothing that was not seen long enough fails or passes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from shakedown.plan.experiments import Experiment
from shakedown.records.experiment import ExperimentRecord, Injection
from shakedown.records.recovery import AlertTruth, Comparison, HealthTruth, Moment, RecoveryMeasurement
from shakedown.session.experiment_verdicts import _Judge
from shakedown.session.signal_verdicts import judge_alerts, judge_health
from shakedown.verdict import Verdict, combine

FAULT = {"type": "service-kill", "target": "redis"}
RECORD = ExperimentRecord(
    "killed", [Injection("service-kill", "redis", "", "", (), asked_at=9.9, applied_at=10.0, revert_asked_at=15.0, reverted_at=15.1)]
)  # fmt: skip
MEASURED = RecoveryMeasurement("killed", 0.1, 2.0, None, 0.1, 1.0)


def experiment(**expect) -> Experiment:
    return Experiment.model_validate(
        {"name": "killed", "fault": FAULT, "hold": "5s", "recover_within": "10s", "expect": expect}
    )


def bench():
    found: list = []
    session = SimpleNamespace(find=lambda _, finding: found.append(finding))
    return SimpleNamespace(session=session, client="api", found=found)


def judge() -> _Judge:
    return _Judge(bench(), bench().session, None, None, None, (0.0, 5.0), [])


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, Verdict.PASSED, "recovered 2 s"),
        (
            {"recovered_after": None, "censored_at": 12.0, "doubt": "too few samples"},
            Verdict.INCONCLUSIVE,
            "too few samples",
        ),
        ({"recovered_after": None, "censored_at": 6.0}, Verdict.INCONCLUSIVE, "cut short"),
    ],
)
def test_what_was_not_seen_long_enough_is_inconclusive(changes, verdict, words):
    """In time passes; a doubt, or a watching that ended before its time, neither passes nor fails."""
    got, said = judge()._judge_recovery(RECORD, experiment(), replace(MEASURED, **changes), None)
    assert got is verdict
    assert words in said


def test_worse_than_before_fails_unless_the_machine_was_disturbed():
    """A finding of its own; inconclusive where other programs may be the cause; nothing where too little was measured."""
    slow = Comparison("get", "p95", "s", 0.1, 0.2, 0.4, Verdict.FAILED, 100)
    cases = {Verdict.FAILED: Verdict.FAILED, Verdict.INCONCLUSIVE: Verdict.INCONCLUSIVE}
    for verdict, wanted in cases.items():
        parts = judge()._judge_worse(RECORD, replace(MEASURED, worse=(replace(slow, verdict=verdict),)))
        assert combine(part for part, _ in parts) is wanted
    assert judge()._judge_worse(RECORD, replace(MEASURED, worse=(replace(slow, verdict=Verdict.SKIPPED),))) == []


@pytest.mark.parametrize(
    ("text", "changes", "verdict"),
    [
        ("within 2s", {"fired_at": Moment(11.0, 10.8, 11.0)}, Verdict.PASSED),
        ("within 2s", {"fired_at": Moment(13.0, 12.8, 13.0)}, Verdict.FAILED),
        ("within 2s", {}, Verdict.FAILED),
        ("within 2s", {"problem": "it never gave an answer"}, Verdict.INCONCLUSIVE),
        ("within 2s", {"firing_before": True, "fired_at": Moment(10.0, 10.0, 10.0)}, Verdict.INCONCLUSIVE),
        ("within 1m", {}, Verdict.INCONCLUSIVE),  # the time after the fault was shorter than that
        ("within 2s, over within 3s", {"fired_at": Moment(11.0, 10.8, 11.0), "ended_at": Moment(17.0, 16.9, 17.0)}, Verdict.PASSED),
        ("within 2s, over within 3s", {"fired_at": Moment(11.0, 10.8, 11.0)}, Verdict.FAILED),
        ("never", {}, Verdict.PASSED),
        ("never", {"fired_at": Moment(11.0, 10.8, 11.0)}, Verdict.FAILED),
        ("never", {"problem": "it never gave an answer"}, Verdict.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_alerts_are_judged_by_what_is_expected(text, changes, verdict):
    """In time, too late, never, not seen, firing before; each failure is a finding."""
    truth = replace(AlertTruth("queue", 0.0, 0.0, 0.0, 0.0), **changes)
    on = bench()
    parts = judge_alerts(on, RECORD, experiment(alerts={"queue": text}), replace(MEASURED, alerts=(truth,)), 25.0)
    assert combine(part for part, _ in parts) is verdict
    assert len(on.found) == (verdict is Verdict.FAILED)


@pytest.mark.parametrize(
    ("text", "changes", "looks", "verdict"),
    [
        ("unhealthy within 1s", {"unhealthy_at": Moment(10.5, 10.4, 10.5)}, False, Verdict.PASSED),
        ("unhealthy within 1s", {"unhealthy_at": Moment(12.0, 11.9, 12.0)}, False, Verdict.FAILED),
        ("unhealthy within 1s", {}, True, Verdict.FAILED),
        (
            "unhealthy, healthy within 2s",
            {"unhealthy_at": Moment(10.5, 10.4, 10.5), "healthy_at": Moment(16.0, 15.9, 16.0)},
            False,
            Verdict.PASSED,
        ),
        ("unhealthy, healthy within 2s", {"unhealthy_at": Moment(10.5, 10.4, 10.5)}, False, Verdict.FAILED),
        ("healthy", {}, True, Verdict.PASSED),
        ("healthy", {}, False, Verdict.FAILED),
        ("unhealthy", {}, None, Verdict.INCONCLUSIVE),
    ],
)
def test_health_is_judged_by_what_is_expected(text, changes, looks, verdict):
    """What it said while the fault held, how soon, and how soon all was well again; without looks it is inconclusive."""
    from shakedown.records.observation import ProbeResult

    probes = [] if looks is None else [ProbeResult(10 + n / 10, "db", looks, 0.01, "") for n in range(50)]
    truth = replace(HealthTruth("db", 0.0, 0.0, 0.0, 0.0), **changes)
    on = bench()
    parts = judge_health(on, RECORD, experiment(health={"db": text}), replace(MEASURED, health=(truth,)), probes, 25.0)
    assert combine(part for part, _ in parts) is verdict


@pytest.mark.parametrize(
    ("expected", "verdict"),
    [({}, Verdict.FAILED), ({"api": "healthy"}, Verdict.PASSED), ({"db": "healthy"}, Verdict.FAILED)],
)
def test_healthy_is_no_lie_where_the_plan_expects_it(expected, verdict):
    """Who clients talk to lies when it says healthy while they fail, unless that is what the plan wants of it."""
    from shakedown.records.observation import ProbeResult

    probes = [ProbeResult(10 + n / 10, name, True, 0.01, "") for n in range(50) for name in ("api", "db")]
    lie = HealthTruth(
        "api", failing_and_unhealthy=0.2, healthy_while_failing=4.8, unhealthy_while_fine=0.0, fine_and_healthy=0.0
    )
    on = bench()
    parts = judge_health(on, RECORD, experiment(health=expected), replace(MEASURED, health=(lie,)), probes, 25.0)
    assert combine([Verdict.PASSED, *(part for part, _ in parts)]) is verdict
    assert len(on.found) == (verdict is Verdict.FAILED)
