"""Trouble that keeps itself up, apart from trouble that merely stays."""

from shakedown.analysis.behaviour.calls import calls_seen
from shakedown.analysis.behaviour.metastable import metastable
from tests.unit.behaviour.made import FAULT, PHASES, counter, demand


def said(rate, *, asked=lambda _: 50, good=lambda at: 50 if at < 10 else 0, recovered=False, relieved=None):
    what = demand(asked, good)
    return metastable(
        (calls_seen("llm", "x", counter(rate), what, PHASES),), what, PHASES, recovered=recovered, relieved=relieved
    )


def test_calls_that_stay_multiplied_after_the_fault_keep_it_up():
    """Same load, fault gone, four times the calls, nobody served: named, with the numbers."""
    words = said(lambda at: 50 if at < 10 else 200)
    assert "4 times its usual calls" in words
    assert "50 requests/s" in words


def test_a_connection_that_is_never_made_anew_is_another_thing():
    """Nobody is served and nobody calls either: not metastable."""
    assert said(lambda at: 50 if at < 10 else 0) == ""
    assert said(lambda _: 50) == ""


def test_a_system_that_came_back_is_none():
    """However many calls there were meanwhile."""
    assert said(lambda at: 500 if at in FAULT else 50, recovered=True) == ""


def test_less_load_that_ends_it_proves_it():
    """Without any count of calls: it ended when the load was reduced, and not before."""
    assert "only when the load was reduced" in said(lambda _: 0, relieved=True)
    assert said(lambda _: 0, relieved=False) == ""


def test_more_load_than_before_explains_trouble_by_itself():
    """With twice the requests after the fault nothing is said of the system's own doing."""
    assert said(lambda at: 50 if at < 10 else 400, asked=lambda at: 50 if at < 20 else 100) == ""
