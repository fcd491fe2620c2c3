"""Good answers with the marker of a degraded one: counted beside the good ones, and on their way to the database."""

import json

import pytest

from shakedown.errors import PlanError
from shakedown.load.codec import decode_delta, encode_delta
from shakedown.load.recorder import PAIRS, Recorder
from shakedown.plan import load_plan
from shakedown.records.load import LoadCounts, LoadDelta, Outcome, merge_parts
from shakedown.results import Results, Store
from tests.unit.behaviour.made import run_row

PLAN = """\
version: 1
name: shop
services: {{api: {{image: "demo:1", ports: {{http: 80}}}}}}
scenarios:
  shop:
    executor: {{type: constant-arrival-rate, rate: 1, duration: 1s}}
    http: {{target: api.http, requests: [{{name: read, get: /, degraded: {marker}}}]}}
stages: {{stress: {{parallel: [{{use: shop}}]}}}}
"""


def recorded(number: int) -> LoadDelta:
    """A delta of so many good answers, every second of them degraded, ten a second."""
    recorder = Recorder("shop", origin=100.0)
    cell = recorder.cell("read", Outcome.OK)
    for index in range(number):
        due = 100.0 + index / 10
        cell.add(due, due, due + 0.05, 10)
        if index % 2:
            recorder.degraded("read", due, due + 0.05)
    return recorder.take(number / 10)


def test_degraded_answers_are_good_answers_too():
    """They are counted by request and second beside the good ones, and change neither those nor the number of requests."""
    delta = recorded(40)
    assert {place: times.count for place, times in delta.degraded.items()} == {("read", at): 5 for at in range(4)}
    assert sum(bucket.response.count for bucket in delta.buckets.values()) == delta.counts.requests == 40
    assert {key.outcome for key in delta.buckets} == {Outcome.OK}
    assert delta.degraded["read", 0].max == pytest.approx(0.05)


def test_none_is_lost_when_batches_are_folded():
    """Whatever their number, every one is in the delta once, and not in the next one."""
    recorder = Recorder("shop")
    for index in range(PAIRS + 3):
        recorder.degraded("read", 1.0 + index % 3, 2.0 + index % 3)
    assert sum(times.count for times in recorder.take(9.0).degraded.values()) == PAIRS + 3
    assert recorder.take(10.0).degraded == {}


def test_deltas_with_degraded_answers_travel_and_add_up():
    """What a worker sends is what its parent gets, and two deltas add up to their sum."""
    delta = recorded(40)
    again = decode_delta(json.dumps(encode_delta(delta)))
    assert again.degraded == delta.degraded
    total = LoadDelta("shop", 0.0, LoadCounts(), {}, {}, {}, [])
    merge_parts(total, delta)
    merge_parts(total, again)
    assert {place: times.count for place, times in total.degraded.items()} == {("read", at): 10 for at in range(4)}


def test_degraded_answers_survive_the_database(tmp_path):
    """A load read back has them, by request and second; its distributions are those of all good answers."""
    store = Store.open(tmp_path)
    store.begin_run(run_row("r"))
    store.add_delta("r", "faults", 0, recorded(20))
    store.add_delta("r", "faults", 0, recorded(40))
    (load,) = Results(store.engine).loads("r")
    assert {place[1]: times.count for place, times in load.degraded.items()} == {0: 10, 1: 10, 2: 5, 3: 5}
    assert sum(bucket.response.count for bucket in load.buckets.values()) == 60


@pytest.mark.parametrize("marker", ["'json.degraded == true'", "header.warning exists", "'$.parts[*].stale exists'"])
def test_a_marker_is_a_check(tmp_path, marker):
    """Whatever can be checked of an answer can mark it."""
    (tmp_path / "plan.yaml").write_text(PLAN.format(marker=marker))
    assert load_plan(tmp_path / "plan.yaml", environ={}).plan.scenarios["shop"].http.requests[0].degraded


@pytest.mark.parametrize("marker", ["'degraded'", '"json.a == {{ row.a }}"', "''"])
def test_a_marker_that_is_no_check_is_an_error_of_the_plan(tmp_path, marker):
    """The error names the key, and what is allowed."""
    (tmp_path / "plan.yaml").write_text(PLAN.format(marker=marker))
    with pytest.raises(PlanError, match=r"degraded") as caught:
        load_plan(tmp_path / "plan.yaml", environ={})
    assert "check" in str(caught.value) or "template" in str(caught.value)
