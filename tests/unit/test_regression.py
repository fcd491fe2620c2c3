"""Comparing runs: what is called a regression, how often wrongly, and what is never called anything."""

import math

import numpy as np
import pytest

from shakedown.analysis.changepoints import find_changes
from shakedown.analysis.regression import (
    FEWEST_BEFORE,
    Yardstick,
    compare,
    look_back,
    runs_needed,
    split_history,
    yardstick,
)
from shakedown.records.figures import Change, FigureName, show_value

P95 = FigureName("stress", "send", "p95")
P99 = FigureName("stress", "send", "p99")
RATE = FigureName("stress", "send", "throughput")
ERRORS = FigureName("stress", "send", "error_rate")
RECOVERY = FigureName("faults", "redis lost", "recovery")


def runs(rng: np.random.Generator, count: int, cv: float = 0.03, shift: float = 1.0) -> list[float]:
    """A p95 of each of many runs: 100 ms, and one run in twenty with a noisy neighbour."""
    values = np.exp(rng.normal(math.log(0.1 * shift), cv, count))
    values[rng.random(count) < 0.05] *= 1.3
    return values.tolist()


def share(trials: int, seed: int, what) -> float:
    rng = np.random.default_rng(seed)
    return sum(bool(what(rng)) for _ in range(trials)) / trials


# ---------------------------------------------------------------------------------------------- several runs a side
def judged(a, b, name=P95):
    return compare({name: (a, b)})[name]


@pytest.mark.parametrize(("cv", "count", "power"), [(0.03, 3, 0.6), (0.03, 5, 0.7), (0.08, 10, 0.8)])
def test_false_alarms_are_rare_and_a_fifth_is_found(cv, count, power):
    """By simulation: hardly an equal pair is called regressed, and most pairs that differ by 20 % are."""
    alarms = share(300, 1, lambda rng: judged(runs(rng, count, cv), runs(rng, count, cv)).change is Change.REGRESSED)
    found = share(
        300, 2, lambda rng: judged(runs(rng, count, cv), runs(rng, count, cv, 1.2)).change is Change.REGRESSED
    )
    assert alarms <= 0.02
    assert found >= power


def test_the_requests_of_a_run_are_one_value():
    """Three runs a side that scatter by 20 % say nothing of a fifth, however many requests each had."""
    said = judged([0.1, 0.13, 0.09], [0.12, 0.15, 0.1])
    assert said.change is Change.INCONCLUSIVE
    assert said.needed > 3


def test_an_interval_within_the_least_effect_is_unchanged():
    """Unchanged is said of what was shown to be, and of nothing else."""
    said = judged([0.1, 0.101, 0.0995, 0.1003], [0.101, 0.1, 0.1005, 0.1008])
    assert said.change is Change.UNCHANGED
    assert -0.05 < said.low < said.shift < said.high < 0.05


def test_faster_is_improved():
    """A whole interval below the least effect is an improvement; for throughput more is."""
    a, b = [0.1, 0.101, 0.099], [0.08, 0.081, 0.0795]
    assert judged(a, b).change is Change.IMPROVED
    assert judged(a, b, RATE).change is Change.REGRESSED
    worse = judged(b, a, RATE)
    assert (worse.change, worse.shift > 0) == (Change.IMPROVED, True)


def test_a_p99_has_a_least_effect_of_its_own():
    """8 % more is a regression of a p95 and none of a p99."""
    a, b = [0.1, 0.1002, 0.0999, 0.1001], [0.108, 0.1082, 0.1079, 0.1081]
    assert judged(a, b).change is Change.REGRESSED
    assert judged(a, b, P99).change is Change.UNCHANGED


@pytest.mark.parametrize(("a", "b"), [([0.1], [0.2]), ([0.1, 0.1], [0.2]), ([], [0.2, 0.2]), ([0.1, 0.1], [])])
def test_a_single_run_a_side_gives_no_verdict(a, b):
    """One run has no spread, so nothing is said, not even of twice the value."""
    said = judged(a, b)
    assert (said.change, bool(said.reason)) == (Change.INCONCLUSIVE, True)


def test_error_rates_of_zero_are_compared():
    """Zero has no logarithm: error rates are compared by their difference, half a percentage point is the least."""
    assert judged([0.0] * 3, [0.0] * 3, ERRORS).change is Change.UNCHANGED
    assert judged([0.0] * 3, [0.02, 0.021, 0.019], ERRORS).change is Change.REGRESSED
    assert judged([0.0] * 3, [0.001, 0.0, 0.002], ERRORS).change is Change.UNCHANGED


def test_recoveries_within_half_a_second_are_the_same():
    """A recovery time of tenths of a second doubles without any meaning."""
    assert judged([0.1, 0.2, 0.1], [0.3, 0.2, 0.3], RECOVERY).change is Change.UNCHANGED


def test_several_figures_are_corrected():
    """What one figure alone would prove is not proved by the best of forty."""
    a, b = [0.1, 0.104, 0.098], [0.12, 0.116, 0.123]
    assert judged(a, b).change is Change.REGRESSED
    rng = np.random.default_rng(3)
    others = {FigureName("stress", f"load{n}", "p95"): (runs(rng, 3), runs(rng, 3)) for n in range(40)}
    said = compare({**others, P95: (a, b)})[P95]
    assert said.change is Change.INCONCLUSIVE
    assert said.chance > judged(a, b).chance


def test_many_equal_figures_seldom_raise_one_alarm():
    """Of twenty figures without a change, hardly ever one is called regressed."""

    def alarm(rng):
        sides = {FigureName("stress", f"l{n}", "p95"): (runs(rng, 5), runs(rng, 5)) for n in range(20)}
        return any(one.change is Change.REGRESSED for one in compare(sides).values())

    assert share(60, 4, alarm) <= 0.05


def test_the_needed_runs_are_enough():
    """So many runs as were said to be needed do tell, in most repetitions."""
    needed = runs_needed(0.08, math.log(1.05), math.log(1.2))
    assert 3 <= needed <= 12
    found = share(150, 5, lambda rng: judged(np.exp(rng.normal(0, 0.08, needed)), 1.2 * np.exp(rng.normal(0, 0.08, needed))).change is Change.REGRESSED)  # fmt: skip
    assert found >= 0.7
    assert runs_needed(0.08, 0.05, 0.05) is None


# ------------------------------------------------------------------------------------------------------ one new run
def newest(values, name=P95):
    return look_back({name: values})[name]


BEFORE = [0.1, 0.101, 0.099, 0.1005, 0.0995, 0.1, 0.1015, 0.0985]


def test_too_few_runs_before_give_no_verdict():
    """Below eight runs nothing is said, not even of ten times the value."""
    said = newest([*BEFORE[:-1], 1.0])
    assert said.change is Change.INCONCLUSIVE
    assert str(FEWEST_BEFORE) in said.reason


def test_a_suspicion_needs_two_more_runs():
    """One run beyond the limit is suspect, the third in a row is a regression; one good run between ends it."""
    assert newest([*BEFORE, 0.13]).change is Change.SUSPECT
    assert newest([*BEFORE, 0.13, 0.131]).change is Change.SUSPECT
    assert newest([*BEFORE, 0.13, 0.131, 0.129]).change is Change.REGRESSED
    assert newest([*BEFORE, 0.13, 0.1, 0.129]).change is Change.SUSPECT
    assert newest([*BEFORE, 0.13, 0.131, 0.1]).change is Change.UNCHANGED


def test_the_runs_that_are_judged_are_not_their_own_measure():
    """The last three runs are compared with those before them."""
    before, new = split_history([*BEFORE, 1.0, 2.0, 3.0])
    assert (before, new) == (BEFORE, [1.0, 2.0, 3.0])
    before, new = split_history([float(n) for n in range(50)])
    assert (len(before), before[-1], new) == (20, 46.0, [47.0, 48.0, 49.0])


def test_less_throughput_is_worse():
    """The limit of throughput lies below its median."""
    said = newest([*[100.0, 101, 99, 100, 100.5, 99.5, 100, 101], 80.0], RATE)
    assert (said.change, said.limit < said.usual) == (Change.SUSPECT, True)
    assert newest([*[100.0, 101, 99, 100, 100.5, 99.5, 100, 101], 120.0], RATE).change is Change.UNCHANGED


def test_three_better_runs_are_an_improvement():
    """Better is said as late as worse."""
    assert newest([*BEFORE, 0.08, 0.081]).change is Change.UNCHANGED
    assert newest([*BEFORE, 0.08, 0.081, 0.079]).change is Change.IMPROVED


def test_runs_that_scatter_wildly_tell_nothing():
    """A limit so wide that only a multiple would show is no reason to say unchanged."""
    said = newest([0.1, 0.2, 0.05, 0.3, 0.1, 0.25, 0.07, 0.15, 0.12])
    assert (said.change, "scatter" in said.reason) == (Change.INCONCLUSIVE, True)


def test_confirmed_false_alarms_are_rare_and_a_fifth_is_found():
    """By simulation of twenty runs before: three new equal ones are hardly ever a regression, slower ones nearly always."""
    alarms = share(400, 6, lambda rng: newest(runs(rng, 23)).change is Change.REGRESSED)
    found = share(200, 7, lambda rng: newest([*runs(rng, 20), *runs(rng, 3, shift=1.2)]).change is Change.REGRESSED)
    assert alarms <= 0.01
    assert found >= 0.9


# ----------------------------------------------------------------------------------------------------- change points
def test_a_change_of_level_is_found_where_it_is():
    """A step of a fifth among forty runs is found within two runs, once."""
    rng = np.random.default_rng(8)
    (change,) = find_changes([*runs(rng, 25), *runs(rng, 15, shift=1.2)], yardstick("p95"))
    assert abs(change.at - 25) <= 2
    assert change.shift == pytest.approx(0.2, abs=0.05)


def test_no_change_is_found_in_noise():
    """Of equal runs hardly any series has a change; of fewer than twenty none ever has."""
    assert share(40, 9, lambda rng: find_changes(runs(rng, 40), yardstick("p95"))) <= 0.1
    assert find_changes([0.1] * 9 + [0.9] * 10, yardstick("p95")) == []


def test_a_change_below_the_least_effect_is_none():
    """A step of 2 % may be sure, and matters to nobody."""
    assert find_changes([0.1] * 15 + [0.102] * 15, yardstick("p95")) == []
    assert len(find_changes([0.1] * 15 + [0.102] * 15, Yardstick(0.01))) == 1


def test_changes_are_the_same_each_time():
    """The shuffles have a seed."""
    rng = np.random.default_rng(10)
    values = [*runs(rng, 15, 0.08), *runs(rng, 15, 0.08, 1.15), *runs(rng, 15, 0.08)]
    assert find_changes(values, yardstick("p95")) == find_changes(values, yardstick("p95"))


# ------------------------------------------------------------------------------------------------------------- names
def test_names_of_figures():
    """An experiment's name may have dots; what has not three parts is an error that says what is allowed."""
    assert FigureName.parse("faults.redis 1.2 lost.recovery") == FigureName("faults", "redis 1.2 lost", "recovery")
    assert str(P95) == "stress.send.p95"
    with pytest.raises(ValueError, match=r"stage\.subject\.metric"):
        FigureName.parse("p95")
    assert show_value(0.1, "s") == "100 ms"
