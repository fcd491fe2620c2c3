"""Shards: their parts made one again, their clocks, what they must not be asked."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shakedown.analysis.evidence import Evidence
from shakedown.analysis.thresholds import judge_all
from shakedown.errors import LoadError
from shakedown.load.clocks import ClockBounds, map_origin
from shakedown.load.parcels import pack, unpack
from shakedown.load.recorder import Recorder
from shakedown.load.shards import ShardOutcome, files_of
from shakedown.load.spec import LoadSpec, Target
from shakedown.load.spread import ShardedLoad, merge_outcomes
from shakedown.plan import load_plan
from shakedown.plan.executors import ConstantArrivalRate
from shakedown.plan.model import Shards
from shakedown.plan.scenarios import Data, Http, Request, Scenario
from shakedown.plan.sharding import shard_problems, unreachable
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.load import LoadResult, Outcome
from shakedown.verdict import Verdict

RATE, SECONDS = 10, 4
EVENTS = st.lists(
    st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 10), st.floats(0, 3), st.floats(0, 3)),
    min_size=1,
    max_size=50,
)


def spec(workers: int = 1, **work) -> LoadSpec:
    executor = ConstantArrivalRate(type="constant-arrival-rate", rate=RATE, duration=SECONDS)
    request = Request(name="r", get="/")
    fields = {"executor": executor, "http": Http(target="a.http", requests=[request]), **work}
    return LoadSpec(
        label="l", scenario="s", stage="x", duration=SECONDS, seed=7, workers=workers, ledger_dir="/none", origin=0.0,
        work=Scenario(**fields), target=Target(host="127.0.0.1", port=80),
    )  # fmt: skip


def outcome(index: int, events, **changes) -> ShardOutcome:
    """What a shard would answer that saw these events."""
    recorder = Recorder("l")
    for kind, due, lag, took in events:
        recorder.cell("r", kind).add(due, due + lag, due + lag + took, 3)
        recorder.lag(due, due + lag)
        if kind is not Outcome.OK:
            recorder.error("reset", "r", due, "example")
        counts = recorder.counts
        counts.scheduled += 1
        counts.started += 1
        counts.on_time += 1
        setattr(counts, kind.value, getattr(counts, kind.value) + 1)
    return ShardOutcome(index, "host", 1, recorder.take(0.0), start=0.0, end=SECONDS, workers=1, **changes)


def whole(outcomes: list[ShardOutcome], count: int, **changes) -> LoadResult:
    given = {"lost": {}, "clocks": {}, **changes}
    return merge_outcomes(spec(count), {item.index: item for item in outcomes}, count=count, start=0.0, **given)


@given(EVENTS, st.lists(st.integers(0, 4), min_size=50, max_size=50), st.integers(1, 5), st.randoms())
def test_however_a_load_is_split_it_is_the_same_load(events, deal, count, order):
    """Requests dealt to shards in any way, packed, and merged in any order are the single run, bucket for bucket."""
    events.sort(key=lambda event: event[1])  # time goes on in a shard as well
    single = whole([outcome(0, events)], 1)
    shards = [
        outcome(number, [event for event, to in zip(events, deal, strict=False) if to % count == number])
        for number in range(count)
    ]
    order.shuffle(shards)
    merged = whole([unpack(pack(shard)) for shard in shards], count)
    assert merged.buckets == single.buckets
    assert merged.counts == single.counts
    assert merged.pulses == single.pulses
    assert merged.start_lag == single.start_lag
    assert [(error.kind, error.count, error.first_at, error.last_at) for error in merged.errors] == [
        (error.kind, error.count, error.first_at, error.last_at) for error in single.errors
    ]
    assert (merged.start, merged.end, merged.rate_held) == (single.start, single.end, single.rate_held)


def evenly(index: int, count: int, **changes) -> ShardOutcome:
    return outcome(index, [(Outcome.OK, n / RATE, 0.0, 0.01) for n in range(index, RATE * SECONDS, count)], **changes)


def judge(result: LoadResult) -> tuple[Verdict, str]:
    (judged,) = judge_all([parse_threshold("l.error_rate < 50%")], Evidence(loads={"l": result}, suites={}, samples=[]))
    return judged.verdict, judged.reason


def test_a_whole_load_can_pass():
    """Both shards there, nothing in doubt: the rate was held, and thresholds are judged."""
    result = whole([evenly(0, 2), evenly(1, 2)], 2)
    assert (result.counts.ok, result.target_rate, result.rate_held, result.generator.starved) == (40, RATE, True, None)
    assert judge(result)[0] is Verdict.PASSED


@pytest.mark.parametrize(
    ("second", "changes", "words"),
    [(None, {"lost": {1: "KilledWorker"}}, "shard 2 of 2 was lost: KilledWorker"),
     (None, {}, "shard 2 of 2 was lost: it never answered"),
     (ShardOutcome(1, "h", 2, refused="it came 2.00 s too late"), {}, "shard 2 of 2 sent nothing: it came 2.00 s too late"),
     (ShardOutcome(1, "h", 2), {}, "sent nothing: it said no reason"),
     ("starved", {}, "shard 2 of 2: no CPU"), ("moved", {}, "its clock was set by +3.00 s"),
     ("there", {"clocks": {1: ClockBounds(0.4, 0.6)}}, "shard 2 of 2: its clock is wrong by 0.40 s at least")],
)  # fmt: skip
def test_no_doubt_about_a_shard_is_left_out(second, changes, words):
    """A shard that is lost, late, starved or on another time makes the whole inconclusive, and says why."""
    made = {
        "starved": evenly(1, 2, starved="no CPU"), "moved": evenly(1, 2, moved=3.0), "there": evenly(1, 2),
    }.get(second, second) if isinstance(second, str) else second  # fmt: skip
    result = whole([evenly(0, 2), *([made] if made else [])], 2, **changes)
    verdict, reason = judge(result)
    assert verdict is Verdict.INCONCLUSIVE
    assert words in reason
    if made is None or made.delta is None:
        assert result.counts.ok == 20
        assert (result.generator.lost_workers, result.rate_held) == (1, False)


def test_a_stopped_load_ends_with_the_first_shard_that_was_stopped():
    """What no shard was asked for any more is not counted as missing."""
    first = outcome(0, [(Outcome.OK, n / 10, 0.0, 0.0) for n in range(0, 20, 2)], stopped=True)
    second = outcome(1, [(Outcome.OK, n / 10, 0.0, 0.0) for n in range(1, 20, 2)], stopped=True)
    first.end, second.end = 2.0, 2.1
    result = whole([first, second], 2, interrupted=True)
    assert (result.end, result.rate_held, result.interrupted) == (2.0, True, True)


def test_parcels_say_what_they_are_not():
    """Bytes that are no outcome are refused; an outcome without a load survives the way."""
    refused = ShardOutcome(3, "h", 2, refused="late", ledgers={"w": {"a.ledger": ">\tk\t1.0\n"}})
    assert unpack(pack(refused)) == refused
    for rubbish in (b"", b"x", pack(refused)[:-4]):
        with pytest.raises(ValueError, match="not the outcome of a shard"):
            unpack(rubbish)


@given(st.floats(-1e5, 1e5), st.lists(st.floats(0, 50), min_size=4, max_size=4), st.floats(0, 1e9))
def test_two_messages_bound_a_clock(offset, delays, now):
    """However long messages take, the true offset lies within the bounds, so that no right clock is called wrong."""
    there, waited, back, _ = delays
    said, heard_of = now + offset, now + there
    told = heard_of + waited
    heard = told + back + offset
    bounds = ClockBounds.between(said=said, heard_of=heard_of, told=told, heard=heard)
    assert bounds.low - 1e-6 <= offset <= bounds.high + 1e-6
    assert bounds.proven <= abs(offset) + 1e-6


def test_an_instant_is_mapped_by_the_closest_reading():
    """The wall clock's reading between the two closest monotonic ones counts."""
    ticks = iter([0.0, 4.0, 10.0, 10.5, 20.0, 21.0, 30.0, 32.0, 40.0, 41.0])
    walls = iter([1002.0, 1010.25, 1020.5, 1031.0, 1040.5])
    origin = map_origin(1000.0, lambda: next(ticks), lambda: next(walls))
    assert (origin.monotonic, origin.width) == (0.0, 0.5)


def test_files_travel_by_the_names_that_the_plan_uses(tmp_path):
    """Data and bodies are taken along; what merely looks like a path in a user's JSON is not."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("a\n1\n")
    request = Request(name="r", post="/", json={"file": "data/rows.csv.secret"})
    job = spec(data=Data(file="data/rows.csv"), http=Http(target="a.http", requests=[request]))
    assert files_of(job.model_copy(update={"base": str(tmp_path)})) == {"data/rows.csv": b"a\n1\n"}
    with pytest.raises(LoadError, match=r"rows\.csv cannot be read"):
        files_of(job)


@pytest.mark.parametrize(
    ("shards", "host", "external", "words"),
    [({"runner": "dask", "address": "tcp://10.0.0.5:8786"}, None, False, "cannot reach a service that the run starts"),
     ({"runner": "dask", "address": "10.0.0.5:8786"}, "127.0.0.1", True, "is another machine for each shard"),
     ({"runner": "ray", "address": "auto"}, None, False, "cannot reach a service"),
     ({"runner": "process", "address": "10.0.0.5:1"}, None, True, "takes no address"),
     ({"runner": "dask", "address": "tcp://10.0.0.5:8786"}, "shop.example", True, None),
     ({"runner": "dask", "address": "tcp://127.0.0.1:8786"}, None, False, None),
     ({"runner": "dask"}, None, False, None), ({"runner": "thread"}, None, False, None)],
)  # fmt: skip
def test_what_shards_can_reach(shards, host, external, words):
    """Services at 127.0.0.1 are for shards of this machine alone."""
    problem = unreachable(Shards(count=2, **shards), host, external=external)
    assert (problem is None) if words is None else (words in problem)


def test_a_plan_says_where_its_shards_are_wrong(tmp_path):
    """Another machine's cluster for a process of the run; shards under the faults stage: each with its place."""
    path = tmp_path / "plan.yaml"
    get = {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
           "http": {"target": "web.http", "requests": [{"name": "r", "get": "/"}]}}  # fmt: skip
    services = {"web": {"process": ["x"], "ports": {"http": 0}}}
    stages = {"baseline": {"scenarios": ["get"]}}
    path.write_text(
        yaml.safe_dump({"version": 1, "name": "t", "services": services, "scenarios": {"get": get}, "stages": stages})
    )
    plan = load_plan(path, environ={}).plan
    (use,) = plan.stages.baseline.scenarios
    assert list(shard_problems(plan, use, ("stages", "baseline", "scenarios", 0))) == []
    far = use.model_copy(update={"shards": Shards(count=2, runner="dask", address="10.1.1.1:8786")})
    found = list(shard_problems(plan, far, ("stages", "faults", "load")))
    assert [place for place, _ in found] == [
        ("stages", "faults", "load", "shards"), ("stages", "faults", "load", "shards", "address"),
    ]  # fmt: skip


def test_a_load_that_nobody_can_send_out_is_refused():
    """A stage without a launcher, or a service that the shards cannot reach: an error before anything starts."""
    load = ShardedLoad(spec(), Shards(count=3), None, lambda _: None)
    assert load.spec.workers == 3
    with pytest.raises(LoadError, match="cannot spread"):
        load.start()
    far = Shards(count=3, runner="dask", address="10.1.1.1:8786")
    with pytest.raises(LoadError, match="cannot reach"):
        ShardedLoad(spec(), far, lambda *_: pytest.fail("launched"), lambda _: None).start()
    assert math.isclose(load.spec.duration, SECONDS)
