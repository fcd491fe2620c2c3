"""The parts that keep trouble small, by themselves: no network, and a clock that the tests move."""

import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True  # the folder is an image's content: nothing may be written into it
sys.path.insert(0, str(Path(__file__).parents[1] / "app"))

from courier import breaker as breakers
from courier import cache as caches


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock of breakers and caches; no defect is on."""
    clock = Clock()
    for module in (breakers, caches):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(breakers.defects, "on", lambda _: False)
    return clock


@pytest.fixture
def opened(clock) -> breakers.Breaker:
    """A breaker that has just opened."""
    breaker = breakers.Breaker("test", open_for=5)
    for _ in range(breakers.OPEN_AFTER):
        assert breaker.allows()
        breaker.note(ok=False)
    return breaker


def test_an_open_circuit_allows_nothing(opened, clock):
    """After several failures in a row no call is made for a while."""
    clock.now += 4
    assert not opened.allows()


def test_a_success_between_failures(clock):
    """Failures that are not in a row do not open it."""
    breaker = breakers.Breaker("test")
    for _ in range(3 * breakers.OPEN_AFTER):
        breaker.note(ok=False)
        breaker.note(ok=True)
    assert breaker.allows()


def test_half_open_lets_one_call_through(opened, clock):
    """After a while one call is allowed; its success closes the circuit."""
    clock.now += 6
    assert [opened.allows() for _ in range(3)] == [True, False, False]
    opened.note(ok=True)
    assert opened.allows()


def test_a_failed_probe_opens_it_again(opened, clock):
    """A failure in half-open opens it for as long again."""
    clock.now += 6
    assert opened.allows()
    opened.note(ok=False)
    clock.now += 4
    assert not opened.allows()


def test_a_probe_that_never_reports(opened, clock):
    """A probe that got lost does not keep the circuit from ever closing."""
    clock.now += 6
    assert opened.allows()
    clock.now += 6
    assert opened.allows()


def test_late_answers_do_not_close_an_open_circuit(opened, clock):
    """What was asked before it opened says nothing about now."""
    opened.note(ok=True)
    assert not opened.allows()


def test_the_budget_bounds_retries():
    """When every call fails, retries are a tenth of the calls, and the spare ones."""
    budget = breakers.Budget()
    taken = 0
    for _ in range(1000):
        budget.called()
        taken += budget.take()
    assert 100 <= taken <= 111


def test_back_off_grows_and_is_not_in_step():
    """Waits double on average, and no two are alike."""
    waits = [[breakers.back_off(attempt) for _ in range(50)] for attempt in range(3)]
    assert max(waits[0]) <= 0.075 < 0.1 <= min(waits[2])
    assert len(set(waits[0])) == 50


def test_the_cache_is_bounded(clock):
    """What was used longest ago goes first."""
    cache = caches.Cache(limit=2, keep=10)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ((1, 0.0), None, (3, 0.0))


def test_nothing_stays_longer_than_its_time(clock):
    """An entry is gone after its time, and its age is told before."""
    cache = caches.Cache(limit=2, keep=10)
    cache.put("a", 1)
    clock.now += 9
    assert cache.get("a") == (1, 9.0)
    clock.now += 2
    assert cache.get("a") is None
