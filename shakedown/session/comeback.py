"""The recovery stage: is everything as it was? The baseline compared, nothing of ours left."""

import os
from collections.abc import Mapping, Sequence

from shakedown.analysis.compare import compare_loads, compare_memory
from shakedown.analysis.disturbance import disturbed
from shakedown.plan.model import RecoveryStage
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.recovery import Comparison
from shakedown.session.judging import show_value
from shakedown.session.live import Session
from shakedown.units import format_share
from shakedown.verdict import Verdict

__all__ = ["compare_with_baseline", "look_for_leftovers"]


_MEMORY = (
    "something is kept for every request, or for what failed, and never given back (memory leak)",
    "look for caches and lists without a bound; see the memory chart for when it rose",
)


def compare_with_baseline(session: Session, stage: RecoveryStage) -> list[tuple[Verdict, str]]:
    """Every load of the baseline against its repetition, and every container's memory; verdicts with their reasons."""
    before = {load.load: load for load in session.loads if load.stage == "baseline"}
    after = {load.load: load for load in session.loads if load.stage == "recovery"}
    found: list[Comparison] = []
    tolerance = {str(metric): allowed for metric, allowed in stage.tolerance.items() if metric != "memory"}
    old, new = _samples(session, before), _samples(session, after)
    services = [name for name, handle in session.system.handles.items() if handle.kind != "external"]
    disturbance = disturbed(old, new, [*services, "shakedown"], os.cpu_count() or 1)
    for label, load in before.items():
        if label in after:
            found += compare_loads(load, after[label], tolerance, disturbance)
    if "memory" in stage.tolerance and before and after:
        found += compare_memory(old, new, services, stage.tolerance["memory"])
    session.store.add_comparisons(session.run_id, found)
    parts = []
    for item in found:
        words = (
            f"{item.subject}.{item.metric}: {show_value(item.before, item.unit)} before, "
            f"{show_value(item.after, item.unit)} after"
        )
        if item.verdict is Verdict.FAILED:
            title = f"{item.subject} did not come back to its baseline: {item.metric} {show_value(item.before, item.unit)} → {show_value(item.after, item.unit)}"
            evidence = (f"tolerance {format_share(item.tolerance)}, {item.samples} samples",)
            cause, advice = _MEMORY if item.metric == "memory" else ("", "")
            session.find("recovery", Finding(Severity.FAILURE, title, cause, evidence, advice, item.subject))
        parts.append((item.verdict, words if item.verdict is not Verdict.INCONCLUSIVE else f"{words} ({item.reason})"))
    return parts


def _samples(session: Session, loads: Mapping[str, LoadResult]) -> Sequence[Sample]:
    """What was sampled while the loads ran."""
    if not loads:
        return ()
    start, end = min(load.start for load in loads.values()), max(load.end for load in loads.values())
    return session.results.samples(session.run_id, start, end)


def look_for_leftovers(session: Session) -> list[tuple[Verdict, str]]:
    """Open intents of faults and agents, by the journal; helper containers, by their label."""
    left = [intent.what for intent in session.journal.open_intents() if intent.kind in ("fault", "agent")]
    client = session.system.client
    if client is not None:
        filters: dict[str, str | list[str] | bool] = {"label": [f"shakedown.run={session.run_id}", "shakedown.agent"]}
        left += [
            f"container {item.name}" for item in client.containers.list(all=True, filters=filters, ignore_removed=True)
        ]
    if not left:
        return [(Verdict.PASSED, "no fault, rule or helper is left")]
    title = f"left behind by faults: {', '.join(left)}"
    session.find("recovery", Finding(Severity.FAILURE, title, "a fault could not be taken back", subject="shakedown"))
    return [(Verdict.FAILED, title)]
