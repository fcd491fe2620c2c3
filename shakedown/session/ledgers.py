"""Ledgers and invariants of a run: read back, judged, stored."""

from collections.abc import Mapping

from shakedown.analysis.losses import ledger_says
from shakedown.analysis.moments import moment_among
from shakedown.ledgers.reader import list_before, read_back
from shakedown.plan.ledgers import LEDGER_KINDS
from shakedown.plan.thresholds import LEDGER, AnyOf, comparisons_of, nodes_of, parse_threshold
from shakedown.records.judgement import Finding, Severity
from shakedown.records.ledger import LedgerResult
from shakedown.services import Address
from shakedown.session.causes import name_losses
from shakedown.session.live import Session
from shakedown.verdict import Verdict

__all__ = ["judge_ledger", "note_before", "read_ledger", "verdict_of"]


def _places(session: Session, name: str) -> Mapping[str, Address | None]:
    ways = session.loaded.plan.ledgers[name].ways
    return {key: session.system.address(way.target) if way.target is not None else None for key, way in ways.items()}


def note_before(session: Session) -> None:
    """Note what every ledger's listing has before the run writes anything: none of it is a phantom."""
    for name, ledger in session.loaded.plan.ledgers.items():
        problem = list_before(ledger, session.run_dir / "ledgers" / name, _places(session, name), session.stop)
        if problem is not None:
            title = f"ledger `{name}` could not be listed before the run: what was there already will seem a phantom"
            words = session.loaded.redactor.redact(problem)
            session.find("services", Finding(Severity.NOTE, title, words, subject=name))


def read_ledger(session: Session, name: str) -> LedgerResult:
    """Read one ledger back and store what was found.

    Raises:
        Interrupted: the run is to end.
    """
    ledger = session.loaded.plan.ledgers[name]
    session.say("suite", name, "reading the ledger back")
    records = [info.record for info in session.results.experiments(session.run_id)]
    result = read_back(
        name, ledger, session.run_dir / "ledgers" / name, _places(session, name), session.clock, session.stop,
        moment=moment_among(records), redact=session.loaded.redactor.redact,
    )  # fmt: skip
    result.verdict = verdict_of(session, result)
    session.store.add_ledger(session.run_id, result)
    session.check_stop()
    wrong = ", ".join(f"{result.count(kind)} {kind}" for kind in LEDGER_KINDS if result.count(kind)) or "none wrong"
    session.say("suite", name, f"{result.checked} of {result.acknowledged + result.unknown} keys read, {wrong}")
    return result


def _beyond(session: Session, result: LedgerResult) -> list[str]:
    """The kinds of which there are more than the plan allows; one of which a threshold speaks is judged by that alone."""
    ledger = session.loaded.plan.ledgers[result.ledger]
    stage = session.loaded.plan.stages.recovery
    expressions = [parse_threshold(text).expression for text in (stage.thresholds if stage is not None else ())]
    spoken = {
        comparison.metric
        for expression in expressions
        if not any(isinstance(node, AnyOf) for node in nodes_of(expression))  # behind an `or` it may not count
        for comparison in comparisons_of(expression)
        if comparison.subject == LEDGER and comparison.request == result.ledger
    }
    limits = {kind: ledger.limit(kind) for kind in LEDGER_KINDS if kind not in spoken}
    return [kind for kind, limit in limits.items() if limit is not None and result.count(kind) > limit]


def verdict_of(session: Session, result: LedgerResult) -> Verdict:
    """What a ledger comes to: what is lost is lost, even if other keys could not be read."""
    if _beyond(session, result):
        return Verdict.FAILED
    return Verdict.INCONCLUSIVE if result.problem else Verdict.PASSED


def judge_ledger(session: Session, result: LedgerResult) -> tuple[Verdict, str]:
    """A ledger's verdict with its reason; what is to be told of it becomes findings."""
    if beyond := _beyond(session, result):
        records = [info.record for info in session.results.experiments(session.run_id)]
        findings = name_losses(session, result, ledger_says(result, records, beyond))
        for finding in findings:
            session.find("recovery", finding)
        return Verdict.FAILED, "; ".join(finding.title for finding in findings)
    if result.problem:
        title = f"ledger `{result.ledger}` could not be judged: {result.problem}"
        session.find("recovery", Finding(Severity.DOUBT, title, subject=result.ledger))
        return Verdict.INCONCLUSIVE, title
    return Verdict.PASSED, f"all {result.acknowledged} acknowledged writes of `{result.ledger}` found, once"
