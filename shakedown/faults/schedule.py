"""Which faults of an experiment begin when. Pure: the same experiment and seed give the same schedule."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from shakedown.plan.experiments import Experiment, Nemesis
from shakedown.plan.faults import FaultModel

__all__ = ["Planned", "schedule_of", "seed_of"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of an experiment.

    Attributes:
        at: seconds after the first injection.
        hold: seconds that it lasts.
    """

    at: float
    fault: FaultModel
    hold: float


def schedule_of(experiment: Experiment, seed: int) -> list[Planned]:
    """Everything that an experiment injects, by its beginning; a staircase as if it climbed to its end.

    Args:
        seed: of a nemesis: another seed is another schedule.
    """
    if experiment.nemesis is not None:
        return list(_random(experiment.nemesis, random.Random(f"{seed}:{experiment.name}")))  # noqa: S311 - no secret
    if experiment.sequence:
        planned, at = [], 0.0
        for step in experiment.sequence:
            planned.append(Planned(at, step.fault, step.hold))
            at += step.hold + step.pause
        return planned
    hold = experiment.hold or 0.0
    if experiment.staircase is not None:
        return [Planned(step * hold, fault, hold) for step, fault in enumerate(experiment.stairs())]
    faults = [experiment.fault] if experiment.fault is not None else experiment.faults
    times, pause = (experiment.repeat.times, experiment.repeat.pause) if experiment.repeat else (1, 0.0)
    return [Planned(step * (hold + pause), fault, hold) for step in range(times) for fault in faults]


def seed_of(seed: int, name: str, number: int) -> int:
    """The seed of one injection: follows from the run's seed, and no two injections of a run replay each other.

    Args:
        name: of the experiment.
        number: which of the experiment's injections it is, from 0.
    """
    return random.Random(f"{seed}:{name}:{number}").getrandbits(48)  # noqa: S311 - a schedule, no secret


def _random(nemesis: Nemesis, rng: random.Random) -> Iterator[Planned]:
    """Quiet, a fault, quiet, a fault …, as long as there is time for a whole one."""
    at = 0.0
    weights = [weighted.weight for weighted in nemesis.faults]
    while True:
        quiet, hold = rng.uniform(*nemesis.quiet), rng.uniform(*nemesis.hold)
        chosen = rng.choices(nemesis.faults, weights)[0].fault
        if at:
            at += quiet
        else:  # the first one begins at once, and there always is one
            hold = min(hold, nemesis.duration)
        if at + hold > nemesis.duration:
            return
        yield Planned(at, chosen, hold)
        at += hold
