"""Why a run or a stage ended as it did: each cause once, with its finding, whatever the stored sentences repeat.

A stored reason joins thresholds, experiments and findings by "; ", and one cause often speaks in several of them. Here each
part is recognised, gathered under its subject, and what is not recognised is kept as it stands: nothing gets lost.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.reports.amounts import amount
from shakedown.reports.model import Report
from shakedown.results import StageInfo
from shakedown.verdict import Verdict

__all__ = ["Reason", "run_reasons", "stage_reasons", "tidy"]

TESTS = 3  # that failed, named beside their suite's threshold
_MARK = re.compile("\x00(\\d+)\x00")
_NAME = re.compile("\x01(\\d+)\x01")


@dataclass(slots=True)
class Reason:
    """One cause.

    Attributes:
        subject: the experiment, service, load or test that it is about; may be empty.
        texts: what was seen.
        findings: numbers of the findings that tell more, 1-based, in the order of the report.
    """

    stage: str
    subject: str
    texts: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    findings: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """Words that stand in a reason, and what they mean."""

    words: str
    subject: str
    text: str
    cause: str = ""
    number: int | None = None


def tidy(reason: str) -> str:
    """A stored reason on one line, without what stands in it twice."""
    kept: list[str] = []
    for part in " ".join(reason.split()).split("; "):
        short = re.sub(r"(^|: )([^:]+): \2: ", r"\1\2: ", part)
        if not any(known == short or known.endswith(f": {short}") for known in kept):
            kept.append(short)
    return "; ".join(kept)


def run_reasons(report: Report) -> tuple[list[Reason], str]:
    """The causes that decided the run, and what its reason says beside them."""
    rest, reasons = report.run.reason, []
    if report.run.verdict in (None, Verdict.PASSED):
        return [], tidy(rest)
    for number, (stage_name, item) in enumerate(report.serious, 1):
        # What kept the run from beginning is told in full, with the last lines of logs, by its finding.
        if stage_name == "services" and report.run.verdict is Verdict.ERROR and rest.startswith(item.title):
            return [Reason(stage_name, item.subject, [item.title], [item.cause] if item.cause else [], [number])], ""
    for stage in report.stages:
        whole = f"{stage.name}: {stage.reason}"
        if stage.verdict is report.run.verdict and stage.reason and whole in rest:
            reasons += stage_reasons(report, stage)
            rest = rest.replace(whole, "", 1)
    return reasons, tidy("; ".join(part for part in rest.split("; ") if part.strip(" ;")))


def stage_reasons(report: Report, stage: StageInfo) -> list[Reason]:
    """The causes of a stage's verdict."""
    known = sorted(_known(report, stage), key=lambda item: -len(item.words))
    names = [info.record.name for info in report.experiments] if stage.name == "faults" else []
    text = stage.reason
    for index, item in enumerate(known):
        text = text.replace(item.words, f"\x00{index}\x00")
    for index, name in enumerate(names):  # names are marked as well: one may hold the very "; " that parts are split by
        text = text.replace(f"{name}: ", f"\x01{index}\x01")
    found: dict[str, Reason] = {}
    for part in text.split("; "):
        marks = [known[int(mark)] for mark in _MARK.findall(part)]
        named = _NAME.match(part)
        subject = names[int(named[1])] if named else marks[0].subject if marks else ""
        plain = _NAME.sub("", _MARK.sub("", part)).strip(" :")
        reason = found.setdefault(subject, Reason(stage.name, subject))
        if plain:  # something of it was not recognised: all of it is shown
            shown = _MARK.sub(lambda mark: known[int(mark[1])].words, _NAME.sub("", part, count=1))
            texts = [_NAME.sub(lambda mark: f"{names[int(mark[1])]}: ", shown)]
        else:
            texts = [item.text for item in marks]
        reason.texts += [words for words in texts if words and words not in reason.texts]
        for item in marks:
            if item.cause and item.cause not in reason.causes:
                reason.causes.append(item.cause)
            if item.number is not None and item.number not in reason.findings:
                reason.findings.append(item.number)
    return [reason for reason in found.values() if reason.texts]


def _known(report: Report, stage: StageInfo) -> Iterator[_Known]:
    """Everything in a stage's records that its reason may repeat."""
    findings = [
        (number, item) for number, (where, item) in enumerate(report.serious, 1) if where in (stage.name, "services")
    ]
    comparisons = {(item.subject, item.metric): item for item in report.comparisons}
    for number, item in findings:
        text = item.title.removeprefix(f"{item.subject}: ")
        yield _Known(item.title, item.subject, text, item.cause, number)
        if text != item.title:  # an experiment's own reason leaves its name out
            yield _Known(text, item.subject, text, item.cause, number)
    if stage.name == "recovery":
        for (subject, metric), entry in comparisons.items():
            words = (
                f"{subject}.{metric}: {_said(entry.before, entry.unit)} before, {_said(entry.after, entry.unit)} after"
            )
            twin = _about(findings, subject, f": {metric} ")
            if twin is not None:
                yield _Known(words, subject, twin[1].title, twin[1].cause, twin[0])
    inconclusive: dict[str, list[ThresholdResult]] = {}
    for where, scope, result in report.thresholds:
        if where == stage.name and not scope:
            inconclusive.setdefault(result.reason, []).append(result)
    for cause, results in inconclusive.items():
        for result in results:
            words = f"{result.text}: {_said(result.actual, result.unit)}"
            yield from _threshold(words, result, cause, results, _of_suite(report, stage, result, findings))


def _threshold(
    words: str, result: ThresholdResult, cause: str, alike: list[ThresholdResult], tests: list[tuple[int, Finding]]
) -> Iterator[_Known]:
    """A threshold; those that could not be judged for one cause speak once, that of a suite with its tests' findings."""
    subject = result.text.partition(".")[0]
    if cause:
        yield _Known(f"{words} ({cause})", alike[0].text.partition(".")[0], f"{_list(alike)}: {cause}")
        return
    shown = f"{result.text}: measured {amount(result.actual, result.unit)} (n = {result.samples})"
    told = [item.title for _, item in tests[:TESTS]] + ([f"{len(tests) - TESTS} more"] if tests[TESTS:] else [])
    yield _Known(words, subject, ": ".join(filter(None, [shown, ", ".join(told)])), "", tests[0][0] if tests else None)


def _of_suite(
    report: Report, stage: StageInfo, result: ThresholdResult, findings: list[tuple[int, Finding]]
) -> list[tuple[int, Finding]]:
    """The findings of the tests that failed of the suite whose success a threshold asks for."""
    suite, _, rest = result.text.partition(".")
    if not rest.startswith("success_rate"):
        return []
    names = {test.test for where, test in report.failed_tests if where == stage.name and test.suite == suite}
    return [(number, item) for number, item in findings if item.subject in names]


def _said(value: float | None, unit: str) -> str:
    """A value as the stored reasons write it."""
    return "nothing" if value is None else amount(value, unit)


def _list(results: list[ThresholdResult]) -> str:
    return ", ".join(
        f"{result.text} ({amount(result.actual, result.unit)}, n = {result.samples})" for result in results
    )


def _about(findings: list[tuple[int, Finding]], subject: str, words: str) -> tuple[int, Finding] | None:
    serious = (found for found in findings if found[1].severity is Severity.FAILURE)
    return next((found for found in serious if found[1].subject == subject and words in found[1].title), None)
