"""What is measured of each experiment once the load has ended: moments, phases, health, alerts, what got worse."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shakedown.analysis.disturbance import disturbed
from shakedown.analysis.health import Held, compare_alert, compare_health
from shakedown.analysis.recovery import (
    Holds,
    Recovery,
    Steady,
    Timeline,
    find_effect,
    find_recovery,
    phase_stats,
    still_wrong,
)
from shakedown.analysis.slots import SLOT
from shakedown.analysis.worse import compare_after
from shakedown.plan.experiments import Experiment
from shakedown.plan.model import FaultsStage
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.load import LoadResult
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import AlertTruth, Comparison, HealthTruth, Moment, RecoveryMeasurement
from shakedown.session.alerting import alert_looks

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["measure_recovery", "quiet_until", "recovery_in"]

COMPARED = ("cpu", "memory", "memory_anon")  # of services and the machine, before a fault and after it


def recovery_in(
    timeline: Timeline, steady: Steady | None, stage: FaultsStage, record: ExperimentRecord, end: float,
    holds: Holds | None = None,
) -> Recovery:  # fmt: skip
    """Whether and when steady state held again after an experiment's last revert, as far as `end`."""
    if steady is None or record.reverted_at is None:
        return Recovery(None)
    return find_recovery(
        timeline, steady, record.reverted_at, end, hold_window=stage.hold_window, tolerance=stage.tolerance, holds=holds
    )


def quiet_until(bench: "FaultBench", record: ExperimentRecord) -> float:
    """Until when what is seen after an experiment is its own: the next fault, or the end of the load."""
    after = record.reverted_at or 0.0
    begun = [one.asked_at for one in bench.records if one.asked_at is not None and one.asked_at >= after]
    ends = [bench.load.end] if bench.load is not None else []
    return max(min([*begun, *ends], default=after), after)


def measure_recovery(
    bench: "FaultBench", record: ExperimentRecord, experiment: Experiment, probes: Sequence[ProbeResult]
) -> RecoveryMeasurement | None:
    """Everything that is measured of one experiment, with every look of the run; None when it never came so far.

    `watched_until` of the record becomes the end of what its recovery was looked for in: whatever the bench saw while it
    watched, everything is known by now, late answers as well.
    """
    load, steady, stage, session = bench.load, bench.steady, bench.stage, bench.session
    applied, reverted = record.applied_at, record.reverted_at
    if load is None or steady is None or applied is None or reverted is None:
        return None
    timeline = Timeline(load.pulses, probes, load.dues)
    quiet = quiet_until(bench, record)
    watched = min(reverted + experiment.recover_within + stage.hold_window, quiet)
    holds: Holds | None = (lambda second: bench.declared.holds(load, second, quiet)) if bench.declared else None
    found = recovery_in(timeline, steady, stage, record, watched, holds)
    record.watched_until = watched
    effect = find_effect(timeline, steady, applied, watched)
    asked = record.revert_asked_at or reverted
    back = found.back
    held = Held(
        min(record.asked_at or applied, applied), applied, asked, back.at if back is not None else watched, quiet
    )
    health = tuple(compare_health(timeline, service, held) for service in _probed(bench, probes, record))
    alerts = tuple(_alert(bench, timeline, name, held) for name in session.loaded.plan.alerts)
    told, told_by = _told(health, alerts, held)
    phases = [phase_stats(load, "before", *bench.warm), phase_stats(load, "during", applied, asked)]
    worse: tuple[Comparison, ...] = ()
    if back is not None:
        after = (back.at, max(quiet, back.at + stage.hold_window))
        phases.append(phase_stats(load, "after", *after))
        worse = _worse(bench, load, after)
    bad = sum(1 for slot, pulse in load.pulses.items() if pulse.bad and applied <= slot * SLOT < watched)
    return RecoveryMeasurement(
        experiment=record.name,
        detected_after=max(effect.at - applied, 0.0) if effect is not None else None,
        recovered_after=max(back.at - reverted, 0.0) if back is not None else None,
        censored_at=None if back is not None else watched - reverted,
        resolution=max(SLOT, back.width if back is not None else 0.0),
        error_seconds=bad * SLOT,
        phases=tuple(phases),
        health=health,
        problem=load.generator.starved,
        effect=effect,
        back=back,
        told=told,
        told_by=told_by,
        relapses=found.relapses,
        doubt=found.doubt if back is None else "",
        wrong=()
        if back is not None
        else still_wrong(
            timeline, steady, watched, hold_window=stage.hold_window, tolerance=stage.tolerance, holds=holds
        ),
        worse=worse,
        alerts=alerts,
    )


def _probed(bench: "FaultBench", probes: Sequence[ProbeResult], record: ExperimentRecord) -> list[str]:
    """Every service whose health was looked at: first the one that clients talk to, then the disturbed ones."""
    looked_at = {probe.service for probe in probes}
    order = (bench.client, *record.targets, *bench.session.loaded.plan.services)
    return [name for name in dict.fromkeys(order) if name in looked_at]


def _alert(bench: "FaultBench", timeline: Timeline, name: str, held: Held) -> AlertTruth:
    looks, problem = alert_looks(bench.session, name, bench.warm[0], held.until)
    return compare_alert(timeline, name, looks, held, problem)


def _told(health: Sequence[HealthTruth], alerts: Sequence[AlertTruth], held: Held) -> tuple[Moment | None, str]:
    """When the system itself first told of the fault while it held, and by what."""
    found = [(truth.unhealthy_at, f"health of {truth.service}") for truth in health]
    found += [(truth.fired_at, f"alert {truth.alert}") for truth in alerts if not truth.firing_before]
    told = [(at, by) for at, by in found if at is not None and at.earliest <= held.end]
    return min(told, key=lambda one: one[0].at, default=(None, ""))


def _worse(bench: "FaultBench", load: LoadResult, after: tuple[float, float]) -> tuple[Comparison, ...]:
    session = bench.session
    services = [name for name, handle in session.system.handles.items() if handle.kind != "external"]
    usual, now = (session.results.samples(session.run_id, *window, series=COMPARED) for window in (bench.warm, after))
    disturbance = disturbed(usual, now, [*services, "shakedown"], os.cpu_count() or 1)
    return compare_after(load, [*usual, *now], services, bench.warm, after, bench.stage.worse, disturbance)
