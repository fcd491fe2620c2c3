"""Calls for each request: storms, herds, and what is neither."""

import pytest

from shakedown.analysis.behaviour.calls import calls_seen
from shakedown.analysis.behaviour.counters import Counter
from tests.unit.behaviour.made import FAULT, PHASES, counter, demand


def seen(rate, *, asked=lambda _: 50, good=None, **changes):
    return calls_seen("llm", "llm.calls", counter(rate, **changes), demand(asked, good), PHASES)


def test_a_sound_system_amplifies_nothing():
    """One call for each request before, during and after is once the usual, and no herd."""
    found = seen(lambda _: 50)
    assert found.during_times == pytest.approx(1, rel=0.05)
    assert found.after_times == pytest.approx(1, rel=0.05)
    assert found.herd_times == pytest.approx(1, rel=0.05)
    assert [phase.per_request for phase in found.phases] == pytest.approx([1, 1, 1], rel=0.05)
    assert (found.unknown, found.resolution) == ("", pytest.approx(1))


def test_retries_are_counted_per_request():
    """Twenty attempts for each request are twenty times the usual, during the fault alone."""
    found = seen(lambda at: 1000 if at in FAULT else 50)
    assert 15 < found.during_times <= 20.1
    assert found.after_times == pytest.approx(1, rel=0.5)


def test_more_load_is_no_storm():
    """Three times the requests with three times the calls are once the usual."""
    found = seen(lambda at: 150 if at in FAULT else 50, asked=lambda at: 150 if at in FAULT else 50)
    assert found.during_times == pytest.approx(1, rel=0.15)


def test_a_queue_that_drains_is_no_storm():
    """What was accepted during the fault and passed on afterwards is owed, not amplified."""
    found = seen(lambda at: 0 if at in FAULT else 150 if 20 <= at < 25 else 50)
    assert found.during_times < 0.1
    assert found.after_times == pytest.approx(1, rel=0.1)
    assert found.herd_times == pytest.approx(3, rel=0.1)


def test_calls_after_requests_that_were_refused_are_amplified():
    """With nothing accepted during the fault nothing is owed: three times the calls afterwards are three times the usual."""
    found = seen(lambda at: 0 if at in FAULT else 150 if at >= 20 else 50, good=lambda at: 0 if at in FAULT else 50)
    assert found.after_times == pytest.approx(3, rel=0.05)


def test_a_fallback_may_get_each_request_once():
    """A dependency that gets next to nothing before the fault is held against one call for a request."""
    assert seen(lambda at: 50 if at in FAULT else 0).during_times == pytest.approx(1, rel=0.1)
    assert seen(lambda at: 500 if at in FAULT else 0).during_times == pytest.approx(10, rel=0.1)


def test_a_herd_shows_in_the_first_seconds_after_the_revert():
    """All that waited in one second is a multiple of the usual rate; the same later is none of the revert's."""
    assert seen(lambda at: 0 if at in FAULT else 550 if at == 20 else 50, offset=0.0).herd_times == pytest.approx(6)
    assert seen(lambda at: 550 if at == 30 else 50).herd_times == pytest.approx(1, rel=0.05)


def test_the_calls_at_once_are_those_after_the_revert():
    """The highest value of the gauge in the seconds after the revert, not before."""
    gauge = Counter.of((at + 0.3, 90.0 if at == 21 else 500.0 if at == 5 else 4.0) for at in range(40))
    found = calls_seen("llm", "x", counter(lambda _: 50), demand(), PHASES, gauge)
    assert found.at_once == 90


def test_a_peak_that_was_reached_earlier_is_no_herd():
    """What never falls is a peak: it accuses only when it rose after the revert."""

    def earlier(value):
        gauge = Counter.of((at + 0.3, value(at)) for at in range(40))
        return calls_seen("llm", "x", counter(lambda _: 50), demand(), PHASES, gauge).at_once_earlier

    assert earlier(lambda at: 90.0 if at > 5 else 4.0)
    assert not earlier(lambda at: 90.0 if at > 20 else 4.0)
    assert not earlier(lambda at: 90.0 if at in (5, 21) else 4.0)  # no peak: it falls


def test_what_was_not_sampled_is_unknown():
    """A dependency that cannot be scraped while it is dead tells nothing of the fault, and says so."""
    found = seen(lambda _: 50, without=lambda at: 9.5 < at < 20.5)
    assert found.during_times is None
    assert "during" in found.unknown
    assert found.after_times is not None
    nothing = calls_seen("llm", "x", Counter(()), demand(), PHASES)
    assert (nothing.during_times, nothing.after_times, nothing.herd_times) == (None, None, None)


def test_without_requests_there_is_no_ratio():
    """With no load, calls are counted, and no ratio is made up."""
    found = seen(lambda _: 50, asked=lambda _: 0)
    assert (found.during_times, found.phases[1].per_request) == (None, None)
    assert found.phases[1].calls == pytest.approx(500, rel=0.01)
