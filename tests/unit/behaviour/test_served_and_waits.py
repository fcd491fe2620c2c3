"""What was served while a fault held, and how long clients waited."""

import pytest

from shakedown.analysis.behaviour.served import judge_core, served_in
from shakedown.analysis.behaviour.waits import beyond, longest_waits
from shakedown.records.histogram import Histogram
from shakedown.records.load import Outcome
from shakedown.verdict import Verdict
from tests.unit.behaviour.made import FAULT, PHASES, load

WINDOWS = dict(PHASES.items())


def served(what, *, core=("read",), marked=()):
    return served_in(what, WINDOWS, ["read", "buy"], marked=marked, core=core)


def judged(what, *, share=0.99, within=None, windows=None):
    found = served_in(what, windows or WINDOWS, ["read"], marked=(), core=["read"])
    (one,) = judge_core(found, share=share, within=within)
    return one


def test_each_phase_is_counted_by_itself():
    """A third of the purchases fails during the fault, nothing before and after; reads are whole throughout."""
    what = load("read", "buy", failing=lambda name, at: 0.34 if name == "buy" and at in FAULT else 0)
    by = {(one.request, one.phase): one for one in served(what)}
    assert {place: one.failed for place, one in by.items() if one.failed} == {("buy", "during"): 170}
    assert (by["buy", "during"].total, by["buy", "during"].share) == (500, 0.66)
    assert by["read", "before"].full == 350
    assert by["read", "during"].core
    assert not by["buy", "during"].core


def test_degraded_answers_are_a_part_of_the_good_ones():
    """They are taken from the full ones, by the same seconds, and count as served."""
    what = load("read", failing=lambda _, at: 0.2 if at in FAULT else 0)
    for at in range(12, 25):
        what.degraded["read", at] = Histogram()
        what.degraded["read", at].record(0.01, 15)
    during = next(one for one in served(what, marked=["read"]) if (one.request, one.phase) == ("read", "during"))
    assert (during.full, during.degraded, during.failed) == (400 - 8 * 15, 8 * 15, 100)
    assert during.share == 0.8
    assert during.marked


def test_core_functions_that_work_pass():
    """Everything served, in full or degraded: nothing to say."""
    assert judged(load("read")).verdict is Verdict.PASSED
    assert judged(load("read", failing=lambda _, at: 0.004 if at == 10 else 0)).verdict is Verdict.PASSED


def test_core_functions_that_fail_are_told_with_their_share():
    """Half of them served where 99 % must be."""
    one = judged(load("read", failing=lambda _, at: 0.5 if at in FAULT else 0))
    assert one.verdict is Verdict.FAILED
    assert "50 % of 500" in one.words
    assert "99 %" in one.words


def test_core_functions_may_not_be_slow_either():
    """A p95 of two seconds where one is allowed fails, and passes where nothing is said."""
    slow = load("read", latency=lambda at: 2.0 if at in FAULT else 0.02)
    assert judged(slow, within=1.0).verdict is Verdict.FAILED
    assert judged(slow).verdict is Verdict.PASSED
    assert judged(load("read"), within=1.0).verdict is Verdict.PASSED


@pytest.mark.parametrize(("rate", "failing", "verdict"), [
    (0, 0, Verdict.INCONCLUSIVE), (1, 0, Verdict.INCONCLUSIVE), (1, 1, Verdict.FAILED),
])  # fmt: skip
def test_few_requests_cannot_pass(rate, failing, verdict):
    """Nothing asked, or too little: inconclusive; but ten failures out of ten are failures."""
    assert judged(load("read", rate=lambda _: rate, failing=lambda *_: failing)).verdict is verdict


def test_waits_count_from_the_send_and_find_what_was_under_way():
    """The longest first; a request that was sent before the fault and still waited when it came is one of them."""
    what = load("read", latency=lambda at: 6.0 if at == 8 else 4.0 if at in FAULT else 0.05)
    waits = longest_waits(what, 10.0, 25.0)
    assert (waits[0].at, waits[0].seconds) == (8.0, 6.0)
    assert all(wait.seconds == 4.0 for wait in waits[1:11])
    assert not any(wait.at < 8 for wait in waits)
    assert len(beyond(waits, 5.0)) == 1
    assert beyond(waits, 6.0) == []


def test_whoever_gave_up_waited_at_least_so_long():
    """A time-out at the client's own limit of 3 s breaks a limit of 3 s; a good answer after 3 s keeps it."""
    gave_up = load("read", latency=lambda _: 3.0, failing=lambda *_: 1.0, outcome=Outcome.TIMED_OUT)
    assert beyond(longest_waits(gave_up, 10, 20), 3.0)
    assert not beyond(longest_waits(load("read", latency=lambda _: 3.0), 10, 20), 3.0)
