"""How long a plan means to take, counted from its own durations alone."""

from shakedown.plan.model import Plan, Use, UseScenario

__all__ = ["planned_durations"]


def planned_durations(plan: Plan) -> dict[str, float]:
    """Seconds per stage that the plan itself asks for.

    Suites count nothing (nobody knows their length beforehand), and neither does time to recover: what a run takes
    beyond this sum is suites, recoveries and overhead.
    """

    def load(use: UseScenario) -> float:
        if use.steps is not None:
            return len(use.steps.levels) * (use.steps.duration + use.steps.pause) - use.steps.pause
        if use.capacity is not None:
            return use.capacity.probes * (use.capacity.duration + use.capacity.pause) - use.capacity.pause
        executor = plan.scenarios[use.use].executor
        return executor.start_delay + (use.duration if use.duration is not None else executor.longest)

    def part(use: Use) -> float:
        return load(use) if isinstance(use, UseScenario) else 0.0

    stages = plan.stages
    planned: dict[str, float] = {}
    baseline = sum(load(use) for use in stages.baseline.scenarios) if stages.baseline else 0.0
    if stages.baseline:
        planned["baseline"] = baseline
    if stages.stress:
        planned["stress"] = max(part(use) for use in stages.stress.parallel)
    if stages.endurance:
        cycle = sum(part(use) for use in stages.endurance.run) + stages.endurance.settle
        planned["endurance"] = stages.endurance.repeat * cycle
    if stages.faults:
        holds = sum(experiment.longest + stages.faults.hold_window for experiment in plan.experiments)
        pauses = stages.faults.pause * (len(plan.experiments) - 1)
        planned["faults"] = stages.faults.warm_up + holds + pauses
    if stages.recovery:
        planned["recovery"] = baseline
    return planned
