"""summary.json: the run for programs. Its schema is versioned; fields are added, never changed."""

from typing import Any

from pydantic import BaseModel

from shakedown.plan.ledgers import LEDGER_KINDS
from shakedown.records.judgement import Severity
from shakedown.reports.covers import covered_rows
from shakedown.reports.model import Report, collect
from shakedown.reports.reasons import run_reasons
from shakedown.reports.untested import untested
from shakedown.results import Results
from shakedown.verdict import Verdict

__all__ = ["Summary", "summarise", "summary_json", "summary_schema", "summary_text"]

SCHEMA = 1


class SummaryThreshold(BaseModel):
    """One threshold; values in seconds, bytes, fractions or plain numbers."""

    stage: str
    scope: str
    text: str
    verdict: Verdict
    actual: float | None
    limit: float
    unit: str
    samples: int
    reason: str


class SummaryStage(BaseModel):
    """One stage."""

    name: str
    verdict: Verdict | None
    reason: str
    seconds: float | None


class SummaryExperiment(BaseModel):
    """One experiment; times in seconds."""

    name: str
    fault: str
    target: str
    verdict: Verdict | None
    reason: str
    effect_proved: bool
    gone_proved: bool
    detected_after: float | None
    recovered_after: float | None
    censored_at: float | None


class SummaryFinding(BaseModel):
    """One finding."""

    stage: str
    severity: str
    title: str
    cause: str
    evidence: list[str]
    recommendation: str


class SummaryReason(BaseModel):
    """One cause that decided the run; `findings` are 0-based places in the list of findings."""

    stage: str
    subject: str
    texts: list[str]
    causes: list[str]
    findings: list[int]


class SummaryUntested(BaseModel):
    """What was not tested, and why."""

    what: str
    reason: str


class SummaryEntry(BaseModel):
    """One entry of the plan that covers a row; without a verdict when it was not judged."""

    where: str
    verdict: Verdict | None
    reason: str


class SummaryCovered(BaseModel):
    """One row that the plan's `covers` name, and what the run says of it: the worst of its entries."""

    row: str
    verdict: Verdict | None
    entries: list[SummaryEntry]


class SummaryLedger(BaseModel):
    """One ledger."""

    ledger: str
    acknowledged: int
    checked: int
    lost: int
    duplicated: int
    unreadable: int
    problem: str | None
    others: dict[str, int] = {}  # corrupted, phantom, resurrected, out_of_order, unwanted; those that there are


class SummaryRegression(BaseModel):
    """A figure beside those of earlier comparable runs; `change` is as `shakedown trend` says it."""

    figure: str
    unit: str
    change: str
    value: float | None
    usual: float | None
    limit: float | None
    runs: int
    in_a_row: int
    reason: str


class Summary(BaseModel):
    """One run."""

    schema_version: int = SCHEMA
    run: str
    plan: str
    profile: str | None
    status: str
    verdict: Verdict | None
    reason: str
    exit_code: int | None
    started: str
    seconds: float | None
    planned_seconds: float
    command: str
    stages: list[SummaryStage]
    thresholds: list[SummaryThreshold]
    experiments: list[SummaryExperiment]
    ledgers: list[SummaryLedger]
    findings: list[SummaryFinding]
    reasons: list[SummaryReason]
    untested: list[SummaryUntested]
    covers: list[SummaryCovered]
    regressions: list[SummaryRegression]


def summarise(report: Report) -> Summary:
    """The summary of a report."""
    run = report.run
    places = [place for place, (_, item) in enumerate(report.findings) if item.severity is not Severity.NOTE]
    return Summary(
        run=run.id, plan=run.plan, profile=run.profile, status=run.status, verdict=run.verdict, reason=run.reason,
        exit_code=run.exit_code, started=run.started.isoformat(), seconds=run.ended_at, planned_seconds=run.planned,
        command=run.command,
        stages=[
            SummaryStage(
                name=stage.name, verdict=stage.verdict, reason=stage.reason,
                seconds=stage.end - stage.start if stage.start is not None and stage.end is not None else None,
            )
            for stage in report.stages
        ],
        thresholds=[
            SummaryThreshold(
                stage=stage, scope=scope, text=item.text, verdict=item.verdict, actual=item.actual, limit=item.limit,
                unit=item.unit, samples=item.samples, reason=item.reason,
            )
            for stage, scope, item in report.thresholds
        ],
        experiments=[
            SummaryExperiment(
                name=info.record.name, fault=info.record.fault, target=info.record.target, verdict=info.verdict,
                reason=info.reason, effect_proved=bool(info.record.effect and info.record.effect.held),
                gone_proved=bool(info.record.gone and info.record.gone.held),
                detected_after=info.recovery.detected_after if info.recovery else None,
                recovered_after=info.recovery.recovered_after if info.recovery else None,
                censored_at=info.recovery.censored_at if info.recovery else None,
            )
            for info in report.experiments
        ],
        ledgers=[
            SummaryLedger(
                ledger=item.ledger, acknowledged=item.acknowledged, checked=item.checked, lost=item.lost,
                duplicated=item.duplicated, unreadable=item.unreadable, problem=item.problem,
                others={kind: item.count(kind) for kind in LEDGER_KINDS[2:] if item.count(kind)},
            )
            for item in report.ledgers
        ],
        findings=[
            SummaryFinding(
                stage=stage, severity=item.severity.value, title=item.title, cause=item.cause,
                evidence=list(item.evidence), recommendation=item.recommendation,
            )
            for stage, item in report.findings
        ],
        reasons=[
            SummaryReason(
                stage=reason.stage, subject=reason.subject, texts=reason.texts, causes=reason.causes,
                findings=[places[number - 1] for number in reason.findings],
            )
            for reason in run_reasons(report)[0]
        ],
        untested=[SummaryUntested(what=what, reason=reason) for what, reason in untested(report)],
        covers=[
            SummaryCovered(
                row=row.row, verdict=row.verdict,
                entries=[SummaryEntry(where=one.where, verdict=one.verdict, reason=one.reason) for one in row.entries],
            )
            for row in covered_rows(report)
        ],
        regressions=[
            SummaryRegression(
                figure=str(one.name), unit=one.unit, change=one.outlook.change.value, value=one.outlook.value,
                usual=one.outlook.usual, limit=one.outlook.limit, runs=one.outlook.runs, in_a_row=one.outlook.in_a_row,
                reason=one.outlook.reason,
            )
            for one in report.regressions
        ],
    )  # fmt: skip


def summary_json(report: Report) -> str:
    """The summary as the text of summary.json."""
    return summarise(report).model_dump_json(indent=2) + "\n"


def summary_schema() -> dict[str, Any]:
    """The JSON Schema of summary.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Summary.model_json_schema(mode="serialization"),
    }


def summary_text(results: Results, run: str) -> str:
    """The text of a run's summary.json, without writing any file.

    Raises:
        StoreError: the results cannot be read.
        UsageError: there is no such run.
    """
    return summary_json(collect(results, run))
