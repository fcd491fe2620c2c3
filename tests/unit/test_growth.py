"""Growth over repetitions: leaks are found, and what only looks like one is not accused."""

import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from shakedown.analysis.growth import ENOUGH, GrowthVerdict, judge_difference, judge_growth
from shakedown.analysis.trend import MOST_POINTS, find_trend
from shakedown.errors import ExitCode
from shakedown.plan.model import Leak
from shakedown.records.observation import Sample
from shakedown.results import Results, Store
from shakedown.results.tables import RunRow
from shakedown.results.workload import workload_digest
from shakedown.session.endurance import _earlier
from shakedown.verdict import Verdict
from tests.unit.series import CLEAN, LEAKING, wandering

CYCLES = 60
RUNS = 20
PLAN = '{"version": 1, "name": "p", "stages": {"endurance": {"repeat": 60, "run": [{"use": "s"}]}}}'
NEVER_CERTAIN = "leak, wandering noise 1 %"  # no rule can: its slope's standard error is a third of the leak


def grows(generator, runs: int = RUNS, cycles: int = CYCLES) -> int:
    rng = np.random.default_rng(7)
    return sum(judge_growth(generator(rng, cycles)).verdict is GrowthVerdict.GROWS for _ in range(runs))


@pytest.mark.parametrize("name", CLEAN)
def test_what_is_no_leak_is_not_accused(name):
    """Noise, warm-up, a step, a saw-tooth, counts: at most one alarm in twenty runs of the worst of them."""
    assert grows(CLEAN[name]) <= 1


def test_false_alarms_are_rare():
    """Over all kinds of series without a leak, at most 2 in 100 are called one (1 in 100 in `make bench-leaks`)."""
    assert sum(grows(generator) for generator in CLEAN.values()) <= 0.02 * RUNS * len(CLEAN)


@pytest.mark.parametrize("name", [name for name in LEAKING if name != NEVER_CERTAIN])
def test_a_leak_of_a_thousandth_per_cycle_is_found(name):
    """In 60 cycles, at least nine times in ten."""
    assert grows(LEAKING[name]) >= 0.9 * RUNS


def test_a_trend_is_told_apart_from_what_is_beside_it():
    """The warm-up is found and left out: the growth is the leak's alone, within its interval."""
    rng = np.random.default_rng(3)
    cycles = np.arange(80)
    values = 100 + 30 * (1 - np.exp(-cycles / 4)) + 0.2 * cycles + rng.normal(0, 0.3, 80)
    trend = find_trend(values)
    assert abs(trend.growth - 0.2 * 79) < 3 * trend.error + 0.5
    assert trend.growth < 20  # far less than the 45 that a line through all of it would say
    assert trend.shape.startswith("a warm-up")
    found = judge_growth(values)
    assert found.verdict is GrowthVerdict.GROWS
    assert found.low < found.growth < found.high < 0.2


def test_a_heap_that_is_full_is_no_leak():
    """Memory of a real service without a leak, in MB: it rises in jumps for half of the time, and is flat from then on."""
    rising = [27.26, 27.52, 27.56, 27.57, 27.71, 27.71, 27.77, 28.0, 28.0, 28.14, 28.14, 28.17, 28.22, 28.25, 28.27, 28.27,
              28.27, 28.3, 28.41, 28.84, 28.98]  # fmt: skip
    values = [1e6 * value for value in [*rising, *[29.06] * 27]]
    assert judge_growth(values).verdict is GrowthVerdict.STEADY


def test_a_step_is_named():
    """A step alone is steady, and the reason says where it is."""
    rng = np.random.default_rng(4)
    found = judge_growth(100 + 10 * (np.arange(60) >= 30) + rng.normal(0, 0.3, 60))
    assert found.verdict is GrowthVerdict.STEADY
    assert "a step after cycle 30" in found.reason


def test_a_limit_allows_growth_within_it():
    """0.1 % a cycle over 60 cycles is 6 %: within a limit of 15 %, beyond none and beyond 3 %."""
    rng = np.random.default_rng(5)
    values = 100 + 0.1 * np.arange(60) + rng.normal(0, 0.2, 60)
    assert judge_growth(values).verdict is GrowthVerdict.GROWS
    assert judge_growth(values, max_growth=0.15).verdict is GrowthVerdict.STEADY
    assert judge_growth(values, max_growth=0.03).verdict is GrowthVerdict.GROWS


def test_long_series_are_judged_by_averages():
    """A thousand cycles: a leak of 0.005 % a cycle is found in noise of 1 %, and noise alone is not accused."""
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 1, 1000)
    assert len(noise) > MOST_POINTS
    assert judge_growth(100 + 0.005 * np.arange(1000) + noise).verdict is GrowthVerdict.GROWS
    assert judge_growth(100 + noise).verdict is GrowthVerdict.STEADY


# ------------------------------------------------------------------------------------------------------- few cycles
def test_few_cycles_show_gross_growth_only():
    """With 24 cycles a gross leak grows; noise, a warm-up that saturates and a single step do not."""
    rng = random.Random(1)
    noise = [rng.gauss(0, 0.3) for _ in range(24)]
    series = {
        "leak": [100 + 4 * n + e for n, e in enumerate(noise)],
        "noise": [100 + e for e in noise],
        "warm-up": [100 + 30 * (1 - 0.5**n) + e for n, e in enumerate(noise)],
        "step": [100 + (30 if n > 15 else 0) + e for n, e in enumerate(noise)],
    }
    found = {name: judge_growth(values, max_growth=0.15) for name, values in series.items()}
    assert found["leak"].verdict is GrowthVerdict.GROWS
    assert found["noise"].verdict is GrowthVerdict.STEADY
    assert found["warm-up"].verdict is not GrowthVerdict.GROWS
    assert found["step"].verdict is not GrowthVerdict.GROWS


def test_what_few_cycles_cannot_settle_names_how_many_would():
    """Below five cycles nothing is said either way; an interval wider than the limit needs about forty."""
    for values in ([], [1, 2, 3, 4]):
        assert judge_growth(values, max_growth=0.1).verdict is GrowthVerdict.UNSETTLED
    wide = judge_growth([100, 130, 95, 128, 99, 131, 97, 126, 101, 133], max_growth=0.05)
    assert wide.verdict is GrowthVerdict.UNSETTLED
    assert wide.needed == ENOUGH


def test_how_many_cycles_are_needed():
    """Wandering noise that could hide a leak is unsettled, and more cycles are asked for than there were."""
    found = [
        judge_growth(100 + wandering(np.random.default_rng(seed), 44, 0.8, 10), max_growth=0.05) for seed in range(10)
    ]
    unsettled = [one for one in found if one.verdict is GrowthVerdict.UNSETTLED]
    assert unsettled
    assert GrowthVerdict.GROWS not in {one.verdict for one in found}
    assert all(one.needed > 44 for one in unsettled)


def test_a_trend_needs_enough_values():
    """Fewer values than the largest model has parameters are refused."""
    with pytest.raises(ValueError, match="too few"):
        find_trend(np.arange(7.0))


def test_a_latency_has_its_own_unit():
    """Milliseconds that grow by a third are a drift; with the unit of counts they would be nothing."""
    rng = np.random.default_rng(9)
    latencies = 0.030 + 0.0002 * np.arange(60) + rng.normal(0, 0.0005, 60)
    assert judge_growth(latencies, unit=0.001).verdict is GrowthVerdict.GROWS
    assert judge_growth(latencies).verdict is not GrowthVerdict.GROWS


# ---------------------------------------------------------------------------------------------------- beside an earlier run
def test_what_an_earlier_run_did_as_well_is_not_in_the_difference():
    """A warm-up that goes on for ever is in both; a leak beside it in one alone; with few cycles of either nothing is said."""
    rng = np.random.default_rng(12)
    slow = 100 + 8 * np.log1p(np.arange(60))
    earlier = slow + rng.normal(0, 0.3, 60)
    assert judge_difference(slow + rng.normal(0, 0.3, 60), earlier).verdict is GrowthVerdict.STEADY
    worse = judge_difference(slow + 0.2 * np.arange(60) + rng.normal(0, 0.3, 60), earlier)
    assert worse.verdict is GrowthVerdict.GROWS
    assert 0.03 < worse.low < worse.growth < worse.high < 0.12
    assert judge_difference(slow[:39], earlier) is None
    assert judge_difference(slow, earlier[:39]) is None


def test_an_earlier_run_is_one_of_the_same_work_that_did_not_grow(tmp_path):
    """The newest such run is taken; one that grew itself, one of other work, one of another machine and one with few cycles are not."""
    store = Store.open(tmp_path)
    began = datetime(2026, 1, 1, tzinfo=UTC)

    def run(name, values, *, machine="m", plan=PLAN):
        nonlocal began
        began += timedelta(hours=1)
        store.begin_run(
            RunRow(id=name, plan="p", plan_path="", plan_digest="", plan_json=plan, command="", status="running", started=began,
                   host="", pid=0, pid_created=0.0, version="", seed=0, planned=0.0, machine=machine)
        )  # fmt: skip
        for cycle, value in enumerate(values):
            store.add_cycle(name, cycle, [Sample(float(cycle), "api", "memory", value)])
        store.put_figures(name, [], version=1, workload=workload_digest(plan))
        store.end_run(name, status="finished", verdict=Verdict.PASSED, reason="", exit_code=ExitCode.PASSED, at=1.0)

    rng = np.random.default_rng(13)
    level = [100e6] * 45
    noise = [float(value) for value in rng.normal(0, 1e5, 45)]
    sound = [a + b for a, b in zip(level, noise, strict=True)]
    run("sound", sound)
    run("grew", [value + 1e6 * cycle for cycle, value in enumerate(sound)])
    run("elsewhere", sound, machine="other")
    run("other work", sound, plan=PLAN.replace("60", "50"))
    run("short", sound[:30])
    run("now", sound)
    session = SimpleNamespace(results=Results(store.engine), run_id="now", loaded=SimpleNamespace(resolved=PLAN))
    found = _earlier(session, Leak(series="api.memory"))
    assert found is not None
    assert found == ("sound", pytest.approx(sound))
    assert _earlier(session, Leak(series="api.cpu")) is None
