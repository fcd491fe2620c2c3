"""Thresholds that end their load, on simulated deltas: what is seen in time, and what is never held against a load."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.analysis.abort import AbortWatch, settle_abort
from shakedown.analysis.evidence import Evidence
from shakedown.analysis.thresholds import judge
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.load import (
    Bucket,
    BucketKey,
    ErrorRecord,
    GeneratorHealth,
    LoadCounts,
    LoadDelta,
    LoadResult,
    Outcome,
    merge_parts,
)
from shakedown.verdict import Verdict

START = 3.25
STEP = 0.5


@dataclass(frozen=True)
class Call:
    """One request: due (and started) so long after the load's start, ended so much later."""

    due: float
    latency: float
    outcome: Outcome = Outcome.OK
    request: str = "r"


def delta(calls, since, until, label="a", errors=()) -> LoadDelta:
    """What a worker tells of the time between two instants."""
    counts, buckets = LoadCounts(), {}
    for call in calls:
        if since <= START + call.due < until:
            counts.scheduled += 1
            counts.started += 1
            counts.on_time += 1
        ended = START + call.due + call.latency
        if since <= ended < until:
            setattr(counts, call.outcome.value, getattr(counts, call.outcome.value) + 1)
            counts.requests += 1
            bucket = buckets.setdefault(BucketKey(call.request, call.outcome, int(START + call.due)), Bucket())
            bucket.response.record(call.latency)
            bucket.bytes_received += 100
    return LoadDelta(label, until, counts, buckets, {}, {}, list(errors))


def run(text, calls, seconds, **options):
    """Feed a watch with deltas until it has seen a breach."""
    watch = AbortWatch([parse_threshold(text)], **options)
    watch.begin("a", START)
    at = START
    while at < START + seconds:
        at += STEP
        if breach := watch.take(delta(calls, at - STEP, at), at):
            return breach
    return None


def whole(calls, stopped) -> LoadResult:
    """The load as it is judged in the end: nothing was started after it was stopped, everything in flight came in."""
    total = LoadDelta("a", 0.0, LoadCounts(), {}, {}, {}, [])
    merge_parts(total, delta([call for call in calls if START + call.due < stopped], 0.0, 1e9))
    return LoadResult(
        load="a", scenario="a", stage="stress", repetition=0, start=START, end=stopped, executor="x", target_rate=None,
        counts=total.counts, buckets=total.buckets, pulses={}, start_lag={}, errors=[], generator=GeneratorHealth(),
    )  # fmt: skip


def every(tenth, latency, begin=0.0, end=30.0, **more) -> list[Call]:
    """Regular calls, so many in a tenth of a second."""
    steps = range(round(begin * 10), round(end * 10))
    return [Call(step / 10 + 0.1 * index / tenth, latency, **more) for step in steps for index in range(tenth)]


def test_a_healthy_load_runs_to_its_end():
    """Nothing breaks: nothing is stopped."""
    calls = every(10, 0.05)
    for text in (
        "a.p95 < 1s abort",
        "a.error_rate < 1% abort",
        "a.throughput > 90/s abort",
        "a.rate > 90 over 3s abort",
        "a.count < 9000 abort",
    ):
        assert run(text, calls, 30) is None, text


@pytest.mark.parametrize(
    ("text", "soonest", "latest"),
    [
        ("a.error_rate < 20% abort", 10.0, 14.5),
        ("a.error_rate < 20% over 3s abort", 11.0, 13.5),
        ("a.error_rate < 50% for 3s abort", 13.5, 15.0),
        ("a.throughput > 90/s abort", 10.5, 13.0),
        ("a.throughput > 90/s over 5s abort", 11.0, 13.0),
        ("a.error_rate < 20% within 3s abort", 11.0, 13.5),
        ("a.p95 < 1s and a.error_rate < 20% over 3s abort", 11.0, 13.5),
        ("a.error_rate < 20% abort after 25s", 25.0, 25.5),
    ],
)  # fmt: skip
def test_an_outage_ends_the_load_in_time(text, soonest, latest):
    """From 10 s on all fail: each form sees it as soon as its window can, and not before its delay."""
    calls = [*every(10, 0.05, 0, 10), *every(10, 0.01, 10, 30, outcome=Outcome.FAILED)]
    text = text.replace("a.p95 < 1s and a.error_rate < 20% over 3s", "(a.p95 < 1s and a.error_rate < 20%) over 3s")
    breach = run(text, calls, 30)
    assert breach is not None
    assert soonest <= breach.at - START <= latest
    assert breach.result.verdict is Verdict.FAILED
    assert breach.result.text == parse_threshold(text).text
    assert breach.loads == ("a",)
    assert "after the load's start" in breach.result.reason


def test_the_reported_value_is_what_was_measured():
    """Hope decides whether to stop; the result shows the plain figure."""
    calls = [*every(10, 0.05, 0, 10), *every(10, 3.0, 10, 30, outcome=Outcome.FAILED)]
    breach = run("a.error_rate < 10% abort", calls, 30)
    assert breach is not None
    told = sum(call.due + call.latency + START < breach.at for call in calls)
    bad = sum(call.due + call.latency + START < breach.at for call in calls if call.outcome is Outcome.FAILED)
    assert breach.result.actual == pytest.approx(bad / told)


def test_a_slow_start_is_not_held_against_the_load():
    """Good answers take two seconds, bad ones come at once: one in fifty is no breach of 5 %, though it comes first."""
    calls = [
        Call(n / 50, 0.01 if n % 50 == 0 else 2.0, Outcome.FAILED if n % 50 == 0 else Outcome.OK) for n in range(1000)
    ]
    assert run("a.error_rate < 5% abort", calls, 25) is None
    assert run("a.throughput > 40/s abort", calls, 20) is None


def test_a_hanging_server_ends_the_load():
    """Nothing comes back any more: throughput falls below its limit although all in flight may yet end well."""
    calls = [*every(10, 0.05, 0, 5), *[Call(5 + n / 10, 60.0, Outcome.TIMED_OUT) for n in range(20)]]
    breach = run("a.throughput > 50/s abort", calls, 30)
    assert breach is not None
    assert breach.at - START < 15


def test_counters_end_a_load_only_from_above():
    """What grows from nothing breaks a lower limit until it holds; such a threshold is refused."""
    calls = every(10, 0.05)
    breach = run("a.count < 500 abort", calls, 30)
    assert breach is not None
    assert breach.at - START == pytest.approx(5.5, abs=0.5)
    assert run("a.count == 3000 abort", calls, 30) is None
    for text in ("a.count > 5 abort", "a.dropped >= 1 abort", "a.p95 == 1s abort"):
        with pytest.raises(ValueError, match="at the end of its load alone"):
            AbortWatch([parse_threshold(text)])


def test_drops_end_a_load():
    """The overload policy's drops are counted while the load runs."""
    watch = AbortWatch([parse_threshold("a.dropped == 0 abort"), parse_threshold("a.dropped_rate < 90% abort")])
    watch.begin("a", START)
    calls = every(10, 0.05)
    assert watch.take(delta(calls, START, START + 1.5), START + 1.5) is None
    more = delta(calls, START + 1.5, START + 2)
    more.counts.dropped += 1
    more.counts.scheduled += 1
    breach = watch.take(more, START + 2)
    assert breach is not None
    assert breach.threshold.text == "a.dropped == 0 abort"


def test_the_first_breach_stands():
    """After a breach nothing more is looked at; other thresholds never count without `abort`."""
    watch = AbortWatch([parse_threshold("a.p50 < 1ms"), parse_threshold("a.p50 < 10ms abort")])
    watch.begin("a", START)
    calls = every(10, 0.05)
    assert watch.take(delta(calls, START, START + 0.5), START + 0.5) is None  # never within the first second
    first = watch.take(delta(calls, START + 0.5, START + 2), START + 2)
    assert first is not None
    assert first.threshold.text == "a.p50 < 10ms abort"
    assert watch.take(delta(calls, START + 2, START + 3), START + 3) is None
    assert watch.breach is first


def test_several_loads_of_one_threshold():
    """Both loads must have run for the delay; a breach stops both; a load that never began is not judged."""
    text = "a.error_rate < 5% and b.error_rate < 5% abort after 4s"
    watch = AbortWatch([parse_threshold(text)])
    bad = every(10, 0.01, outcome=Outcome.FAILED)
    watch.begin("a", START)
    assert watch.take(delta(bad, START, START + 6), START + 6) is None
    watch.begin("b", START + 5)
    good = LoadDelta("b", 0, LoadCounts(scheduled=1, started=1, ok=1), {}, {}, {}, [])
    assert watch.take(good, START + 8) is None
    breach = watch.take(delta(bad, START + 6, START + 9), START + 9)
    assert breach is not None
    assert breach.loads == ("a", "b")


def test_a_repetition_begins_anew():
    """What an earlier repetition measured is not held against the next."""
    watch = AbortWatch([parse_threshold("a.error_rate < 50% abort after 5s")])
    watch.begin("a", START)
    assert watch.take(delta(every(10, 0.01, outcome=Outcome.FAILED), START, START + 4), START + 4) is None
    watch.begin("a", START)
    assert watch.take(delta(every(10, 0.01), START, START + 6), START + 6) is None


def test_requests_and_tags_and_the_baseline():
    """Each request is looked at by itself, tags choose, and the baseline limits, as at the end."""
    calls = [*every(10, 0.05, request="x"), *every(10, 0.5, request="y")]
    tags = {"a": {"x": {"kind": "fast"}, "y": {"kind": "slow"}}}
    before = Evidence(
        loads={"a": whole([*every(10, 0.05, end=10, request="x"), *every(10, 0.05, end=10, request="y")], 20.0)}
    )
    assert run("a{kind:fast}.p95 < 100ms abort", calls, 10, tags=tags) is None
    for text in ("a{kind:slow}.p95 < 100ms abort", "a.*.p95 < 100ms over 2s abort", "a.y.p95 < 2 * baseline abort"):
        breach = run(text, calls, 10, tags=tags, baseline=before)
        assert breach is not None, text
    assert "request `y`" in run("a.*.p95 < 100ms over 2s abort", calls, 10, tags=tags).result.reason


def test_a_generator_in_trouble_ends_nothing():
    """Errors of the generator's own make a breach worthless."""
    watch = AbortWatch([parse_threshold("a.error_rate < 5% abort")])
    watch.begin("a", START)
    own = ErrorRecord("local", "r", 3, START, START, "no ports left")
    bad = delta(every(10, 0.01, outcome=Outcome.FAILED), START, START + 5, errors=[own])
    assert watch.take(bad, START + 5) is None


def test_what_a_breach_comes_to_in_the_end():
    """The breach is the verdict, unless the load turns out to be worth nothing."""
    calls = every(10, 0.01, outcome=Outcome.FAILED)
    breach = run("a.error_rate < 5% abort", calls, 10)
    result = whole(calls, breach.at)
    judged = judge(breach.threshold, Evidence(loads={"a": result}))
    assert settle_abort(judged, breach.result, [result]) is breach.result
    result.generator.starved = "no CPU"
    judged = judge(breach.threshold, Evidence(loads={"a": result}))
    settled = settle_abort(judged, breach.result, [result])
    assert settled.verdict is Verdict.INCONCLUSIVE
    assert "no CPU, stopped" in settled.reason


CALLS = st.lists(
    st.builds(
        Call,
        due=st.floats(0, 12, allow_nan=False),
        latency=st.sampled_from([0.01, 0.2, 1.5, 4.0]),
        outcome=st.sampled_from([Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT]),
        request=st.sampled_from(["x", "y"]),
    ),
    min_size=1,
    max_size=120,
)
TEXTS = st.sampled_from(
    ["a.error_rate < 30% abort", "a.error_rate < 60% over 3s abort", "a.error_rate < 40% for 2s abort", "a.med < 1s abort",
     "a.p60 < 1s over 2s abort", "a.throughput > 4 abort", "a.throughput > 3/s over 3s abort", "a.rate > 5 within 4s abort",
     "a.check_rate >= 60% abort", "a.x.error_rate < 30% abort", "a.*.error_rate < 50% abort", "a.avg < 1s abort after 5s",
     "a.error_rate < 30% or a.med < 500ms abort", "a.error_rate < 50% and a.throughput > 3 abort", "a.count < 60 abort",
     "a.max < 3s abort"])  # fmt: skip


@given(CALLS, TEXTS)
def test_what_comes_in_later_never_turns_a_breach(calls, text):
    """A load that was stopped has failed its threshold also when everything in flight is in, however it ended."""
    breach = run(text, calls, 16)
    if breach is not None:
        result = whole(calls, breach.at)
        assert judge(breach.threshold, Evidence(loads={"a": result})).verdict is Verdict.FAILED


def test_windows_of_a_running_load_are_whole():
    """A load that began between two seconds is not judged on its first three as if they were two."""
    calls = [
        *[Call(n / 10, 0.01, Outcome.FAILED) for n in range(5)],
        Call(1.0, 0.01),
        Call(2.0, 0.01),
        *every(1, 0.01, 3, 9),
    ]
    assert run("a.error_rate < 60% over 2s abort", calls, 9) is None


def test_what_is_in_flight_may_yet_be_quick():
    """Seventy slow answers are in, three thousand quick ones under way: the percentile may still hold."""
    calls = [*[Call(n / 1000, 2.0) for n in range(70)], *[Call(2.2, 0.9) for _ in range(3000)]]
    assert run("a.p95 < 1s abort", calls, 6) is None


def test_a_load_that_has_not_begun_to_send_is_not_judged():
    """Before the first request there is no throughput to be too low."""
    assert run("a.throughput > 1 abort", [Call(6.0, 0.01)], 6) is None
