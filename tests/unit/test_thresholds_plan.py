"""Thresholds inside plans: what names something that is not there is found before anything starts, with its place."""

import pytest

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.plan.model import UseScenario
from shakedown.session.judging import default_thresholds

PLAN = """\
version: 1
name: demo
services:
  api: {image: "demo:1", ports: {http: 8000}, metrics: {prometheus: "http:/metrics", series: [queue_depth]}}
scenarios:
  send:
    executor: {type: constant-arrival-rate, rate: 10, duration: 10s}
    http: {target: api.http, requests: [{name: one, get: /}, {name: two, get: /}]}
  read:
    executor: {type: constant-vus, vus: 2, duration: 10s}
    http: {target: api.http, requests: [{name: two, get: /}, {name: start_lag, get: /}]}
suites:
  unit: {pytest: ".", optional: true}
stages:
  baseline: {suites: [unit], scenarios: [send], thresholds: [BASELINE]}
  stress:
    parallel: [{use: send}, {use: read, label: other}, {use: read, label: send2}, {suite: unit}]
    thresholds: [STRESS]
  faults:
    load: send
    experiments:
      - {name: x, fault: {type: service-kill, target: api}, hold: 1s, recover_within: 5s, expect: {during: [DURING]}}
    thresholds: [FAULTS]
"""
FINE = {
    "BASELINE": "send.count > 0",
    "STRESS": "send.count > 0",
    "DURING": "send.count > 0",
    "FAULTS": "send.count > 0",
}


def problems(tmp_path, text=PLAN, **places) -> list[str]:
    for place, threshold in {**FINE, **places}.items():
        text = text.replace(place, f'"{threshold}"')
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_plan(path, environ={})
    except PlanError as error:
        return [str(problem).replace(f"{tmp_path}/", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("STRESS", "send.p95 < 1.5 * baseline and other.p95 < 1s"),
        ("STRESS", "send.one.max < 2 * baseline"),
        ("STRESS", "unit.longest < 2 * baseline or api.memory < 2 * baseline"),
        ("STRESS", "api.queue_depth.max < 2 * baseline + 5"),
        ("STRESS", "send.*.p95 < 1s over 5s abort after 3s"),
        ("STRESS", "send.start_lag.p50 < 5ms over 5s"),
        ("STRESS", "send.dropped == 0 abort"),
        ("STRESS", "other.start_lag < 5ms"),
        ("STRESS", "other.start_lag.error_rate < 5%"),
        ("STRESS", "shakedown.observer_cpu.avg < 0.5 and shakedown.observer_memory < 1000000000"),
        ("DURING", "send.p95 < 2 * baseline within 1s"),
        ("FAULTS", "send.error_rate < 90% abort after 5s"),
    ],
)
def test_right_thresholds(tmp_path, place, text):
    """What names what is there is accepted."""
    assert problems(tmp_path, **{place: text}) == []


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        ("BASELINE", "send.p95 < 2 * baseline", "the baseline cannot be compared with itself"),
        ("STRESS", "other.p95 < 2 * baseline", "`other` is not measured in the baseline; it has send, unit"),
        (
            "STRESS",
            "send2.p95 < 2 * baseline",
            "`send2` is not measured in the baseline; it has send, unit | did you mean `send`?",
        ),
        ("STRESS", "shakedown.memory < 1GB", "it has observer_cpu, observer_memory"),
        ("STRESS", "send.three.p95 < 2 * baseline", "no such request: `three`; the plan has one, two"),
        ("STRESS", "send.p95 < 1s or sent.rate > 5", "`sent` is not measured in this stage"),
        ("STRESS", "send.p95 < 1s or send.trougput > 5", "did you mean `throughput`?"),
        ("STRESS", "(send.p95 < 1s and send.thre.rate > 5) over 5s", "no such request: `thre`"),
        ("STRESS", "send.start_lag < 5ms for all requests", "counted for a whole load, not for each request"),
        ("STRESS", "send.one.start_lag < 5ms", "counted for a whole load, not for one request"),
        ("STRESS", "other.start_lag.p50 < 5ms", "a request has this name as well"),
        (
            "STRESS",
            "send.error_rate.max < 5%",
            "`.max` fits sampled series alone (max, min, avg, last, growth, per_second), and start_lag",
        ),
        ("STRESS", "send{kind:read}.p95 < 1s", "no such tag: `kind` is on no request of `send`; they have none"),
        ("STRESS", "unit{kind:read}.tests > 5", "`unit` is a suite"),
        ("STRESS", "api{kind:read}.memory < 1GB", "`api` is a service"),
        ("STRESS", "unit.*.tests > 5", "`unit` is no load: it has no requests to judge each"),
        ("STRESS", "send.dropped_rate < 5% for 5s", "counted for a whole load, not by the second"),
        ("STRESS", "unit.longest < 5s within 5s", "`unit` is a suite: it is judged whole"),
        ("STRESS", "send.count > 5 abort", "`abort` would end every load | leave `abort` out, or judge `rate`"),
        ("STRESS", "send.med == 1s abort", "can be judged at the end alone"),
        ("STRESS", "send.med < 1s or unit.tests > 5 abort", "`abort` ends a load, and `unit` is none"),
        (
            "DURING",
            "send.error_rate < 5% abort",
            "`abort` ends a load; what an experiment expects is judged in its window",
        ),
        (
            "STRESS",
            "send.p95 < 1s over 1.5s",
            "one or more whole seconds, because counts are kept by the second (column 20)",
        ),
    ],
)
def test_a_mistake_is_one_problem_with_its_place(tmp_path, place, text, words):
    """Each mistake is said once, with line, key and what is allowed."""
    found = problems(tmp_path, **{place: text})
    assert len(found) == 1, found
    for part in words.split(" | "):
        assert part in found[0]
    line = 1 + PLAN[: PLAN.index(place)].count("\n")
    assert found[0].startswith(f"plan.yaml:{line}:")


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("shards: {count: 2}", "`abort` does not reach shards"),
        ("steps: {rate: [1, 2], duration: 5s}", "`abort` ends no load in steps"),
        ("capacity: {lowest: 1, highest: 2, duration: 5s}", "`abort` ends no load in steps or in search"),
    ],
)
def test_abort_where_it_cannot_work_is_refused(tmp_path, way, words):
    """A load that is silent until its end, or that goes level by level, cannot be ended by a threshold."""
    text = PLAN.replace("parallel: [{use: send}", f"parallel: [{{use: send, {way}}}")
    found = problems(tmp_path, text, STRESS="send.error_rate < 5% abort")
    assert len(found) == 1
    assert words in found[0]


def test_without_a_baseline_nothing_is_relative_to_it(tmp_path):
    """A relative limit needs a stage `baseline`."""
    text = PLAN.replace("  baseline: {suites: [unit], scenarios: [send], thresholds: [BASELINE]}\n", "")
    found = problems(tmp_path, text, STRESS="send.p95 < 2 * baseline")
    assert len(found) == 1
    assert "there is no baseline stage to compare with" in found[0]


def test_what_stands_behind_an_or_keeps_its_default():
    """No part of a stage passes unjudged because another part held."""
    uses = [UseScenario(use="a"), UseScenario(use="b")]
    assert default_thresholds(uses, ["a.p95 < 1s and b.p95 < 1s"]) == []
    assert default_thresholds(uses, ["a.p95 < 1s or b.p95 < 1s"]) == ["a.error_rate < 1%", "b.error_rate < 1%"]
    assert default_thresholds(uses, ["a.p95 < 1s or (a.rate > 1 and b.rate > 1)"]) == ["b.error_rate < 1%"]
