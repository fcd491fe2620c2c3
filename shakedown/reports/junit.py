"""junit.xml: stages as suites; thresholds, tests, experiments, ledgers and findings as cases, for any CI that reads JUnit.

A case that could not be judged is an `error`, never a pass; what was left out is `skipped`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shakedown.plan.ledgers import LEDGER_KINDS
from shakedown.records.judgement import Severity
from shakedown.records.ledger import LedgerResult
from shakedown.records.suites import SuiteResult, TestStatus
from shakedown.reports.amounts import amount
from shakedown.reports.model import Report
from shakedown.reports.untested import untested
from shakedown.results import StageInfo
from shakedown.verdict import Verdict

__all__ = ["render_junit"]

_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_KINDS = {Verdict.FAILED: "failure", Verdict.INCONCLUSIVE: "error", Verdict.ERROR: "error", Verdict.SKIPPED: "skipped"}


@dataclass(frozen=True, slots=True)
class _Case:
    group: str
    name: str
    verdict: Verdict
    message: str = ""
    text: str = ""
    seconds: float = 0.0


def render_junit(report: Report) -> str:
    """The run as JUnit XML."""
    root = ET.Element("testsuites", name=_legal(report.run.plan))
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for stage in report.stages:
        cases = list(_cases(report, stage))
        cases += _findings(report, stage, {case.name for case in cases if case.verdict is Verdict.FAILED})
        cases = cases or [_Case("stage", stage.name, _of(stage), stage.reason)]
        if _of(stage) is not Verdict.PASSED and all(case.verdict is Verdict.PASSED for case in cases):
            cases.append(_Case("stage", stage.name, _of(stage), stage.reason))  # the reason lies in none of its parts
        _suite(root, stage.name, cases, (stage.end or 0.0) - (stage.start or 0.0), totals)
    rest = [
        _Case("services", finding.title, Verdict.FAILED, finding.cause, "\n".join(finding.evidence))
        for where, finding in report.serious
        if where == "services"
    ]
    if report.run.verdict is None or (report.run.verdict is Verdict.ERROR and not rest):
        rest.append(_Case("run", report.run.id, Verdict.ERROR, report.run.reason or report.run.status))
    if rest:
        _suite(root, "services", rest, 0.0, totals)
    root.attrib.update({name: str(count) for name, count in totals.items()}, time=f"{report.run.ended_at or 0.0:.3f}")
    if len(root):
        properties = ET.Element("properties")
        root[0].insert(0, properties)
        told = {
            "run": report.run.id,
            "verdict": str(report.run.verdict or report.run.status),
            "seed": str(report.run.seed),
        }
        told |= {f"not tested: {what}": reason for what, reason in untested(report)}
        for name, value in told.items():
            ET.SubElement(properties, "property", name=_legal(name), value=_legal(value))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, name: str, cases: list[_Case], seconds: float, totals: dict[str, int]) -> None:
    kinds = [_KINDS.get(case.verdict) for case in cases]
    counts = {
        "tests": len(cases),
        "failures": kinds.count("failure"),
        "errors": kinds.count("error"),
        "skipped": kinds.count("skipped"),
    }
    for key, count in counts.items():
        totals[key] += count
    suite = ET.SubElement(root, "testsuite", name=_legal(name), time=f"{seconds:.3f}")
    suite.attrib.update({key: str(count) for key, count in counts.items()})
    for case, kind in zip(cases, kinds, strict=True):
        shown = ET.SubElement(
            suite,
            "testcase",
            classname=_legal(f"{name}.{case.group}"),
            name=_legal(case.name),
            time=f"{case.seconds:.3f}",
        )
        if kind is not None:
            told = ET.SubElement(shown, kind, message=_legal(case.message or str(case.verdict)))
            if kind != "skipped":
                told.set("type", str(case.verdict))
            told.text = _legal(case.text) or None


def _cases(report: Report, stage: StageInfo) -> Iterator[_Case]:
    for where, scope, result in report.thresholds:
        if where == stage.name:
            seen = (
                f"{amount(result.actual, result.unit)} of {result.samples}; limit {amount(result.limit, result.unit)}"
            )
            group = f"thresholds.{scope}" if scope else "thresholds"
            yield _Case(group, result.text, result.verdict, result.reason or seen, seen)
    for suite in report.suites:
        if suite.stage == stage.name:
            yield from _tests(suite)
    if stage.name == "faults":
        for info in report.experiments:
            record = info.record
            took = (record.watched_until or record.reverted_at or 0.0) - (record.applied_at or 0.0)
            yield _Case("experiments", record.name, info.verdict or Verdict.ERROR, info.reason,
                        f"{record.fault} on {', '.join(record.targets)}", max(took, 0.0) if record.applied_at else 0.0)  # fmt: skip
    if stage.name == "recovery":
        for ledger in report.ledgers:
            verdict = ledger.verdict or _unjudged(ledger)
            others = [f", {ledger.count(kind)} {kind}" for kind in LEDGER_KINDS[2:] if ledger.count(kind)]
            seen = f"{ledger.lost} lost, {ledger.duplicated} duplicated{''.join(others)} of {ledger.acknowledged} acknowledged"
            yield _Case("ledgers", ledger.ledger, verdict, ledger.problem or seen, seen, ledger.end - ledger.start)
        for item in report.comparisons:
            seen = f"{amount(item.before, item.unit)} before, {amount(item.after, item.unit)} after"
            yield _Case("comparisons", f"{item.subject}.{item.metric}", item.verdict, item.reason or seen, seen)


def _findings(report: Report, stage: StageInfo, told: set[str]) -> Iterator[_Case]:
    """What failed and is not the failure of a test or an experiment that has its own case."""
    for where, finding in report.serious:
        if where == stage.name and finding.severity is Severity.FAILURE and finding.subject not in told:
            text = "\n".join(filter(None, (*finding.evidence, finding.recommendation)))
            yield _Case("findings", finding.title, Verdict.FAILED, finding.cause or finding.title, text)


def _tests(suite: SuiteResult) -> Iterator[_Case]:
    group = f"suites.{suite.suite}" + (f".repetition {suite.repetition}" if suite.stage == "endurance" else "")
    if suite.skipped:
        yield _Case(group, suite.suite, Verdict.SKIPPED, suite.skipped)
    if suite.problem:
        yield _Case(group, suite.suite, Verdict.ERROR, suite.problem)
    for test in suite.outcomes:
        if test.status is TestStatus.SKIPPED:
            verdict = Verdict.SKIPPED
        else:
            verdict = Verdict.PASSED if test.status is TestStatus.PASSED else Verdict.FAILED
        yield _Case(group, test.test, verdict, test.message, test.traceback, test.duration)


def _unjudged(ledger: LedgerResult) -> Verdict:
    """Of a ledger whose verdict an older release did not store: by the limits that it had unless the plan gave others."""
    if any(ledger.count(kind) for kind in LEDGER_KINDS if kind != "unwanted"):
        return Verdict.FAILED
    return Verdict.INCONCLUSIVE if ledger.problem else Verdict.PASSED


def _of(stage: StageInfo) -> Verdict:
    return stage.verdict or Verdict.ERROR


def _legal(text: str) -> str:
    """Without what XML cannot carry."""
    return _ILLEGAL.sub("\ufffd", text)
