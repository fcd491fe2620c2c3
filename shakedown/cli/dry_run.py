"""`run --dry-run`: what a run would do, to what, when, for how long, and how each fault would be undone."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape

from shakedown.cli.console import out
from shakedown.faults.catalogue import entry_of, given_parameters
from shakedown.faults.schedule import Planned, schedule_of
from shakedown.plan import LoadedPlan, load_plan, planned_stages
from shakedown.plan.experiments import Experiment
from shakedown.plan.faults import FaultModel
from shakedown.plan.model import FaultsStage, UseScenario, UseSuite
from shakedown.plan.outline import BY_COUNT
from shakedown.plan.services import ComposeService, Service
from shakedown.plan.uses import label_of
from shakedown.units import format_duration

__all__ = ["show_dry_run"]

STEP = "  "


def show_dry_run(plan: Path, profile: str | None, overrides: list[str], seed: int | None) -> None:
    """Print it; nothing is started or written, and no engine is asked.

    Raises:
        PlanError: the plan is wrong.
    """
    loaded = load_plan(plan, profile=profile, overrides=overrides, environ=os.environ)
    chosen = seed if seed is not None else secrets.randbelow(2**31)
    for line in _lines(loaded, chosen, given=seed is not None):
        out.print(escape(loaded.redactor.redact(line)), emoji=False)


def _lines(loaded: LoadedPlan, seed: int, *, given: bool) -> Iterator[str]:
    plan = loaded.plan
    profile = f", profile {loaded.profile}" if loaded.profile else ""
    planned = planned_stages(plan)
    in_all = format_duration(sum(stage.seconds for stage in planned.values()))
    yield f"{plan.name}{profile}: a dry run, nothing is started; about {in_all} are planned"
    yield f"seed {seed}" + (
        "" if given else f": `--seed {seed}` makes a run do just this, without it another one is drawn"
    )
    yield "services"
    for name, service in plan.services.items():
        needs = f", after {', '.join(service.depends_on)}" if service.depends_on else ""
        yield f"{STEP}{name}: {_kind(service)}{needs}"
    for name in ("baseline", "stress", "endurance", "faults", "recovery"):
        stage = getattr(plan.stages, name)
        if stage is None:
            yield f"{name}: not in the plan"
            continue
        yield f"{name}: {planned[name]}"
        yield from (STEP + line for line in _stage(loaded, name, stage, seed))
        yield from (f"{STEP}must hold: {text}" for text in stage.thresholds)


def _kind(service: Service) -> str:
    if not isinstance(service, ComposeService):
        return service.kind
    attached = f", attached to in the project {service.compose.attach}" if service.compose.attach else ""
    return f"{service.kind}, of {' and '.join(service.compose.files)}{attached}"


def _stage(loaded: LoadedPlan, name: str, stage: object, seed: int) -> Iterator[str]:
    stages = loaded.plan.stages
    uses: list[UseScenario | UseSuite] = []
    if name == "baseline" and stages.baseline is not None:
        uses = [*stages.baseline.suites, *stages.baseline.scenarios]
    elif name == "stress" and stages.stress is not None:
        yield "at the same time:"
        uses = list(stages.stress.parallel)
    elif name == "endurance" and stages.endurance is not None:
        yield f"{stages.endurance.repeat} times, one after another:"
        uses = list(stages.endurance.run)
    elif name == "recovery" and stages.recovery is not None:
        yield "the baseline's loads again, and compared"
        yield from (f"ledger {ledger} read back" for ledger in stages.recovery.ledgers)
    for use in uses:
        yield _use(loaded, use)
    if isinstance(stage, FaultsStage):
        steady = f"in the background, {format_duration(stage.warm_up)} before the first fault"
        yield f"{_use(loaded, stage.load, bounded=False)}; {steady}"
        for experiment in loaded.plan.experiments:
            yield from _experiment(experiment, seed)


def _use(loaded: LoadedPlan, use: UseScenario | UseSuite, *, bounded: bool = True) -> str:
    if isinstance(use, UseSuite):
        return f"suite {label_of(use)}"
    scenario = loaded.plan.scenarios[use.use]
    executor = scenario.executor
    amounts = []
    for key, words in (("rate", "{:g}/s"), ("vus", "{:g} users"), ("iterations", "{:g} iterations"), ("count", "{:g}")):
        value = getattr(use, key, None)
        value = value if value is not None else getattr(executor, key, None)
        if value is not None:
            amounts.append(words.format(value).removesuffix("s" if value == 1 else ""))
    if executor.type == "per-vu-iterations":
        amounts[-1] += " each"
    if use.steps is not None:
        levels = ", ".join(f"{level:g}" for level in use.steps.levels)
        amounts = [f"in steps: {levels}, for {format_duration(use.steps.duration)} each"]
    if use.capacity is not None:
        bounds = f"capacity between {use.capacity.lowest:g}/s and {use.capacity.highest:g}/s"
        each = format_duration(use.capacity.duration)
        amounts = [f"{bounds}, {use.capacity.probes} probes at most, for {each} each"]
    seconds = format_duration(use.duration if use.duration is not None else executor.longest)
    lasts = f"until all are done, {seconds} at most" if isinstance(executor, BY_COUNT) else f"for {seconds}"
    target = f" on {scenario.target}" if scenario.target else ""
    words = f"load {label_of(use)}{target}: {executor.type} {', '.join(amounts)}".rstrip()
    return words if use.in_levels or not bounded else f"{words}, {lasts}"


def _experiment(experiment: Experiment, seed: int) -> Iterator[str]:
    planned = schedule_of(experiment, seed)
    yield f"experiment {experiment.name}: {_way(experiment)}, {format_duration(experiment.longest)} at most"
    for one in planned:
        yield STEP + _at(one)
    described: set[str] = set()
    for _, fault in experiment.faults_at():
        if fault.type not in described:
            described.add(fault.type)
            yield from (STEP + line for line in _fault(fault))
    yield f"{STEP}must be back within {format_duration(experiment.recover_within)} after the revert"
    yield from (f"{STEP}must hold meanwhile: {text}" for text in experiment.expect.during)
    yield from (f"{STEP}must hold afterwards: {text}" for text in experiment.expect.after)
    yield from (f"{STEP}health of {name} must say: {word}" for name, word in experiment.expect.health.items())
    yield from (f"{STEP}alert {name} must fire: {word}" for name, word in experiment.expect.alerts.items())
    yield from (f"{STEP}reverted at once if {text}" for text in experiment.abort_if)


def _way(experiment: Experiment) -> str:
    if experiment.nemesis is not None:
        return f"at random from {len(experiment.nemesis.faults)} faults"
    if experiment.staircase is not None:
        stairs = experiment.staircase
        return (
            f"a staircase of {stairs.parameter} until a threshold breaks; "
            f"{stairs.values[stairs.required - 1]} must still hold"
        )
    if experiment.sequence:
        return f"{len(experiment.sequence)} faults one after another"
    ways = "one fault" if experiment.fault is not None else f"{len(experiment.faults)} faults at once"
    return f"{ways}, {experiment.repeat.times} times" if experiment.repeat is not None else ways


def _at(one: Planned) -> str:
    where = f" on {one.fault.where}" if one.fault.where else ""
    parameters = given_parameters(one.fault)
    return (
        f"at {format_duration(one.at)}, for {format_duration(one.hold)}: {one.fault.type}{where}"
        + (f" ({parameters})" if parameters else "")
    )  # fmt: skip


def _fault(fault: FaultModel) -> Iterator[str]:
    entry = entry_of(type(fault))
    yield f"{entry.type}: {entry.what}"
    yield f"{STEP}by: {entry.mechanism}"
    yield f"{STEP}proof: {entry.proof}"
    yield f"{STEP}undo: {entry.undo}"
    yield f"{STEP}guarded by: {', '.join(['the run', *entry.layers])}"
    if entry.needs:
        yield f"{STEP}needs: {', '.join(entry.needs)}; without it the fault is refused"
