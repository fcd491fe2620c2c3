"""The recovery stage: is everything as it was? The baseline compared, every ledger read, nothing of ours left."""

import os
from collections.abc import Mapping, Sequence

from shakedown.analysis.compare import compare_loads, compare_memory
from shakedown.analysis.diagnosis import ledger_findings
from shakedown.analysis.disturbance import disturbed
from shakedown.ledgers.entries import read_entries
from shakedown.ledgers.reader import read_back
from shakedown.plan.model import RecoveryStage
from shakedown.records.judgement import Finding, Severity
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.recovery import Comparison
from shakedown.session.causes import name_losses
from shakedown.session.judging import show_value
from shakedown.session.live import Session
from shakedown.units import format_share
from shakedown.verdict import Verdict

__all__ = ["compare_with_baseline", "judge_ledger", "look_for_leftovers", "read_ledger"]


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


def read_ledger(session: Session, name: str) -> LedgerResult:
    """Read one ledger back and store what was found.

    Raises:
        Interrupted: the run is to end.
    """
    ledger = session.loaded.plan.ledgers[name]
    session.say("suite", name, "reading the ledger back")
    result = read_back(
        name, ledger, read_entries(session.run_dir / "ledgers" / name), session.system.address(ledger.read.target).url,
        session.clock, session.stop, session.run_dir / "ledgers" / f"{name}.faults.jsonl",
    )  # fmt: skip
    session.store.add_ledger(session.run_id, result)
    session.check_stop()
    session.say(
        "suite",
        name,
        f"{result.checked} of {result.acknowledged + result.unknown} keys read, {result.lost} lost, {result.duplicated} duplicated",
    )
    return result


def judge_ledger(session: Session, result: LedgerResult) -> tuple[Verdict, str]:
    """A ledger's verdict: what is lost is lost, even if other keys could not be read."""
    ledger = session.loaded.plan.ledgers[result.ledger]
    if result.lost > ledger.lost or result.duplicated > ledger.duplicated:
        records = [info.record for info in session.results.experiments(session.run_id)]
        findings = name_losses(session, result, ledger_findings(result, records))
        for finding in findings:
            session.find("recovery", finding)
        return Verdict.FAILED, "; ".join(finding.title for finding in findings)
    if result.problem:
        title = f"ledger `{result.ledger}` could not be judged: {result.problem}"
        session.find("recovery", Finding(Severity.DOUBT, title, subject=result.ledger))
        return Verdict.INCONCLUSIVE, title
    return Verdict.PASSED, f"all {result.acknowledged} acknowledged writes of `{result.ledger}` found, once"


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
