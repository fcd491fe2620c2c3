"""What the plan declares of steady state, and what alerts did, read from samples and loads of which everything is known."""

from types import SimpleNamespace

import pytest

from shakedown.plan.alerts import Alert
from shakedown.plan.model import FaultsStage
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome
from shakedown.records.observation import Sample
from shakedown.session.alerting import alert_looks, judge_quiet_alerts
from shakedown.session.steady_state import DeclaredSteady
from shakedown.verdict import Verdict

EXPERIMENT = {"name": "x", "fault": {"type": "service-kill", "target": "api"}, "hold": 1, "recover_within": 5}


def session(samples, alerts=()) -> SimpleNamespace:
    """As much of a run as is looked at: its samples, its plan, its findings."""
    executor = {"type": "constant-arrival-rate", "rate": 100, "duration": "20s"}
    http = Http(target="api.http", requests=[Request(name="r", get="/")])
    plan = SimpleNamespace(
        sample_every=1.0,
        scenarios={"get": Scenario(executor=executor, http=http)},
        alerts={name: Alert.model_validate(keys) for name, keys in dict(alerts).items()},
    )
    found: list = []
    return SimpleNamespace(
        run_id="run", loaded=SimpleNamespace(plan=plan), found=found,
        find=lambda stage, finding: found.append((stage, finding)),
        results=SimpleNamespace(
            samples=lambda _run, start, end, series=(): [
                one for one in samples if start <= one.at < end and (not series or one.series in series)
            ]
        ),
    )  # fmt: skip


def load(latency, seconds=20) -> LoadResult:
    """100 requests a second; `latency(second)` of each. Under way: its counts do not add up, its rate is not held."""
    buckets = {}
    for second in range(seconds):
        bucket = buckets.setdefault(BucketKey("r", Outcome.OK, second), Bucket())
        bucket.response.record(latency(second), 100)
    return LoadResult(
        load="get", scenario="get", stage="faults", repetition=0, start=0.0, end=float(seconds), executor="x",
        target_rate=100.0, counts=LoadCounts(scheduled=99, started=98), buckets=buckets, pulses={}, start_lag={},
        errors=[], generator=GeneratorHealth(), rate_held=False,
    )  # fmt: skip


def declared(texts, samples=(), hold=2.0) -> DeclaredSteady:
    stage = FaultsStage.model_validate(
        {"load": "get", "experiments": [EXPERIMENT], "steady_state": texts, "hold_window": hold}
    )
    return DeclaredSteady(session(samples), stage)


def test_nothing_declared_is_nothing_to_judge():
    """It is false, and the time before the faults is as it is."""
    assert not declared([])
    assert declared([]).learn(load(lambda _: 0.1), 0.0, 5.0) is None


def test_a_load_is_judged_in_windows_of_whole_seconds():
    """Slow until the twelfth second: windows from there on hold."""
    steady = declared(["get.p95 < 300ms"])
    line = load(lambda second: 1.0 if 6 <= second < 12 else 0.1)
    assert steady.learn(line, 0.0, 5.0) is None
    assert [steady.holds(line, second, 20.0)[0] for second in (3, 4, 5, 11, 12)] == [
        Verdict.PASSED, Verdict.PASSED, Verdict.FAILED, Verdict.FAILED, Verdict.PASSED,
    ]  # fmt: skip
    assert "`get.p95 < 300ms`" in steady.holds(line, 8, 20.0)[1]


def test_a_window_that_is_not_over_says_nothing_yet():
    """What is not complete is inconclusive, and is judged anew once it is."""
    steady, line = declared(["get.p95 < 300ms"]), load(lambda _: 0.1)
    assert steady.holds(line, 10, 11.5)[0] is Verdict.INCONCLUSIVE
    assert steady.holds(line, 10, 12.0)[0] is Verdict.PASSED


def test_series_are_held_against_the_time_before_the_faults():
    """Memory may be 1.2 times what it was: at 130 MB it is not steady, at 115 MB it is."""
    samples = [
        Sample(float(at), "api", "memory", 130e6 if 8 <= at < 14 else 115e6 if at >= 14 else 100e6) for at in range(20)
    ]
    steady, line = declared(["api.memory <= 1.2 * baseline"], samples), load(lambda _: 0.1)
    assert steady.learn(line, 1.0, 6.0) is None
    assert [steady.holds(line, second, 20.0)[0] for second in (9, 13, 14)] == [
        Verdict.FAILED, Verdict.FAILED, Verdict.PASSED,
    ]  # fmt: skip
    assert "120 MB = 1.2 × 100 MB" in steady.holds(line, 9, 20.0)[1]


def test_what_does_not_hold_before_the_faults_is_told():
    """Neither what is broken then, nor what cannot be judged."""
    broken = declared(["get.p95 < 50ms"]).learn(load(lambda _: 0.1), 0.0, 5.0)
    assert broken.startswith("`get.p95 < 50ms`: 100 ms")
    unseen = declared(["api.queue_depth < 5"]).learn(load(lambda _: 0.1), 0.0, 5.0)
    assert "never sampled" in unseen


# ------------------------------------------------------------------------------------------------------------- alerts
def states(name, keys, samples, start=0.0, end=10.0):
    looks, problem = alert_looks(session(samples, {name: {"service": "api", **keys}}), name, start, end)
    return [(look.at, not look.healthy) for look in looks], problem


def test_an_alert_of_a_series_fires_while_its_condition_is_met():
    """By its samples; without any it was not seen."""
    samples = [Sample(float(at), "api", "queue_depth", 200.0 if at >= 4 else 0.0) for at in range(6)]
    seen, _ = states("deep", {"series": "queue_depth > 100"}, samples)
    assert [firing for _, firing in seen] == [False] * 4 + [True] * 2
    assert states("deep", {"series": "queue_depth > 100"}, [])[1] == "api.queue_depth was not sampled"


@pytest.mark.parametrize(
    ("keys", "lines", "fired"),
    [
        ({"log": "lost", "clear": "found"}, [(2.0, 1.0), (6.0, 0.0)], (2.0, 6.0)),
        ({"log": "lost", "lasts": "3s"}, [(2.0, 1.0)], (2.0, 5.0)),
        ({"log": "lost", "lasts": "3s"}, [(2.0, 1.0), (4.0, 1.0)], (2.0, 7.0)),
        ({"log": "lost", "clear": "found"}, [(2.0, 1.0)], (2.0, 10.0)),
    ],
)
def test_lines_of_a_log_are_states_over_time(keys, lines, fired):
    """From a line to the one that clears it, or for as long as a line counts; each line begins that anew."""
    seen, problem = states("log", keys, [Sample(at, "alerts", "log", value) for at, value in lines])
    assert problem == ""
    firing = [at for at, on in seen if on]
    assert min(firing) == pytest.approx(fired[0])
    assert max(firing) == pytest.approx(fired[1], abs=0.1001)


def test_an_alert_that_fires_without_a_fault_is_a_false_alarm():
    """It fails the baseline with a finding; one that was silent passes, one that never answered is inconclusive."""
    looked = [Sample(at / 4, "alerts", "noisy", float(at == 7)) for at in range(20)]
    looked += [Sample(at / 4, "alerts", "quiet", 0.0) for at in range(20)]
    http = {"service": "api", "http": "http:/alerts", "matches": "x"}
    run = session(looked, dict.fromkeys(("noisy", "quiet", "mute"), http))
    parts = judge_quiet_alerts(run, "baseline", 0.0, 5.0)
    assert [verdict for verdict, _ in parts] == [Verdict.FAILED, Verdict.PASSED, Verdict.INCONCLUSIVE]
    [(stage, finding)] = run.found
    assert (stage, finding.subject) == ("baseline", "noisy")
    assert "false alarm" in finding.title
    assert "first at 1.8 s; firing in 1 of 20 looks" in finding.evidence[0]
