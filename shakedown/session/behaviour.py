"""How the system behaved in one experiment: called once for each experiment whose fault took effect."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shakedown.analysis.behaviour.calls import Phases
from shakedown.analysis.behaviour.cascade import Ceiling
from shakedown.analysis.behaviour.whole import Behaviour, Scene, judge_scene
from shakedown.analysis.disturbance import foreign_cpu
from shakedown.plan.behaviour import call_sources, victims_of
from shakedown.plan.experiments import Experiment
from shakedown.plan.requests import Request
from shakedown.plan.services import DockerService, Service
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.load import LoadResult
from shakedown.records.observation import ProbeResult, Sample
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.session.live import Session
from shakedown.units import format_share

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["Behaviour", "judge"]

CROWDED = 0.4  # of the machine taken by others: time-outs of health checks accuse nobody any more


def judge(
    session: Session, record: ExperimentRecord, recovery: RecoveryMeasurement, load: LoadResult, bench: "FaultBench",
    probes: Sequence[ProbeResult],
) -> Behaviour:  # fmt: skip
    """Judge one experiment's behaviour on everything that was measured.

    Args:
        load: the background load of the whole stage, ended.
        bench: of the stage; its steady state, and all records so far.
        probes: every look of the run.
    """
    plan = session.loaded.plan
    experiment = next((one for one in plan.experiments if one.name == record.name), None)
    if experiment is None or record.applied_at is None or record.reverted_at is None:
        return Behaviour()
    return judge_scene(_scene(session, experiment, record, recovery, load, bench, probes))


def _scene(
    session: Session, experiment: Experiment, record: ExperimentRecord, recovery: RecoveryMeasurement, load: LoadResult,
    bench: "FaultBench", probes: Sequence[ProbeResult],
) -> Scene:  # fmt: skip
    plan, stage = session.loaded.plan, bench.stage
    scenario = plan.scenarios[stage.load.use]
    applied, reverted = record.applied_at or 0.0, record.reverted_at or 0.0
    until = max(min([load.end, *_later(record, bench)]), reverted)
    phases = Phases(bench.warm, (applied, max(record.revert_asked_at or reverted, applied)), (reverted, until))
    samples = session.results.samples(session.run_id, bench.warm[0] - plan.sample_every, until + plan.sample_every)
    asked: list[Request] = scenario.http.all_requests
    return Scene(
        name=record.name,
        faults=[injection.fault for injection in record.injections],
        victims=victims_of(plan, [fault for _, fault in experiment.faults_at()]),
        client=(scenario.target or "").partition(".")[0],
        phases=phases,
        watched_until=record.watched_until if record.watched_until is not None else until,
        load=load,
        stage=stage,
        expect=experiment.expect,
        requests=dict.fromkeys(scenario.operations) | {one.name: one.timeout.total for one in asked},
        recover_within=experiment.recover_within,
        recovered=recovery.recovered_after is not None,
        marked=frozenset(one.name for one in asked if one.degraded is not None),
        probes=probes,
        samples=samples,
        sources=call_sources(plan),
        depends_on={name: service.depends_on for name, service in plan.services.items()},
        ceilings={name: _ceiling(service) for name, service in plan.services.items()},
        crowded=_crowded(samples, session, applied, until),
    )


def _later(record: ExperimentRecord, bench: "FaultBench") -> list[float]:
    """When the next faults were asked for: from then on the trouble may be theirs."""
    begun = [one.asked_at for one in bench.records if one.asked_at is not None]
    return [at for at in begun if at > (record.reverted_at or 0.0)]


def _crowded(samples: Sequence[Sample], session: Session, start: float, end: float) -> str:
    """Why slowness may be the machine's and not the system's; empty when it is not."""
    cores = os.cpu_count() or 1
    ours = [name for name, handle in session.system.handles.items() if handle.kind != "external"]
    others = foreign_cpu([one for one in samples if start <= one.at < end], [*ours, "shakedown"])
    if others is None or others <= CROWDED * cores:
        return ""
    return f"other programs took {format_share(others / cores)} of the machine: what was slow may have been slow because of them"


def _ceiling(service: Service) -> Ceiling:
    if not isinstance(service, DockerService):
        return Ceiling()
    return Ceiling(service.limits.memory, service.limits.open_files)
