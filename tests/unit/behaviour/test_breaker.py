"""Circuit breakers: those that work, those that do not, and what only looks like one."""

import pytest

from shakedown.analysis.behaviour.breaker import breaker_seen, judge_breaker, told_by_counter, told_by_state
from shakedown.verdict import Verdict
from tests.unit.behaviour.made import FAULT, PHASES, counter, demand

NAMES = {0.0: "closed", 1.0: "half-open", 2.0: "open"}


def sound(at):
    """Opens after a second, a probe each five seconds, closes two seconds after the revert."""
    return 50 if at < 11 or at >= 22 else 1 if at in (15, 20) else 0


def judged(rate=None, *, told=None, opens=5.0, closes=10.0, asked=lambda _: 50, **changes):
    found = breaker_seen(
        "llm", PHASES, counter=None if rate is None else counter(rate, **changes), demand=demand(asked), told=told
    )
    return judge_breaker(found, PHASES, opens_within=opens, closes_within=closes, resolution=1.0), found


@pytest.mark.parametrize("every", [0.5, 1.0])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.9])
def test_a_breaker_that_works_is_seen_by_the_calls(every, offset):
    """It opened, let a probe through, and closed; wherever the samples fall."""
    result, found = judged(sound, every=every, offset=offset)
    assert result.verdict is Verdict.PASSED, result.words
    assert 10.5 <= found.opened_at <= 12.5
    assert 21 <= found.closed_at <= 23
    assert 1 <= found.probes <= 3
    assert found.open_share < 0.05


def test_calls_that_go_on_have_no_breaker():
    """Full rate, and half of it, towards a dead dependency: it did not open."""
    for rate in (50, 30):
        result, found = judged(lambda at, rate=rate: rate if at in FAULT else 50)
        assert (result.verdict, result.missing) == (Verdict.FAILED, True)
        assert found.opened_at is None
        assert found.late_share == pytest.approx(rate / 50, rel=0.1)


def test_calls_in_gusts_are_no_open_circuit():
    """Callers that wait in batches make no calls for two seconds and many in the third: nothing opened."""
    result, _ = judged(lambda at: 75 if at in FAULT and at % 3 == 1 else 0 if at in FAULT else 50)
    assert (result.verdict, result.missing) == (Verdict.FAILED, True)


def test_callers_that_hang_are_not_taken_for_a_breaker():
    """Calls that end altogether, without one probe, are inconclusive: whoever waits for ever calls nobody either."""
    result, _ = judged(lambda at: 0 if 11 <= at < 20 else 50)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "probe" in result.words


def test_a_breaker_that_is_late_fails_and_is_not_called_missing():
    """Open after seven seconds where three are allowed."""
    result, _ = judged(lambda at: 50 if at < 16 or at >= 21 else 1, opens=2.0)
    assert (result.verdict, result.missing) == (Verdict.FAILED, False)
    assert "opened after" in result.words


def test_a_breaker_that_never_closes_fails():
    """Calls that do not come back after the revert, though the watching was long enough."""
    result, _ = judged(lambda at: 50 if at < 11 else 1, closes=10.0)
    assert result.verdict is Verdict.FAILED
    assert "did not close" in result.words


def test_a_watching_too_short_to_see_it_close_is_inconclusive():
    """It was watched for 15 s, and may take 30."""
    result, _ = judged(lambda at: 50 if at < 11 else 1, closes=30.0)
    assert result.verdict is Verdict.INCONCLUSIVE


def test_too_few_calls_say_nothing():
    """One call a second cannot tell an open circuit from chance; nor can a counter that nobody could read."""
    for rate, changes in ((lambda _: 1, {}), (lambda _: 50, {"without": lambda at: at > 9.5})):
        result, found = judged(rate, **changes)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert found.unknown


def test_a_fault_too_short_says_nothing():
    """Ten seconds cannot show whether it opens within nine."""
    assert judged(sound, opens=9.0)[0].verdict is Verdict.INCONCLUSIVE


def test_no_demand_is_no_open_circuit():
    """Where clients ask nothing during the fault, calls that end prove nothing."""
    assert judged(sound, asked=lambda at: 0 if at in FAULT else 50)[0].verdict is Verdict.INCONCLUSIVE


def test_metrics_tell_the_states():
    """Transitions are where the state changes; values without a name are passed over; a counter tells openings."""
    told = told_by_state([(1, 0), (2, 0), (3, 2), (4, 7), (5, 1), (6, 2), (7, 0)], NAMES)
    assert told == ((1, "closed"), (3, "open"), (5, "half-open"), (6, "open"), (7, "closed"))
    assert told_by_counter([(1, 0), (2, 0), (3, 1), (4, 1), (5, 3)]) == ((3, "open"), (5, "open"))
    assert told_by_state([], NAMES) == told_by_counter([]) == ()


def test_metrics_alone_are_enough():
    """Without any count of calls, the states say whether it opened and closed in time."""
    told = ((2.0, "closed"), (12.0, "open"), (18.0, "half-open"), (23.0, "closed"))
    result, found = judged(told=told)
    assert (result.verdict, found.opened_at, found.closed_at) == (Verdict.PASSED, 12.0, 23.0)
    assert judged(told=((2.0, "closed"),))[0].missing
    assert judged(told=(*told[:3],))[0].verdict is Verdict.FAILED
    assert judged()[0].verdict is Verdict.INCONCLUSIVE


def test_a_breaker_that_says_open_while_calls_go_on_is_none():
    """Its metrics say open; the calls say otherwise, and are believed."""
    result, _ = judged(lambda _: 50, told=((2.0, "closed"), (12.0, "open"), (23.0, "closed")))
    assert (result.verdict, result.missing) == (Verdict.FAILED, True)
    assert "says that it is open" in result.words
