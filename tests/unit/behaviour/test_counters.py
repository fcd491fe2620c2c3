"""Counters that were sampled now and then."""

import pytest

from shakedown.analysis.behaviour.counters import Counter, add_up
from tests.unit.behaviour.made import counter


@pytest.mark.parametrize("every", [0.2, 1.0, 2.5])
def test_a_steady_counter_tells_its_rate_whatever_the_sampling(every):
    """Calls between two instants are those of the rate, however often the counter was read."""
    found = counter(lambda _: 40, every=every).between(10.0, 20.0)
    assert found.calls == pytest.approx(400, abs=1)
    assert found.rate == pytest.approx(40, rel=0.01)


def test_what_was_not_sampled_is_not_zero():
    """A window without samples is unknown, and so is one of which only a little was sampled."""
    dead = counter(lambda _: 40, without=lambda at: 10 < at < 20)
    assert dead.between(11.0, 19.0) is None
    assert dead.between(2.0, 9.0).calls == pytest.approx(280)
    assert counter(lambda _: 40, without=lambda at: at > 12).between(10.0, 20.0) is None
    assert Counter(()).between(0, 1) is None
    assert Counter(((3.0, 7.0),)).between(0, 10) is None


def test_a_gap_that_the_counter_outlived_is_known_as_a_whole():
    """What was counted in a gap is known for a window that holds all of it, and no rate within it is made up."""
    paused = counter(lambda _: 40, without=lambda at: 10 < at < 14)
    assert paused.between(5.0, 25.0).calls == pytest.approx(800, abs=1)
    assert all(rate.end - rate.start < 2 for rate in paused.rates(5.0, 25.0))


def test_a_counter_that_begins_anew_lost_nothing_since():
    """A fall is a restart: what it shows then was counted since; in a gap it is not known at all."""
    again = Counter.of([(0, 100), (1, 140), (2, 10), (3, 50)])
    assert again.between(0, 3).calls == 40 + 10 + 40
    long = Counter.of([(0, 0), (1, 40), (2, 80), (9, 10), (10, 50), (11, 90)])
    assert long.between(2, 9) is None
    assert long.between(9, 11).calls == 80


def test_several_counters_are_one():
    """The calls of two callers are added up; where one is not known, the sum is not."""
    both = add_up([counter(lambda _: 40), counter(lambda _: 10, offset=0.7)])
    assert both.between(10, 20).calls == pytest.approx(500, abs=1)
    assert add_up([counter(lambda _: 40), Counter(())]).between(10, 20) is None
    assert add_up([]).points == ()
    half = add_up([counter(lambda _: 40), counter(lambda _: 10, without=lambda at: at > 9)])
    assert half.between(10, 20) is None


def test_rates_show_a_burst_and_when_it_came():
    """The highest rate between two samples is that of the second in which the burst fell."""
    rates = counter(lambda at: 400 if at == 21 else 40, offset=0.0).rates(20, 30)
    peak = max(rates, key=lambda rate: rate.per_second)
    assert (peak.per_second, peak.start) == (400, 21.0)
