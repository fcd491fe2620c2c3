"""The load engine's pure parts."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.load.codec import decode_delta, encode_delta
from shakedown.load.context import Context
from shakedown.load.http.requests import prepare
from shakedown.load.recorder import Recorder
from shakedown.load.schedule import Arrivals, Ramp
from shakedown.load.spec import LoadSpec, Target
from shakedown.plan.executors import ConstantArrivalRate
from shakedown.plan.scenarios import Data, Http, Request, Scenario
from shakedown.records.load import LoadCounts, LoadDelta, Outcome, merge_parts


def spec(*requests: Request, **changes) -> LoadSpec:
    executor = ConstantArrivalRate(type="constant-arrival-rate", rate=10, duration=1)
    values = {
        "label": "l", "scenario": "s", "stage": "x", "duration": 1.0, "seed": 7, "ledger_dir": "/none", "origin": 0.0,
        "work": Scenario(executor=executor, http=Http(target="a.http", requests=list(requests))),
        "target": Target(host="h", port=80),
    }  # fmt: skip
    return LoadSpec(**{**values, **changes})


def arrivals(schedule: Arrivals):
    while (due := schedule.due()) is not None:
        yield due
        schedule.advance()


@given(st.floats(0.1, 5000), st.floats(0.01, 20), st.integers(1, 5), st.none() | st.integers(0, 99))
def test_shards_are_the_whole_schedule(rate, duration, shards, seed):
    """Due times of all shards together are those of one, even or Poisson: number, order, no drift."""

    def dues(shard, count):
        return list(islice(arrivals(Arrivals(100.0, Ramp(rate, [(rate, duration)]), seed, shard, count)), 3000))

    whole = dues(0, 1)
    parts = [dues(shard, shards) for shard in range(shards)]
    if len(whole) < 3000:
        assert sorted(due for part in parts for due in part) == whole
        assert seed is not None or whole == pytest.approx([100.0 + number / rate for number in range(len(whole))])


def test_rate_times_duration_arrivals():
    """1000/s for 10 s are exactly 10 000 arrivals, the last before the end."""
    dues = list(arrivals(Arrivals(0.0, Ramp(1000, [(1000, 10)]))))
    assert len(dues) == 10_000
    assert dues[-1] == pytest.approx(9.999)


def test_same_seed_same_data():
    """The same seed renders the same requests; another seed renders others."""
    request = Request(name="r", post="/{{ randint(1, 9) }}", json={"id": "{{ uuid() }}", "n": 1})

    def render(seed):
        job = spec(request, seed=seed)
        context = Context(job, 0, [])
        prepared = prepare(job, Recorder("l"))[0]
        return [prepared.render(context.names(number, 0))[0] for number in range(5)]

    assert render(1) == render(1)
    assert render(1) != render(2)


def test_a_request_is_whole_http():
    """Method, path, host, length and body are there, once."""
    request = Request(name="r", post="/a b", json={"text": 'say "hi" ü'}, headers={"X-A": "1"})
    data, _ = prepare(spec(request), Recorder("l"))[0].render({})
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a%20b HTTP/1.1"
    assert f"Content-Length: {len(body)}" in lines
    assert "Host: h:80" in lines
    assert "X-A: 1" in lines
    assert body.decode() == '{"text": "say \\"hi\\" ü"}'


def test_ledger_key_is_the_rendered_id():
    """The key that goes into the ledger is the one that was sent."""
    request = Request(name="r", post="/", json={"id": "{{ uuid() }}"}, ledger="l")
    job = spec(request)
    data, key = prepare(job, Recorder("l"))[0].render(Context(job, 0, []).names(0, 0))
    assert key
    assert key.encode() in data


def test_rows_in_order_and_at_random():
    """Rows come in order, again from the first; at random all of them come."""
    rows = [{"n": 1}, {"n": 2}, {"n": 3}]
    work = spec(Request(name="r", get="/")).work

    def ordered(order):
        return Context(
            spec(Request(name="r", get="/"), work=work.model_copy(update={"data": Data(file="x", order=order)})),
            0,
            rows,
        )

    context = ordered("sequential")
    assert [context.names(number, 0)["row"]["n"] for number in range(4)] == [1, 2, 3, 1]
    drawn = ordered("random")
    assert {drawn.names(number, 0)["row"]["n"] for number in range(50)} == {1, 2, 3}


def test_response_time_counts_from_the_intended_start():
    """A request that was due at 1.0, sent at 3.0 and answered at 3.5 took 2.5 s, of which service 0.5 s."""
    recorder = Recorder("l")
    recorder.cell("r", Outcome.OK).add(1.0, 3.0, 3.5, 10)
    recorder.lag(1.0, 3.0)
    delta = recorder.take(4.0)
    ((key, bucket),) = delta.buckets.items()
    assert key.second == 1
    assert (bucket.response.max, bucket.service.max, bucket.bytes_received) == (2.5, 0.5, 10)
    assert delta.start_lag[1].max == 2.0
    assert delta.pulses[35].ok == 1
    assert recorder.take(5.0).buckets == {}


def test_failures_keep_their_latency():
    """Each outcome has a distribution of its own, none is thrown away."""
    recorder = Recorder("l")
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT):
        recorder.cell("r", outcome).add(0.0, 0.0, 1.0, 0)
    delta = recorder.take(2.0)
    assert {key.outcome: bucket.response.count for key, bucket in delta.buckets.items()} == {
        Outcome.OK: 1, Outcome.FAILED: 1, Outcome.TIMED_OUT: 1,
    }  # fmt: skip
    assert (delta.pulses[10].ok, delta.pulses[10].bad) == (1, 2)


EVENTS = st.lists(
    st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 10), st.floats(0, 3), st.floats(0, 3)), max_size=60
)


@given(EVENTS, st.integers(1, 4))
def test_deltas_add_up_to_the_whole(events, parts):
    """However requests are split over workers and deltas, and encoded on the way, the sum is the same."""

    def record(chosen):
        recorder = Recorder("l")
        for outcome, due, lag, took in chosen:
            recorder.cell("r", outcome).add(due, due + lag, due + lag + took, 3)
            recorder.error("reset", "r", due, "example")
        return recorder.take(0.0)

    import json

    whole = record(events)
    merged = LoadDelta("l", 0.0, LoadCounts(), {}, {}, {}, [])
    for part in range(parts):
        merge_parts(merged, decode_delta(json.dumps(encode_delta(record(events[part::parts])))))
    assert merged.buckets == whole.buckets
    assert {slot: (pulse.ok, pulse.bad) for slot, pulse in merged.pulses.items()} == {
        slot: (pulse.ok, pulse.bad) for slot, pulse in whole.pulses.items()
    }
    assert merged.counts == whole.counts
    assert sum(error.count for error in merged.errors) == len(events)


def test_conservation_is_checked():
    """Counts that do not add up are named."""
    assert LoadCounts(scheduled=3, started=2, dropped=1, ok=1, failed=1).problems() == []
    assert LoadCounts(scheduled=3, started=2, ok=2).problems() == ["scheduled 3 ≠ started 2 + dropped 0"]
    assert LoadCounts(scheduled=2, started=2, ok=1).problems() == ["started 2 ≠ ended 1"]


def test_constant_requests_cost_nothing_to_render():
    """A request without templates is made once."""
    prepared = prepare(spec(Request(name="r", get="/x")), Recorder("l"))[0]
    assert prepared.constant == prepared.render({})[0]
    assert prepare(spec(Request(name="r", get="/{{ vu }}")), Recorder("l"))[0].constant is None
