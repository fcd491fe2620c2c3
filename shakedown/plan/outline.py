"""How long a plan means to take, counted from its own durations alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from shakedown.plan.executors import PerVuIterations, Replay, SharedIterations
from shakedown.plan.model import Plan, Use, UseScenario, UseSuite
from shakedown.units import format_duration

__all__ = ["BY_COUNT", "PlannedStage", "planned_durations", "planned_stages"]

BY_COUNT = (PerVuIterations, SharedIterations, Replay)  # end when their work is done; their `duration` is a limit


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """What a stage asks for.

    Attributes:
        seconds: durations, holds and pauses that the plan gives.
        loads: how many loads end when their work is done, of which nobody knows when that is; they are not in `seconds`.
        suites: how many suites, of which the same is true.
        at_most: seconds with the limits of these loads and suites; `seconds` when there are none. Recoveries are in neither.
        early: whether `seconds` may not be needed: repetitions that end by `until`, a search that ends early.
    """

    seconds: float
    loads: int = 0
    suites: int = 0
    at_most: float = 0.0
    early: bool = False

    def __str__(self) -> str:
        """`12 s`; `5 s, and 2 loads and 1 suite until they are done (20 m 05 s at most)`; without the 5 s where there are none."""
        words = format_duration(self.seconds) + (" at most" if self.early and self.seconds else "")
        counts = ((self.loads, "load"), (self.suites, "suite"))
        parts = " and ".join(f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count)
        if not parts:
            return words
        done = "it is done" if self.loads + self.suites == 1 else "they are done"
        known = f"{words}, and " if self.seconds else ""
        return f"{known}{parts} until {done} ({format_duration(self.at_most)} at most)"


def planned_durations(plan: Plan) -> dict[str, float]:
    """Seconds per stage that the plan itself asks for.

    Suites count nothing, nor do loads that end when their work is done (nobody knows their length beforehand), and neither
    does time to recover: what a run takes beyond this sum is these and overhead.
    """
    return {name: stage.seconds for name, stage in planned_stages(plan).items()}


def planned_stages(plan: Plan) -> dict[str, PlannedStage]:
    """What each stage of a plan asks for, those that the plan does not have left out."""
    stages = plan.stages
    planned: dict[str, PlannedStage] = {}
    if stages.baseline:
        planned["baseline"] = _one_after_another(plan, [*stages.baseline.suites, *stages.baseline.scenarios])
    if stages.stress:
        parts = [_part(plan, use) for use in stages.stress.parallel]
        planned["stress"] = _sum(parts, max(part.seconds for part in parts), max(part.at_most for part in parts))
    if stages.endurance:
        times, settle = stages.endurance.repeat, stages.endurance.settle
        cycle = _one_after_another(plan, stages.endurance.run)
        planned["endurance"] = PlannedStage(
            times * (cycle.seconds + settle), cycle.loads, cycle.suites, times * (cycle.at_most + settle),
            cycle.early or stages.endurance.until is not None,
        )  # fmt: skip
    if stages.faults:
        holds = sum(experiment.longest + stages.faults.hold_window for experiment in plan.experiments)
        pauses = stages.faults.pause * (len(plan.experiments) - 1)
        seconds = stages.faults.warm_up + holds + pauses
        early = any(one.staircase is not None or one.abort_if for one in plan.experiments)
        planned["faults"] = PlannedStage(seconds, at_most=seconds, early=early)
    if stages.recovery:
        planned["recovery"] = _one_after_another(plan, stages.baseline.scenarios if stages.baseline else [])
    return planned


def _one_after_another(plan: Plan, uses: Iterable[Use]) -> PlannedStage:
    parts = [_part(plan, use) for use in uses]
    return _sum(parts, sum(part.seconds for part in parts), sum(part.at_most for part in parts))


def _sum(parts: Iterable[PlannedStage], seconds: float, at_most: float) -> PlannedStage:
    every = list(parts)
    loads, suites = sum(part.loads for part in every), sum(part.suites for part in every)
    return PlannedStage(seconds, loads, suites, at_most, any(part.early for part in every))


def _part(plan: Plan, use: Use) -> PlannedStage:
    if isinstance(use, UseSuite):
        return PlannedStage(0.0, suites=1, at_most=plan.suites[use.suite].timeout)
    seconds, early = _load(plan, use)
    executor = plan.scenarios[use.use].executor
    if isinstance(executor, BY_COUNT):
        return PlannedStage(0.0, loads=1, at_most=seconds + executor.graceful_stop, early=early)
    return PlannedStage(seconds, at_most=seconds, early=early)


def _load(plan: Plan, use: UseScenario) -> tuple[float, bool]:
    """Seconds of a load, at most; and whether it is a search, which may end before."""
    if use.steps is not None:
        return len(use.steps.levels) * (use.steps.duration + use.steps.pause) - use.steps.pause, False
    if use.capacity is not None:
        return use.capacity.probes * (use.capacity.duration + use.capacity.pause) - use.capacity.pause, True
    executor = plan.scenarios[use.use].executor
    return executor.start_delay + (use.duration if use.duration is not None else executor.longest), False
