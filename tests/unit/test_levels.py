"""Steps and the search for a capacity, on simulated systems."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.plan.model import Capacity, Steps, UseScenario
from shakedown.records.judgement import ThresholdResult
from shakedown.session.levels import Level, bisect, judge_levels
from shakedown.verdict import Verdict


def level(height: float, verdict: Verdict, starved: str = "") -> Level:
    result = ThresholdResult("a.p95 < 1s", verdict, 0.5, 1.0, "s", 100)
    return Level(height, None, (result,), starved)


@dataclass
class System:
    """Holds up to a rate, and is measured by a generator that holds up to another."""

    capacity: float
    generator: float = float("inf")
    asked: list[Level] = field(default_factory=list)

    def measure(self, height: float) -> Level:
        starved = "no CPU left" if height > self.generator else ""
        holds = Verdict.INCONCLUSIVE if starved else Verdict.PASSED if height <= self.capacity else Verdict.FAILED
        self.asked.append(level(height, holds, starved))
        return self.asked[-1]


@dataclass
class Listener:
    """What judging says."""

    found: list = field(default_factory=list)

    def find(self, _stage, finding):
        self.found.append(finding)


def search(lowest=10, highest=1000, precision=0.05, **changes) -> Capacity:
    return Capacity(lowest=lowest, highest=highest, duration=1, precision=precision, **changes)


@given(st.floats(1, 2000), st.floats(0.02, 0.5))
def test_the_search_ends_within_its_precision(capacity, precision):
    """The highest rate that held and the lowest that did not enclose the capacity, as closely as was asked."""
    asked, system = search(precision=precision), System(capacity)
    bisect(asked, system.measure)
    held = [one.height for one in system.asked if one.verdict is Verdict.PASSED]
    broke = [one.height for one in system.asked if one.verdict is Verdict.FAILED]
    assert len(system.asked) <= asked.probes
    assert all(height <= capacity for height in held)
    assert all(height > capacity for height in broke)
    if 10 <= capacity < 1000:
        # rates are rounded to three digits
        assert min(broke) / max(held) - 1 <= precision + 0.011


def test_the_generators_end_is_not_the_systems():
    """Where the generator is the limit, the search ends and a required capacity is inconclusive, never failed or passed."""
    system = System(5000, generator=300)
    bisect(search(required=800), system.measure)
    use = UseScenario(use="a", capacity=search(required=800))
    verdict, title = judge_levels(Listener(), use, "stress", sorted(system.asked, key=lambda one: one.height))
    assert verdict is Verdict.INCONCLUSIVE
    assert "no CPU left" in title


@pytest.mark.parametrize(
    ("capacity", "required", "verdict"),
    [(500, None, Verdict.PASSED), (500, 400, Verdict.PASSED), (500, 600, Verdict.FAILED), (5, None, Verdict.FAILED)],
)
def test_a_required_capacity(capacity, required, verdict):
    """A capacity passes when it reaches what is required, and any does when nothing is; below the lowest rate it fails."""
    system, listener = System(capacity), Listener()
    bisect(search(), system.measure)
    use = UseScenario(use="a", capacity=search(required=required))
    levels = sorted(system.asked, key=lambda one: one.height)
    assert judge_levels(listener, use, "stress", levels)[0] is verdict
    assert listener.found


@pytest.mark.parametrize(
    ("required", "verdict"), [(None, Verdict.FAILED), (200, Verdict.PASSED), (400, Verdict.FAILED)]
)
def test_steps_say_where_it_breaks(required, verdict):
    """The first level that does not hold is named; it fails the stage only when that level is required."""
    steps, listener = Steps(rate=[100, 200, 400, 800], duration=1, required=required), Listener()
    use = UseScenario(use="a", steps=steps)
    levels = [level(rate, Verdict.PASSED if rate < 400 else Verdict.FAILED) for rate in steps.levels]
    found, title = judge_levels(listener, use, "stress", levels)
    assert found is verdict
    assert (title.startswith("a breaks at 400/s")) is (verdict is Verdict.FAILED)
    assert listener.found[0].title.startswith("a breaks at 400/s")
    assert len(listener.found[0].evidence) == 4


@pytest.mark.parametrize(
    "levels", [{"rate": [2, 1]}, {"rate": [1, 1]}, {"rate": [0, 1]}, {}, {"rate": [1], "vus": [1]}]
)
def test_steps_ascend(levels):
    """Steps that do not ascend from above zero, or are of no or two kinds, are refused."""
    with pytest.raises(ValueError, match="steps"):
        Steps(**levels, duration=1)
