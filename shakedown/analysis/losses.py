"""Findings of ledgers: what became of writes, beside those that were lost or stored twice."""

from collections.abc import Sequence

from shakedown.analysis.diagnosis import ledger_findings
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, Severity
from shakedown.records.ledger import LedgerResult

__all__ = ["ledger_says"]

SHOWN = 5
# kind: what is said of it, the likeliest cause, what to do
_KINDS = {
    "corrupted": (
        "{n} keys of `{ledger}` hold another value than was written",
        "a write was stored in part, mixed with another one, or overwritten by an older one (corrupted writes)",
        "store a value in one step, and check what is read against what was written",
    ),
    "phantom": (
        "{n} keys are in `{ledger}` that were never sent",
        "something else writes there, or keys are made or changed on the way (phantom writes)",
        "if other parts of the plan write there, say by `match` which keys are this ledger's",
    ),
    "resurrected": (
        "{n} keys of `{ledger}` are there again although their removal was acknowledged",
        "a removal was acknowledged before it was kept, or an older copy was brought back after a failover (resurrected)",
        "keep the removal as safely as a write, and have older copies give way to it",
    ),
    "out_of_order": (
        "{n} writes of `{ledger}` were stored before others that were acknowledged earlier",
        "writes of one user are processed in parallel, or a retry overtook a later one (out of order)",
        "process what belongs together one after another, or order it by a number of the sender",
    ),
    "unwanted": (
        "{n} writes of `{ledger}` were refused and are stored all the same",
        "what fails after the write is answered as if nothing had been kept (no atomicity)",
        "take back what was stored before refusing, or acknowledge it",
    ),
}  # fmt: skip


def ledger_says(result: LedgerResult, experiments: Sequence[ExperimentRecord], beyond: Sequence[str]) -> list[Finding]:
    """One finding for each kind that is beyond its limit.

    Args:
        beyond: the kinds.
    """
    only = [kind for kind in ("lost", "duplicated") if kind not in beyond]
    shown = LedgerResult(result.ledger, result.acknowledged, lost=result.lost, duplicated=result.duplicated)
    shown.faults = result.faults
    for kind in only:
        setattr(shown, kind, 0)
    findings = ledger_findings(shown, experiments)
    for kind, (title, cause, advice) in _KINDS.items():
        if kind not in beyond:
            continue
        faults = [fault for fault in result.faults if fault.kind == kind][:SHOWN]
        evidence = tuple(
            f"{fault.key}{f', sent {fault.moment}' if fault.moment else ''}: {fault.detail}" for fault in faults
        )
        words = title.format(n=result.count(kind), ledger=result.ledger)
        findings.append(Finding(Severity.FAILURE, words, cause, evidence, advice, result.ledger))
    return findings
