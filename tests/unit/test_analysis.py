"""Judgements over histories built by hand."""

import pytest

from shakedown.analysis.compare import compare_loads, compare_memory, drifting_figure
from shakedown.analysis.diagnosis import ledger_findings, lying_health, wrong_health
from shakedown.analysis.disturbance import disturbed, foreign_cpu
from shakedown.analysis.evidence import Evidence
from shakedown.analysis.flakes import merge_tests, upper_bound
from shakedown.analysis.health import Held, compare_health
from shakedown.analysis.quantiles import samples_needed
from shakedown.analysis.recovery import Steady, Timeline, find_effect, find_recovery
from shakedown.analysis.thresholds import judge
from shakedown.plan.experiments import FaultsTolerance
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.experiment import ExperimentRecord, Injection
from shakedown.records.judgement import Severity
from shakedown.records.ledger import LedgerFault, LedgerResult
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome, Pulse
from shakedown.records.observation import ProbeResult, Sample
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus
from shakedown.verdict import Verdict


def load(latencies, outcome=Outcome.OK, second=0, **changes) -> LoadResult:
    bucket = Bucket()
    bucket.response.record_many(latencies)
    n = len(latencies)
    counts = LoadCounts(scheduled=n, started=n, requests=n, on_time=n)
    setattr(counts, outcome.value, n)
    values = {
        "load": "send", "scenario": "send", "stage": "stress", "repetition": 0, "start": 0.0, "end": 10.0, "executor": "x",
        "target_rate": n / 10, "counts": counts, "buckets": {BucketKey("r", outcome, second): bucket}, "pulses": {},
        "start_lag": {}, "errors": [], "generator": GeneratorHealth(),
    }  # fmt: skip
    return LoadResult(**{**values, **changes})


def verdict(text, result, **window):
    return judge(parse_threshold(text), Evidence(loads={"send": result}, **window))


def test_threshold_passes_and_fails_on_the_measured_value():
    """The value stands beside the limit, with its samples."""
    good, bad = verdict("send.p95 < 500ms", load([0.1] * 100)), verdict("send.p95 < 50ms", load([0.1] * 100))
    assert (good.verdict, bad.verdict, good.samples) == (Verdict.PASSED, Verdict.FAILED, 100)
    assert good.actual == pytest.approx(0.1, rel=0.01)


def test_an_empty_metric_is_inconclusive():
    """Nothing measured is no pass, whatever the operator."""
    for text in ("send.p95 < 1s", "send.error_rate < 5%", "send.max < 1s"):
        assert verdict(text, load([])).verdict is Verdict.INCONCLUSIVE


def test_too_few_samples_support_no_quantile():
    """p99 of 100 samples is inconclusive, and says how many it needs."""
    result = verdict("send.p99 < 1s", load([0.1] * 100))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "needs 299 samples, 100" in result.reason
    assert [samples_needed(q) for q in (0.95, 0.99, 0.999)] == [59, 299, 2995]


def test_a_starved_generator_judges_nothing():
    """What a starved generator measured neither passes nor fails."""
    starved = load([0.1] * 100, generator=GeneratorHealth(starved="no CPU"))
    assert verdict("send.p95 < 1s", starved).verdict is Verdict.INCONCLUSIVE
    assert verdict("send.p95 < 1ms", starved).verdict is Verdict.INCONCLUSIVE


def test_a_rate_not_held_cannot_pass_but_can_fail():
    """Less load than asked proves nothing good; a breach under less load is a breach."""
    short = load([0.1] * 100, rate_held=False)
    assert verdict("send.p95 < 1s", short).verdict is Verdict.INCONCLUSIVE
    assert verdict("send.p95 < 1ms", short).verdict is Verdict.FAILED


def test_counts_that_disagree_judge_nothing():
    """If conservation is broken, no number can be trusted."""
    broken = load([0.1] * 100, counts=LoadCounts(scheduled=5))
    assert verdict("send.p95 < 1s", broken).verdict is Verdict.INCONCLUSIVE


def test_quick_failures_do_not_improve_a_percentile():
    """Refusals count as errors, not as fast answers; time-outs count as slow ones."""
    mixed = load([1.0] * 100)
    refusals = Bucket()
    refusals.response.record_many([0.001] * 900)
    mixed.buckets[BucketKey("r", Outcome.FAILED, 0)] = refusals
    mixed.counts.scheduled = mixed.counts.started = 1000
    mixed.counts.failed = 900
    assert verdict("send.med < 500ms", mixed).verdict is Verdict.FAILED
    assert verdict("send.error_rate < 50%", mixed).actual == pytest.approx(0.9)
    assert verdict("send.p95 < 500ms", load([3.0] * 100, Outcome.TIMED_OUT)).verdict is Verdict.FAILED


def test_a_window_takes_only_its_seconds():
    """Only requests that were due within the window count."""
    result = load([0.1] * 100, second=5)
    assert verdict("send.count >= 100", result, start=4.0, end=7.0).verdict is Verdict.PASSED
    assert (
        verdict("send.count >= 100", result, start=6.0, end=9.0).verdict is Verdict.INCONCLUSIVE
        or verdict("send.count >= 100", result, start=6.0, end=9.0).actual == 0
    )


def test_samples_aggregate():
    """A service's series is judged by its greatest value unless told otherwise; one never sampled is inconclusive."""
    samples = [Sample(1, "api", "memory", 100.0), Sample(2, "api", "memory", 300.0)]
    evidence = Evidence(samples=samples)
    assert judge(parse_threshold("api.memory < 200B"), evidence).verdict is Verdict.FAILED
    assert judge(parse_threshold("api.memory.avg <= 200B"), evidence).verdict is Verdict.PASSED
    assert judge(parse_threshold("api.memory.growth < 300%"), evidence).actual == pytest.approx(2.0)
    assert judge(parse_threshold("api.cpu < 2"), evidence).verdict is Verdict.INCONCLUSIVE


def suite(*statuses, problem=None) -> SuiteResult:
    outcomes = [TestOutcome(f"t{n}", status, 0.1, "boom") for n, status in enumerate(statuses)]
    return SuiteResult("unit", "stress", 1, 0.0, 2.0, 1, 0, outcomes, problem=problem, command="pytest")


def test_suites():
    """Skipped tests count as nothing; a suite that broke cannot pass; one without tests is inconclusive."""

    def of(result):
        return judge(parse_threshold("unit.success_rate >= 100%"), Evidence(suites={"unit": [result]}))

    assert of(suite(TestStatus.PASSED, TestStatus.SKIPPED)).verdict is Verdict.PASSED
    assert of(suite(TestStatus.PASSED, TestStatus.FAILED)).verdict is Verdict.FAILED
    assert of(suite(TestStatus.PASSED, problem="crashed")).verdict is Verdict.INCONCLUSIVE
    assert of(suite()).verdict is Verdict.INCONCLUSIVE


def test_skipped_tests_of_a_suite():
    """They are counted where they can be seen, also where nothing else ran; then nothing but their number is known."""

    def of(text, *statuses, problem=None):
        return judge(
            parse_threshold(f"unit.{text}"), Evidence(suites={"unit": [suite(*statuses, problem=problem)]})
        ).verdict

    all_skipped = [TestStatus.SKIPPED] * 3
    assert of("skipped == 0", TestStatus.PASSED, TestStatus.FAILED) is Verdict.PASSED
    assert of("skipped == 0", TestStatus.PASSED, TestStatus.SKIPPED) is Verdict.FAILED
    assert of("skipped >= 3 and unit.tests == 0", *all_skipped) is Verdict.PASSED
    assert of("tests >= 1", *all_skipped) is Verdict.FAILED
    assert of("failures == 0", *all_skipped) is Verdict.INCONCLUSIVE
    assert of("skipped == 0") is Verdict.INCONCLUSIVE
    assert of("skipped == 0", TestStatus.PASSED, problem="crashed") is Verdict.INCONCLUSIVE


# ---------------------------------------------------------------------------------------------------------- recovery
STEADY = Steady(rate=40.0, error_rate=0.0, p95=0.005, limit=0.25, healthy=frozenset({"api"}))
TOLERANCE = FaultsTolerance()


def history(outage=(10.0, 15.0), recovery=17.0, end=30.0, unhealthy=None) -> Timeline:
    """40/s, all failing from the outage's begin until the recovery."""
    pulses = {slot: Pulse(ok=4, slowest=0.005) for slot in range(int(end * 10))}
    for slot in range(int(outage[0] * 10), int(recovery * 10)):
        pulses[slot] = Pulse(bad=4)
    start, stop = unhealthy or (outage[0], recovery)
    probes = [ProbeResult(n / 10, "api", not start <= n / 10 < stop, 0.01, "") for n in range(int(end * 10))]
    return Timeline(pulses, probes)


def back_at(timeline) -> float | None:
    back = find_recovery(timeline, STEADY, 15.0, 29.0, hold_window=2.0, tolerance=TOLERANCE).back
    return back.at if back is not None else None


@pytest.mark.parametrize("recovery", [15.0, 15.3, 17.0, 20.2])
def test_time_to_recover_within_one_slot(recovery):
    """Effect and recovery of a known outage are found to the slot."""
    timeline = history(recovery=recovery)
    assert find_effect(timeline, STEADY, 10.0, 30.0).at == pytest.approx(10.0, abs=0.1)
    found = back_at(timeline)
    assert found == pytest.approx(recovery, abs=0.1)


def test_never_recovered_is_none():
    """A system that stays broken has no time to recover."""
    timeline = history(recovery=30.0)
    assert back_at(timeline) is None


def test_silence_is_no_recovery():
    """Slots in which nothing ended do not count as good ones."""
    timeline = history()
    quiet = Timeline({slot: pulse for slot, pulse in timeline.pulses.items() if slot < 150}, timeline.probes)
    assert back_at(quiet) is None


def test_slow_answers_are_no_recovery():
    """Good answers over the latency limit are not steady state."""
    timeline = history(recovery=15.0)
    for slot in range(150, 200):
        timeline.pulses[slot].slowest = 1.0
    found = back_at(timeline)
    assert found == pytest.approx(19.6, abs=0.5)


def test_an_unhealthy_service_is_no_recovery():
    """While a service that was healthy says it is not, the system is not back."""
    timeline = history(recovery=15.0, unhealthy=(10.0, 18.0))
    found = back_at(timeline)
    assert found == pytest.approx(18.0, abs=0.2)


def test_no_fault_no_effect():
    """A quiet history shows no effect."""
    quiet = history(outage=(5.0, 5.0), recovery=5.0, unhealthy=(0.0, 0.0))
    assert find_effect(quiet, STEADY, 10.0, 29.0) is None


def record() -> ExperimentRecord:
    return ExperimentRecord(
        "redis killed", [Injection("service-kill", "redis", "", "", (), applied_at=10.0, reverted_at=15.0)]
    )


def test_lying_health_is_found_and_truth_is_not_accused():
    """Healthy while clients fail is a lie; unhealthy while they fail is the truth."""
    lie = compare_health(history(unhealthy=(0.0, 0.0)), "api", Held(10.0, 10.0, 15.0, 17.0, 30.0))
    truth = compare_health(history(), "api", Held(10.0, 10.0, 15.0, 17.0, 30.0))
    assert lie.healthy_while_failing > 6
    assert lying_health(record(), lie) is not None
    assert truth.healthy_while_failing < 1
    assert lying_health(record(), truth) is None


def test_health_that_never_told_of_what_it_should_lies():
    """Silent all the while is a lie; late, or seldom, is not; a look that was never made accuses nobody."""
    silent, late = (wrong_health(record(), "api", "unhealthy", share) for share in (0.0, 0.4))
    assert "(lying health)" in silent.cause
    assert "does not show the loss of redis" in late.cause
    assert "lying" not in late.cause
    assert wrong_health(record(), "api", "unhealthy", None).severity is Severity.DOUBT
    assert wrong_health(record(), "db", "healthy", 1.0).cause == ""


# ------------------------------------------------------------------------------------------------------------- others
def test_comparison_with_the_baseline():
    """A figure that stays in tolerance passes; noise below the floor does not count; a rise above both fails."""
    before = load([0.1] * 100)

    def p95(after, disturbance=""):
        return compare_loads(before, load(after), {"p95": 0.2}, disturbance)[0].verdict

    assert p95([0.11] * 100) is Verdict.PASSED
    assert p95([0.15] * 100) is Verdict.FAILED
    assert p95([0.15] * 10) is Verdict.INCONCLUSIVE
    assert p95([0.15] * 100, "a busy machine") is Verdict.INCONCLUSIVE
    assert p95([0.11] * 100, "a busy machine") is Verdict.PASSED
    assert compare_loads(load([0.001] * 100), load([0.01] * 100), {"p95": 0.2})[0].verdict is Verdict.PASSED


def test_memory_that_was_not_sampled_is_inconclusive():
    """No samples, no pass."""
    assert compare_memory([], [], ["api"], 0.2)[0].verdict is Verdict.INCONCLUSIVE
    old, new = [Sample(1, "api", "memory", 100e6)], [Sample(2, "api", "memory", 200e6)]
    assert compare_memory(old, new, ["api"], 0.2)[0].verdict is Verdict.FAILED


def test_lost_writes_are_told_with_their_fault():
    """The finding counts what was lost and says during which fault it was sent."""
    result = LedgerResult(
        "messages", acknowledged=100, lost=3, faults=[LedgerFault(f"k{n}", "lost", 12.0 + n, "404") for n in range(3)]
    )
    (finding,) = ledger_findings(result, [record()])
    assert "3 of 100 acknowledged writes" in finding.title
    assert "before they are stored" in finding.cause
    assert "3 were sent during `redis killed`" in finding.evidence[0]


def test_flakes():
    """K of n is told with its bound: 0 of 50 is `below 5.8 %`, never `stable`."""
    assert upper_bound(0, 50) == pytest.approx(0.058, abs=0.001)
    assert upper_bound(5, 5) == 1.0
    runs = [
        suite(TestStatus.PASSED, TestStatus.FAILED if n == 2 else TestStatus.PASSED, TestStatus.FAILED)
        for n in range(5)
    ]
    kinds = {test.test: (test.kind, test.failures) for test in merge_tests(runs)}
    assert kinds == {"t0": ("none observed", 0), "t1": ("flaky", 1), "t2": ("broken", 5)}


def test_a_busy_machine_is_not_the_services_fault():
    """What is slower while other programs took much more of the machine is inconclusive; more errors still fail."""

    def cpu(host, service):
        return [Sample(1.0, "host", "cpu", host), Sample(1.0, "api", "cpu", service)]

    assert foreign_cpu(cpu(1.5, 0.5), ["api"]) == 1.0
    assert foreign_cpu([Sample(1.0, "api", "cpu", 1.0)], ["api"]) is None
    assert disturbed(cpu(0.6, 0.5), cpu(1.9, 1.8), ["api"], 2) == ""  # it is the service itself
    assert disturbed(cpu(2.0, 1.8), cpu(2.0, 1.9), ["api"], 2) == ""  # full, by the service itself
    assert "full" in disturbed(cpu(2.0, 0.3), cpu(2.0, 0.3), ["api"], 2)  # how many wait is not known
    assert disturbed(cpu(1.5, 0.3), cpu(1.5, 0.3), ["api"], 2) == ""
    reason = disturbed(cpu(0.6, 0.5), cpu(1.9, 0.5), ["api"], 2)
    assert "70 % of the machine, 5 % before" in reason


@pytest.mark.parametrize(
    ("slow", "verdict"), [(0, Verdict.PASSED), (1, Verdict.PASSED), (3, Verdict.INCONCLUSIVE), (6, Verdict.FAILED)]
)
def test_one_hiccup_is_not_a_lasting_state(slow, verdict):
    """A percentile that one slow second moved is no failure; what is slow for most of the time is."""

    def seconds(slow_ones):
        result = load([0.01] * 40)
        for second in range(1, 10):
            other = load([0.3 if second <= slow_ones else 0.01] * 40, second=second)
            result.buckets.update(other.buckets)
        return result

    found = compare_loads(seconds(0), seconds(slow), {"p95": 1.0})[0]
    assert found.verdict is verdict
    assert found.after == pytest.approx(0.3 if slow else 0.01, rel=0.01)


def test_users_that_wait_for_slow_answers_do_not_hide_them():
    """A closed model sends little while it is slow: seconds with few answers, or none, count as slow."""

    def seconds(each):
        result = load([])
        result.buckets.clear()
        for second, latencies in enumerate(each):
            result.buckets.update(load(latencies, second=second).buckets)
        return result

    quick, slow = [0.01] * 200, [0.9] * 3
    before = seconds([quick] * 10)
    assert compare_loads(before, seconds([quick] * 4 + [slow, [], slow, [], slow, slow]), {"p99": 1.0})[0].verdict is (
        Verdict.FAILED
    )
    assert compare_loads(before, seconds([quick] * 9 + [slow * 4]), {"p99": 1.0})[0].verdict is Verdict.PASSED


def test_figures_that_may_drift_grow_when_things_get_worse():
    """A quantile grows with latency, the time for a request with less throughput; what was not measured is none."""
    slow, quick = load([0.2] * 100), load([0.1] * 200)
    assert drifting_figure(slow, "p95") > 1.9 * drifting_figure(quick, "p95")
    assert drifting_figure(slow, "throughput") == pytest.approx(2 * drifting_figure(quick, "throughput"))
    assert drifting_figure(load([]), "p50") is None
    assert drifting_figure(load([]), "throughput") is None


def test_a_counter_by_the_second():
    """What a counter grew by in a second, also when its process began anew in between; one sample is no rate."""
    threshold = parse_threshold("api.jobs_total.per_second < 10")
    counts = [0.0, 20.0, 40.0, 5.0, 25.0]
    samples = [Sample(float(at), "api", "jobs_total", value) for at, value in enumerate(counts)]
    found = judge(threshold, Evidence(samples=samples))
    assert (found.verdict, found.actual) == (Verdict.FAILED, pytest.approx(65 / 4))
    assert judge(threshold, Evidence(samples=samples[:1])).verdict is Verdict.INCONCLUSIVE
