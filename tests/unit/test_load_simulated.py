"""The contracts of load, in simulated time: the real engine and executors, with no machine to disturb them."""

import random
from itertools import pairwise

import pytest
from scipy import stats

from shakedown.load import LoadHandle
from shakedown.load.engine import Engine
from shakedown.load.schedule import Arrivals, Ramp
from shakedown.plan.executors import (
    Burst,
    ConstantArrivalRate,
    ConstantVus,
    PerVuIterations,
    RampingArrivalRate,
    RampingVus,
    Replay,
    SharedIterations,
)
from shakedown.records.load import GeneratorHealth, LoadCounts, LoadDelta, Outcome, merge_parts
from tests.unit.simulation import BEGIN, Seen, simulate, spec, steady


def rate(number, duration, **changes) -> ConstantArrivalRate:
    return ConstantArrivalRate(type="constant-arrival-rate", rate=number, duration=duration, **changes)


def stalled(begin: float, length: float, seconds: float):
    """A service that answers nothing for a while."""
    end = BEGIN + begin + length

    def service(_iteration, now):
        return (end - now if BEGIN + begin <= now < end else 0.0) + seconds, Outcome.OK

    return service


# --------------------------------------------------------------------------------------- 1: times count from the intended
@pytest.mark.parametrize("connections", [1, 10, 2000])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("stall", [0.4, 1.5, 3.0])
def test_a_stall_is_as_long_as_it_was(monkeypatch, connections, q, stall):
    """A stall of S in a run of T gives p_q = max(0, S − (1−q)·T) ± 5 %, whatever the number of connections."""
    service = 20e-6
    load = spec(rate(1000, 10, max_vus=connections))
    seen = simulate(monkeypatch, load, stalled(3.0, stall, service))
    response, _ = seen.of(Outcome.OK)
    expected = max(0.0, stall - (1 - q) * 10)
    assert response.quantile(q) == pytest.approx(expected, rel=0.05, abs=2 * service + 0.001)
    assert seen.counts.ok == 10_000


def test_service_time_and_start_lag_add_up_to_response_time(monkeypatch):
    """One user, answers slower than arrivals: each response time is its start lag plus its service time."""
    seen = simulate(monkeypatch, spec(rate(100, 1, max_vus=1, graceful_stop=60)), steady(0.05))
    response, service = seen.of(Outcome.OK)
    lag_sum = sum(lag.sum for lag in seen.total.start_lag.values())
    assert response.sum == pytest.approx(service.sum + lag_sum)
    assert service.max == pytest.approx(0.05)
    assert response.max == pytest.approx(99 * (0.05 - 0.01) + 0.05)


@pytest.mark.parametrize(("low", "high"), [(-0.0005, -0.0003), (-0.0003, 0.0007), (0.0, 0.002)])
def test_timers_that_err_add_nothing_but_start_lag(monkeypatch, low, high):
    """Alarms that ring early or late: nothing starts before it is due, no time is negative, service times are exact."""
    draw = random.Random(1)
    seen = simulate(monkeypatch, spec(rate(500, 2)), steady(0.003), error=lambda: draw.uniform(low, high))
    assert seen.counts.ok == 1000
    assert all(due <= started for due, started, _ in seen.starts)
    assert max(started - due for due, started, _ in seen.starts) <= max(high, 0) + 2e-5
    response, service = seen.of(Outcome.OK)
    assert service.min == pytest.approx(0.003)
    assert service.max == pytest.approx(0.003)
    assert 0.003 - 1e-9 <= response.min <= response.max <= 0.003 + max(high, 0) + 2e-5


def test_ten_thousand_a_second_by_a_timer_of_a_millisecond(monkeypatch):
    """A timer that rings each millisecond at best, no queue: all 20 000 of 10 000/s start, in time, and none is dropped."""
    draw = random.Random(1)
    seen = simulate(
        monkeypatch,
        spec(rate(10_000, 2, overload="drop", max_vus=100)),
        steady(0.0005),
        error=lambda: draw.uniform(0.001, 0.002),
    )
    assert (seen.counts.scheduled, seen.counts.dropped, seen.counts.ok) == (20_000, 0, 20_000)
    assert seen.counts.on_time >= 0.999 * 20_000


def test_lateness_does_not_add_up(monkeypatch):
    """An alarm that is always 1.5 ms late does not stretch the schedule: the last arrival is no later than the first."""
    seen = simulate(monkeypatch, spec(rate(300, 10)), steady(0.001), error=lambda: 0.0015)
    lags = [started - due for due, started, _ in seen.starts]
    assert sum(lags[-300:]) <= 1.2 * sum(lags[:300])
    assert [due - BEGIN for due, _, _ in seen.starts] == pytest.approx([number / 300 for number in range(3000)])


# ------------------------------------------------------------------------------------------------------- 2: conservation
EXECUTORS = {
    "constant-arrival-rate": rate(200, 2, max_vus=20),
    "constant-arrival-rate, dropping": rate(400, 2, max_vus=5, overload="drop"),
    "constant-arrival-rate, bounded": rate(400, 2, max_vus=5, overload="bounded", queue_limit=7),
    "poisson": rate(200, 2, max_vus=10, arrivals="poisson"),
    "ramping-arrival-rate": RampingArrivalRate(
        type="ramping-arrival-rate", stages=[{"target": 300, "duration": 1}, {"target": 0, "duration": 1}]
    ),
    "burst": Burst(type="burst", count=300, max_vus=50),
    "constant-vus": ConstantVus(type="constant-vus", vus=7, duration=2, think_time=0.01),
    "ramping-vus": RampingVus(
        type="ramping-vus",
        stages=[{"target": 20, "duration": 1}, {"target": 0, "duration": 1}],
        graceful_ramp_down=0.05,
    ),
    "shared-iterations": SharedIterations(type="shared-iterations", vus=5, iterations=200, duration=2),
    "per-vu-iterations": PerVuIterations(type="per-vu-iterations", vus=5, iterations=40, duration=2),
}


@pytest.mark.parametrize("name", EXECUTORS)
def test_the_books_balance_at_any_stop(monkeypatch, name):
    """Stopped at random instants, with answers, failures, time-outs and cut-offs: both equations hold exactly."""
    draw = random.Random(name)
    for _ in range(12):
        outcomes = random.Random(draw.random())

        def service(_iteration, _now, outcomes=outcomes):
            return outcomes.expovariate(20), outcomes.choice([Outcome.OK, Outcome.OK, Outcome.FAILED])

        executor = EXECUTORS[name].model_copy(update={"graceful_stop": draw.choice([0.0, 0.05, 5.0])})
        seen = simulate(monkeypatch, spec(executor), service, stop_at=draw.uniform(-0.2, 2.1), timeout=0.2)
        assert seen.counts.problems() == []
        assert seen.counts.started == len(seen.starts)
        for outcome in Outcome:
            assert getattr(seen.counts, outcome.value) == sum(end[3] is outcome for end in seen.ends)
        assert seen.counts.requests == sum(bucket.response.count for bucket in seen.total.buckets.values())
        assert seen.in_flight == 0


# ------------------------------------------------------------------------------------------------------ 3: rate honesty
@pytest.mark.parametrize(("started", "held"), [(10_000, True), (9_899, True), (9_898, False), (0, False)])
def test_below_99_per_cent_the_rate_was_not_held(started, held):
    """Of 10 000 asked for, 9 900 must have started in time (one may fall on the end itself)."""
    load = LoadHandle(spec(rate(1000, 10)), lambda _: None)
    merge_parts(load._total, LoadDelta("l", 0.0, LoadCounts(scheduled=10_000, on_time=started), {}, {}, {}, []))
    result = load.result()
    assert result.rate_held is held
    assert result.target_rate == pytest.approx(1000)


@pytest.mark.parametrize(
    ("allowed", "started", "held"), [(0.5, 5_000, True), (0.5, 4_800, False), (0.0, 5_000, False), (0.9, 1_000, True)]
)
def test_what_may_be_dropped_does_not_count_as_missing(allowed, started, held):
    """What the plan allows to be dropped is not missing from the rate; what is dropped beyond it is."""
    load = LoadHandle(spec(rate(1000, 10, overload="drop", may_drop=allowed)), lambda _: None)
    counts = LoadCounts(scheduled=10_000, on_time=started, dropped=10_000 - started)
    merge_parts(load._total, LoadDelta("l", 0.0, counts, {}, {}, {}, []))
    assert load.result().rate_held is held


def test_a_queue_may_drop_nothing():
    """`may_drop` with a policy that drops nothing is a mistake of the plan."""
    with pytest.raises(ValueError, match="a queue drops nothing"):
        rate(1000, 10, may_drop=0.5)


def test_what_never_started_is_missing_whatever_may_be_dropped():
    """Only what was counted as dropped is allowed for: what a late generator did not begin in time is not held."""
    load = LoadHandle(spec(rate(1000, 10, overload="drop", may_drop=0.9)), lambda _: None)
    merge_parts(load._total, LoadDelta("l", 0.0, LoadCounts(scheduled=10_000, on_time=5_000), {}, {}, {}, []))
    assert not load.result().rate_held


def test_a_queue_that_is_worked_off_too_late_is_no_rate_held(monkeypatch):
    """Arrivals that wait until after the schedule's end start, but not in time."""
    seen = simulate(monkeypatch, spec(rate(100, 1, max_vus=1, graceful_stop=60)), steady(0.02))
    assert (seen.counts.scheduled, seen.counts.started, seen.counts.ok) == (100, 100, 100)
    assert seen.counts.on_time <= 51


# ---------------------------------------------------------------------------------- 4: the generator watches itself
@pytest.mark.parametrize("stop_at", [None, 0.0])
def test_users_begin_in_several_turns_of_the_loop(monkeypatch, stop_at):
    """A thousand users at once are no single turn of the loop, which would make the generator late; all of them begin, or are told of."""
    seen, begun = Seen(), []
    turn = Engine.sleep_until

    async def sleep_until(self, instant):
        begun.append(self.recorder.counts.started)
        await turn(self, instant)

    monkeypatch.setattr(Engine, "sleep_until", sleep_until)
    users = PerVuIterations(type="per-vu-iterations", vus=1000, iterations=1)
    simulate(monkeypatch, spec(users), steady(0.5), seen=seen, stop_at=stop_at)
    assert max(after - before for before, after in pairwise(begun)) <= 25
    assert seen.counts.started + seen.engine.unreleased == 1000
    assert seen.counts.started == 1000 or stop_at is not None


def test_a_frozen_loop_is_the_generators_own_lateness(monkeypatch):
    """A loop that freezes for half a second, once in 10 s, shows in the engine's own lateness, also in a closed model."""

    def freeze(iteration, _now):
        if iteration == 300:
            seen.loop.now += 0.5  # somebody else had the CPU
        return 0.01, Outcome.OK

    executor = ConstantVus(type="constant-vus", vus=1, duration=10)
    seen = Seen()
    simulate(monkeypatch, spec(executor), freeze, seen=seen)
    late = seen.engine.lateness.quantile(0.99)
    assert late > 0.3
    load = LoadHandle(spec(executor), lambda _: None)
    assert load._starved(GeneratorHealth(lag_p99=late), seen.total) is not None
    quiet = simulate(monkeypatch, spec(executor), steady(0.01))
    assert quiet.engine.lateness.quantile(0.99) < 0.001


# ------------------------------------------------------------------------------------- 5: failures keep their latency
def test_outcomes_have_distributions_of_their_own(monkeypatch):
    """Slow failures and quick answers mix in no distribution; a time-out counts with its limit or more."""

    def service(iteration, _now):
        return [(0.005, Outcome.OK), (0.25, Outcome.FAILED), (9.0, Outcome.OK)][iteration % 3]

    seen = simulate(monkeypatch, spec(rate(90, 1)), service, timeout=0.5)
    assert (seen.counts.ok, seen.counts.failed, seen.counts.timed_out) == (30, 30, 30)
    (good, _), (bad, _), (late, _) = (seen.of(outcome) for outcome in (Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT))
    assert (good.count, bad.count, late.count) == (30, 30, 30)
    assert good.max < 0.01
    assert bad.min == pytest.approx(0.25)
    assert late.min >= 0.5


# ----------------------------------------------------------------------------------------------- 6: quantiles and merging
def test_quantiles_are_those_of_the_whole_truth(monkeypatch):
    """From engine to merged deltas: quantiles within 1 % of the sorted times that the service itself saw."""
    draw = random.Random(3)
    seen = simulate(
        monkeypatch, spec(rate(1000, 10, max_vus=2000)), lambda *_: (draw.lognormvariate(-5, 1), Outcome.OK)
    )
    truth = sorted(ended - due for due, _, ended, _ in seen.ends)
    response, _ = seen.of(Outcome.OK)
    for q in (0.5, 0.9, 0.99, 0.999):
        assert response.quantile(q) == pytest.approx(truth[int(q * len(truth)) - 1], rel=0.01)
    assert response.max == pytest.approx(truth[-1], rel=1e-9)


@pytest.mark.parametrize("shards", [2, 3])
@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_shards_measure_what_one_worker_does(monkeypatch, shards, arrivals):
    """The same load by k workers, merged: every histogram equals that of a single process, bucket for bucket."""

    def service(iteration, _now):
        return 0.001 + 0.0001 * (iteration % 97), Outcome.FAILED if iteration % 11 == 0 else Outcome.OK

    executor = rate(300, 3, arrivals=arrivals)
    whole = simulate(monkeypatch, spec(executor), service)
    merged = LoadDelta("l", 0.0, LoadCounts(), {}, {}, {}, [])
    for shard in range(shards):
        merge_parts(merged, simulate(monkeypatch, spec(executor, workers=shards), service, shard=shard).total)
    assert merged.counts == whole.counts
    assert merged.buckets.keys() == whole.total.buckets.keys()
    for key, bucket in merged.buckets.items():
        one = whole.total.buckets[key]
        assert bucket.response._buckets == one.response._buckets
        assert bucket.service._buckets == one.service._buckets


# ---------------------------------------------------------------------------------------------------- 7: repeatability
@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_the_same_seed_is_the_same_schedule(monkeypatch, arrivals):
    """Twice the same seed: the same iterations at the same instants. Another seed: other instants, where drawn at all."""

    def starts(seed):
        return simulate(monkeypatch, spec(rate(200, 1, arrivals=arrivals), seed=seed), steady(0.001)).starts

    assert starts(5) == starts(5)
    assert (starts(5) == starts(6)) is (arrivals == "even")


def test_poisson_arrivals_are_poisson():
    """Gaps are exponential (Kolmogorov-Smirnov), also those of a ramp after the change of time; even ones are not."""

    def gaps(profile, seed):
        schedule, dues = Arrivals(0.0, profile, seed), []
        while (due := schedule.due()) is not None:
            dues.append(profile.expected(due))
            schedule.advance()
        return [later - sooner for sooner, later in pairwise(dues)]

    for profile in (Ramp(500, [(500, 10)]), Ramp(0, [(1000, 5), (200, 5)])):
        for seed in range(5):
            drawn = gaps(profile, seed)
            assert stats.kstest(drawn, "expon").pvalue > 0.001
            assert len(drawn) == pytest.approx(profile.total, abs=5 * profile.total**0.5)
    assert stats.kstest(gaps(Ramp(500, [(500, 10)]), None), "expon").pvalue < 1e-6


# ------------------------------------------------------------------------------------------------------ the executors
def test_ramping_users_follow_their_line(monkeypatch):
    """Users in flight are those of the line, at every moment of the way up, along and down."""
    stages = [{"target": 40, "duration": 4}, {"target": 40, "duration": 2}, {"target": 10, "duration": 3}]
    executor = RampingVus(type="ramping-vus", start_vus=2, stages=stages)
    seen = simulate(monkeypatch, spec(executor), steady(0.02))

    def line(at):
        if at < 4:
            return 2 + 38 * at / 4
        return 40 if at < 6 else 40 - 30 * (at - 6) / 3

    looked = [(at, users) for at, users in seen.samples if 0.1 < at < 8.99]
    assert len(looked) > 800
    # The line is looked at 20 times a second, when it moves by half a user; on the way down an answer is waited for.
    assert max(abs(users - line(at)) for at, users in looked) <= 1.8


def test_a_user_that_is_taken_away_may_finish(monkeypatch):
    """Its iteration goes on for the graceful ramp-down, and is cut off (counted so) after it."""
    stages = [{"target": 0, "duration": 0}, {"target": 0, "duration": 2}]
    for service, outcome in ((0.3, "ok"), (5.0, "cancelled")):
        executor = RampingVus(type="ramping-vus", start_vus=4, stages=stages, graceful_ramp_down=1.0)
        seen = simulate(monkeypatch, spec(executor), steady(service))
        assert seen.counts.started == getattr(seen.counts, outcome)
        assert all(ended - started <= 1.1 for _, started, ended, _ in seen.ends)


@pytest.mark.parametrize("shards", [1, 3])
def test_iterations_are_counted_out_exactly(monkeypatch, shards):
    """Shared iterations are as many as asked for, those of each user too; and the load ends with the last."""
    for executor, total in (
        (SharedIterations(type="shared-iterations", vus=7, iterations=100), 100),
        (PerVuIterations(type="per-vu-iterations", vus=7, iterations=13), 91),
    ):
        done = [
            simulate(monkeypatch, spec(executor, workers=shards), steady(0.01), shard=shard) for shard in range(shards)
        ]
        assert sum(seen.counts.ok for seen in done) == total
        assert sum(seen.engine.unreleased for seen in done) == 0
        assert len({iteration for seen in done for _, _, iteration in seen.starts}) == total
        assert max(seen.engine.end_at for seen in done) < BEGIN + 1


def test_iterations_that_found_no_time_are_said(monkeypatch):
    """Out of time: what was not begun is counted as such, and not as done."""
    executor = SharedIterations(type="shared-iterations", vus=2, iterations=100, duration=1, graceful_stop=1)
    seen = simulate(monkeypatch, spec(executor), steady(0.1))
    assert seen.counts.ok + seen.engine.unreleased == 100
    assert seen.counts.ok == pytest.approx(20, abs=2)


def test_a_burst_is_at_once(monkeypatch):
    """1000 at once: all are due, and start, in the first moment."""
    seen = simulate(monkeypatch, spec(Burst(type="burst", count=1000, max_vus=1000)), steady(0.2))
    assert seen.counts.ok == 1000
    assert {due for due, _, _ in seen.starts} == {BEGIN}
    assert all(started - due < 0.001 for due, started, _ in seen.starts)


@pytest.mark.parametrize("name", ["trace.csv", "trace.jsonl"])
def test_a_replay_is_the_recording(monkeypatch, tmp_path, name):
    """Arrivals come at the recorded offsets, divided by the speed, and end with the duration."""
    offsets = [10.0, 10.1, 10.1, 11.0, 13.0, 30.0]
    lines = [str(at) if name.endswith("csv") else f'{{"at": {at}}}' for at in offsets]
    (tmp_path / name).write_text("\n".join(lines))
    executor = Replay(type="replay", file=name, speed=2, duration=5)
    seen = simulate(monkeypatch, spec(executor, base=tmp_path), steady(0.01))
    assert [due - BEGIN for due, _, _ in seen.starts] == pytest.approx([0.0, 0.05, 0.05, 0.5, 1.5])


def test_a_ramping_rate_is_its_area(monkeypatch):
    """From 0 to 400/s in 2 s, then 400/s for 1 s: 800 arrivals, a quarter of the first 400 in the ramp's first half."""
    stages = [{"target": 400, "duration": 2}, {"target": 400, "duration": 1}]
    seen = simulate(monkeypatch, spec(RampingArrivalRate(type="ramping-arrival-rate", stages=stages)), steady(0.001))
    dues = [due - BEGIN for due, _, _ in seen.starts]
    assert len(dues) == 800
    assert sum(due < 1 for due in dues) == pytest.approx(100, abs=1)
    assert sum(due < 2 for due in dues) == pytest.approx(400, abs=1)


def test_warm_up_is_kept_apart_by_the_intended_start(monkeypatch):
    """What was due within the warm-up is in cells of its own, however late it was answered."""
    seen = simulate(monkeypatch, spec(rate(100, 2, warm_up=1, max_vus=1, graceful_stop=60)), steady(0.02))
    kept = dict.fromkeys((True, False), 0)
    for key, bucket in seen.total.buckets.items():
        kept[key.warm_up] += bucket.response.count
    assert kept == {True: 100, False: 100}
