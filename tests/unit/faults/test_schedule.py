"""Which faults begin when: decided by the experiment and the seed alone."""

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.faults.schedule import Planned, schedule_of, seed_of
from shakedown.plan.experiments import Experiment

KILL = {"type": "service-kill", "target": "a"}
PAUSE = {"type": "service-pause", "target": "b"}
SLOW = {"type": "network-latency", "target": "b", "latency": "100ms"}


def experiment(**parts: Any) -> Experiment:
    return Experiment.model_validate({"name": "e", "recover_within": "9s", **parts})


def nemesis(duration: float = 600.0, weights: tuple[float, float] = (1.0, 1.0), **ranges: Any) -> Experiment:
    faults = [{"fault": KILL, "weight": weights[0]}, {"fault": PAUSE, "weight": weights[1]}]
    return experiment(nemesis={"faults": faults, "duration": duration, **ranges})


def what(planned: list[Planned]) -> list[tuple[float, str, float]]:
    return [(one.at, one.fault.type, one.hold) for one in planned]


def test_the_plain_ways():
    """One fault; several at once; a sequence with its pauses; repeats; a staircase to its end."""
    assert what(schedule_of(experiment(fault=KILL, hold=4), 1)) == [(0, "service-kill", 4)]
    at_once = schedule_of(experiment(faults=[KILL, PAUSE], hold=4), 1)
    assert what(at_once) == [(0, "service-kill", 4), (0, "service-pause", 4)]
    steps = [{"fault": KILL, "hold": 2, "pause": 1}, {"fault": PAUSE, "hold": 3}, {"fault": KILL, "hold": 1}]
    assert what(schedule_of(experiment(sequence=steps), 1)) == [
        (0, "service-kill", 2), (3, "service-pause", 3), (6, "service-kill", 1),
    ]  # fmt: skip
    repeated = experiment(faults=[KILL, PAUSE], hold=2, repeat={"times": 3, "pause": 0.5})
    assert [(one.at, one.fault.type) for one in schedule_of(repeated, 1)] == [
        (0, "service-kill"), (0, "service-pause"), (2.5, "service-kill"), (2.5, "service-pause"),
        (5, "service-kill"), (5, "service-pause"),
    ]  # fmt: skip
    stairs = experiment(
        fault=SLOW, hold=2, staircase={"parameter": "latency", "values": [1, 2, 4]}, expect={"during": ["x.p95 < 1s"]}
    )
    climbed = schedule_of(stairs, 1)
    assert [(one.at, one.fault.latency) for one in climbed] == [(0, 1), (2, 2), (4, 4)]


@given(st.integers(0, 2**31))
def test_same_seed_same_schedule(seed):
    """A nemesis is repeatable to the last digit, in whatever process."""
    assert what(schedule_of(nemesis(), seed)) == what(schedule_of(nemesis(), seed))


def test_the_schedule_of_a_seed_is_known():
    """The schedule of a seed is the same in every later version: a run of last year can be had again."""
    rng = random.Random("7:e")
    quiet, hold = rng.uniform(1, 5), rng.uniform(1, 5)
    chosen = rng.choices([KILL, PAUSE], [1.0, 1.0])[0]
    assert quiet  # the first fault begins at once, and yet draws its quiet time
    assert what(schedule_of(nemesis(), 7))[0] == (0.0, chosen["type"], hold)


def test_the_seed_matters():
    """Fifty seeds are fifty schedules."""
    assert len({str(what(schedule_of(nemesis(), seed))) for seed in range(50)}) == 50


def test_the_name_matters():
    """Two experiments of one run with the same nemesis do not replay each other."""
    other = nemesis().model_copy(update={"name": "f"})
    assert what(schedule_of(nemesis(), 1)) != what(schedule_of(other, 1))


def test_repetitions_follow_from_the_seed_and_differ():
    """Every injection of a run has a seed of its own: the same each time, no two alike, another with another seed."""
    seeds = [seed_of(3, "e", number) for number in range(100)]
    assert seeds == [seed_of(3, "e", number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert not set(seeds) & {seed_of(4, "e", number) for number in range(100)}
    assert not set(seeds) & {seed_of(3, "f", number) for number in range(100)}


@given(
    seed=st.integers(0, 2**31), duration=st.floats(1, 300), hold=st.floats(0.01, 60), spread=st.floats(0, 60),
    quiet=st.floats(0, 10), more=st.floats(0, 10),
)  # fmt: skip
def test_a_nemesis_keeps_its_bounds(seed, duration, hold, spread, quiet, more):
    """One at a time, each within its range, quiet between them within its range, all over by `duration`."""
    try:
        one = nemesis(duration, hold=[hold, hold + spread], quiet=[quiet, quiet + more])
    except ValueError:  # too short for one
        return
    planned = schedule_of(one, seed)
    for fault in planned:
        assert min(hold, duration) <= fault.hold <= hold + spread + 1e-9
        assert fault.at + fault.hold <= duration
    for first, second in itertools.pairwise(planned):
        assert quiet - 1e-9 <= second.at - first.at - first.hold <= quiet + more + 1e-6
    assert planned, "there was time for a fault, and there is none"
    assert planned[0].at == 0


@pytest.mark.parametrize(("weights", "share"), [((1, 1), 0.5), ((9, 1), 0.9), ((1, 3), 0.25)])
def test_weights_matter(weights, share):
    """Over thousands of faults each comes as often as its weight says."""
    planned = schedule_of(nemesis(20_000, weights, hold=[0.5, 1.5], quiet=[0.5, 1.5]), 5)
    counts = Counter(one.fault.type for one in planned)
    assert len(planned) > 5000
    assert counts["service-kill"] / len(planned) == pytest.approx(share, abs=0.03)
