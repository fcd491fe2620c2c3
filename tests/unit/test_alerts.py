"""Alerts and what is expected of them: the plan's words, answers and lines that show them, limits judged by intervals."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import ValidationError

from shakedown.analysis.worse import compare_after, describe, recovered_but_worse
from shakedown.observe.alerts import fires, line_time
from shakedown.plan.alerts import Alert
from shakedown.plan.experiments import WorseLimits
from shakedown.plan.wishes import AlertWish, HealthWish, parse_alert_wish, parse_health_wish
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome
from shakedown.records.observation import Sample
from shakedown.records.recovery import Moment
from shakedown.session.signal_verdicts import within_limit
from shakedown.verdict import Verdict


# ------------------------------------------------------------------------------------------------------- expectations
@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("healthy", HealthWish("healthy")),
        ("unhealthy", HealthWish("unhealthy")),
        ("unhealthy within 1500ms", HealthWish("unhealthy", 1.5)),
        ("unhealthy, healthy within 10s", HealthWish("unhealthy", None, 10.0)),
        ("unhealthy within 2s , healthy within 1m", HealthWish("unhealthy", 2.0, 60.0)),
    ],
)
def test_what_health_is_expected_to_say(text, wish):
    """Each form is understood."""
    assert parse_health_wish(text) == wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [("never", AlertWish()), ("within 10s", AlertWish(10.0)), ("within 10s, over within 2m", AlertWish(10.0, 120.0))],
)
def test_what_alerts_are_expected_to_do(text, wish):
    """Each form is understood."""
    assert parse_alert_wish(text) == wish


@pytest.mark.parametrize(
    "text",
    ["", "sick", "unhealthy soon", "healthy within 2s", "unhealthy within 0s", "unhealthy within", "never within 2s"],
)
def test_what_cannot_be_expected(text):
    """Neither of health nor of alerts; both say what can be written."""
    for parse in (parse_health_wish, parse_alert_wish):
        with pytest.raises(ValueError, match=r"write|such as"):
            parse(text)


@pytest.mark.parametrize(
    ("moment", "verdict"),
    [
        (Moment(11.0, 10.9, 11.0), Verdict.PASSED),
        (Moment(12.1, 11.9, 12.1), Verdict.INCONCLUSIVE),  # the limit lies within its interval
        (Moment(13.0, 12.9, 13.0), Verdict.FAILED),
        (None, Verdict.FAILED),
    ],
)
def test_a_limit_is_judged_by_the_interval(moment, verdict):
    """What the interval leaves open is inconclusive; what never came has failed once its time was up."""
    assert within_limit(moment, 10.0, 2.0, until=20.0) is verdict


def test_what_never_came_in_too_short_a_time_is_inconclusive():
    """The watching ended before the limit."""
    assert within_limit(None, 10.0, 15.0, until=20.0) is Verdict.INCONCLUSIVE


# -------------------------------------------------------------------------------------------------------------- alerts
def alert(**keys) -> Alert:
    return Alert.model_validate({"service": "api", "http": "http:/alerts", **keys})


def answer(body, status=200) -> httpx.Response:
    return httpx.Response(status, content=body if isinstance(body, str) else json.dumps(body))


PROMETHEUS = {"data": {"alerts": [{"labels": {"alertname": "Full"}, "state": "firing"},
                                  {"labels": {"alertname": "Slow"}, "state": "pending"}]}}  # fmt: skip
MANAGER = [{"labels": {"alertname": "Full"}, "status": {"state": "active"}},
           {"labels": {"alertname": "Slow"}, "status": {"state": "suppressed"}}]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "body", "firing"),
    [
        ({"rule": "Full"}, PROMETHEUS, True),
        ({"rule": "Slow"}, PROMETHEUS, False),
        ({"rule": "Other"}, PROMETHEUS, False),
        ({"rule": "Full"}, MANAGER, True),
        ({"rule": "Slow"}, MANAGER, False),
        ({"json": "alerts"}, {"alerts": ["queue"]}, True),
        ({"json": "alerts"}, {"alerts": []}, False),
        ({"json": "state", "equals": "red"}, {"state": "red"}, True),
        ({"json": "state", "equals": "red"}, {"state": "green"}, False),
        ({"json": "state", "equals": "red"}, {}, False),
        ({"json": "on", "equals": 1}, {"on": True}, False),
        ({"json": "$.all[?@.sev>3]"}, {"all": [{"sev": 2}, {"sev": 4}]}, True),
        ({"matches": "queue (full|late)"}, "the queue late", True),
        ({"matches": "queue (full|late)"}, "all is well", False),
    ],
)
def test_answers_that_show_an_alert(keys, body, firing):
    """By a rule's name, by what stands at a path, by a text."""
    assert fires(alert(**keys), answer(body)) is firing


@pytest.mark.parametrize(
    ("keys", "body", "status"),
    [({"rule": "Full"}, "not json", 200), ({"rule": "Full"}, {"data": 3}, 200), ({"matches": "x"}, "x", 500)],
)
def test_an_answer_that_is_none_says_nothing(keys, body, status):
    """Neither firing nor silent: an error of the look."""
    with pytest.raises(ValueError):
        fires(alert(**keys), answer(body, status))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "exactly one of json, matches, rule"),
        ({"json": "a", "rule": "b"}, "exactly one of json, matches, rule"),
        ({"log": "x", "json": "a"}, "exactly one of http, log, series"),
        ({"http": None, "log": "x", "json": "a"}, "go with `http`"),
        ({"http": None, "log": "("}, "no regular expression"),
        ({"http": None, "series": "queue is full"}, "not a condition"),
        ({"matches": "x", "equals": 3}, "goes with `json`"),
        ({"matches": "x", "clear": "y"}, "goes with `log`"),
        ({"matches": "x", "every": "1ms"}, "greater than or equal to 0.1"),
    ],
)
def test_mistakes_in_alerts(keys, said):
    """Each is told with what is allowed."""
    with pytest.raises(ValidationError, match=said):
        alert(**keys)


def test_lines_of_the_engine_carry_their_time():
    """To the microsecond, in UTC; a program's own line has none."""
    at = datetime(2026, 11, 21, 14, 3, 5, 123456, tzinfo=UTC)
    assert line_time("2026-11-21T14:03:05.123456789Z ERROR lost") == at
    assert line_time("2026-11-21T15:03:05.123456+01:00 ERROR lost") == at
    assert line_time("2026-11-21T14:03:05Z x") == at.replace(microsecond=0)
    assert line_time("ERROR lost at 2026-11-21T14:03:05Z") is None


# ------------------------------------------------------------------------------------------------- worse than it was
def load(latency) -> LoadResult:
    """100 requests a second for 20 s; `latency(second)` of each, None for failed ones."""
    buckets = {}
    for second in range(20):
        took = latency(second)
        outcome = Outcome.FAILED if took is None else Outcome.OK
        bucket = buckets.setdefault(BucketKey("r", outcome, second), Bucket())
        bucket.response.record(took or 0.001, 100)
    return LoadResult(
        load="get", scenario="get", stage="faults", repetition=0, start=0.0, end=20.0, executor="x", target_rate=100.0,
        counts=LoadCounts(), buckets=buckets, pulses={}, start_lag={}, errors=[], generator=GeneratorHealth(),
    )  # fmt: skip


def compared(latency, samples=(), disturbance="", after=(12.0, 20.0)):
    found = compare_after(load(latency), samples, ["api"], (0.0, 8.0), after, WorseLimits(), disturbance)
    return {f"{item.subject}.{item.metric}": item for item in found}


def test_recovered_but_slower_is_told_with_its_numbers():
    """200 ms instead of 100 ms after recovery: median and p95 fail; on a disturbed machine they are inconclusive."""
    slow = compared(lambda second: 0.1 if second < 10 else 0.2)
    assert {name for name, item in slow.items() if item.verdict is Verdict.FAILED} == {"get.p50", "get.p95"}
    finding = recovered_but_worse("redis killed", [slow["get.p50"], slow["get.p95"]])
    assert finding.title == "redis killed: recovered, but worse than before: get.p50, get.p95"
    assert "200 ms, 100 ms before" in finding.evidence[0]
    assert "40 % allowed" in describe(slow["get.p95"])
    disturbed = compared(lambda second: 0.1 if second < 10 else 0.2, disturbance="a busy machine")
    assert (disturbed["get.p50"].verdict, disturbed["get.p50"].reason) == (Verdict.INCONCLUSIVE, "a busy machine")


def test_what_is_as_good_as_before_passes():
    """The same; 30 % more; a growth from 1 ms to 20 ms, which is nobody's concern; one slow second of eight."""
    for latency in (
        lambda _: 0.1, lambda second: 0.1 if second < 10 else 0.13, lambda second: 0.001 if second < 10 else 0.02,
        lambda second: 1.0 if second == 15 else 0.1,
    ):  # fmt: skip
        assert {item.verdict for item in compared(latency).values()} == {Verdict.PASSED}


def test_fewer_good_answers_are_worse():
    """Every fourth second of failures after recovery is a fall of throughput."""
    found = compared(lambda second: None if second > 10 and second % 4 == 0 else 0.1)
    assert found["get.throughput"].verdict is Verdict.FAILED
    assert found["get.throughput"].change == pytest.approx(-0.25)


def test_memory_that_stays_up_is_worse():
    """From 100 to 200 MB fails, to 120 MB passes; with two samples it is not judged; without any it is not mentioned."""

    def memory(after, every=1.0):
        times = [n * every for n in range(int(20 / every))]
        return [Sample(at, "api", "memory", 100e6 if at < 10 else after) for at in times]

    assert compared(lambda _: 0.1, memory(200e6))["api.memory"].verdict is Verdict.FAILED
    assert compared(lambda _: 0.1, memory(120e6))["api.memory"].verdict is Verdict.PASSED
    assert compared(lambda _: 0.1, memory(200e6, 5.0))["api.memory"].verdict is Verdict.SKIPPED
    assert "api.memory" not in compared(lambda _: 0.1)


def test_too_short_a_time_is_not_judged():
    """Two seconds after recovery are no state."""
    found = compared(lambda second: 0.1 if second < 10 else 0.5, after=(12.0, 14.0))
    assert {item.verdict for item in found.values()} == {Verdict.SKIPPED}
