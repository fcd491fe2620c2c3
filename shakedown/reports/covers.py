"""Which rows of the user's own list a run covered, and what it says of each: the plan's `covers`, with verdicts.

A row passes when everything that covers it passed. A part of a stage answers for what was said of it, and for whatever
in its stage is not known to be about another part alone: its row passes in a failed stage only where all that failed
speaks of others.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shakedown.plan.thresholds import parse_threshold
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.reports.model import Report
from shakedown.reports.reasons import stage_reasons, tidy
from shakedown.results import StageInfo
from shakedown.verdict import Verdict, combine

__all__ = ["CoveredRow", "Entry", "covered_rows"]

# Of several entries of one row the worst counts; None (the run did not get there, or was not judged) is no pass either.
_WORST = (Verdict.FAILED, Verdict.ERROR, Verdict.INCONCLUSIVE, None, Verdict.SKIPPED, Verdict.PASSED)
_PARTS = ("suites", "scenarios", "parallel", "run")  # where stages name their parts
_OF_TESTS = re.compile(
    r"\d+ tests (?:failed in some repetition|get slower), \d+ allowed"
)  # said of all suites of a stage together
_BEYOND = (", beyond what is required", ", searching")  # levels of a load that fail nothing


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the plan that covers a row.

    Attributes:
        where: `stress`, `stress: send`, `faults: redis killed`.
        verdict: None when the run did not get there, or ended before it was judged.
    """

    where: str
    verdict: Verdict | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CoveredRow:
    """One row, with everything in the plan that covers it."""

    row: str
    entries: tuple[Entry, ...]

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its entries."""
        return min((entry.verdict for entry in self.entries), key=_WORST.index)


def covered_rows(report: Report) -> list[CoveredRow]:
    """The rows that the plan names, in natural order (N2 before N10)."""
    rows: dict[str, list[Entry]] = {}
    for ids, entry in _entries(report):
        for row in ids:
            rows.setdefault(row, []).append(entry)
    return [CoveredRow(row, tuple(rows[row])) for row in sorted(rows, key=_natural)]


def _natural(text: str) -> list[tuple[bool, int, str]]:
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", text)]


def _entries(report: Report) -> Iterator[tuple[list[str], Entry]]:
    try:
        plan = json.loads(report.run.plan_json)
    except ValueError:
        return
    stages = plan.get("stages") if isinstance(plan, dict) else None
    known = {stage.name: stage for stage in report.stages}
    for name, stage in (stages if isinstance(stages, dict) else {}).items():
        if not isinstance(stage, dict):
            continue
        info = known.get(name)
        yield _ids(stage), _of_stage(name, info)
        if isinstance(stage.get("load"), dict):  # a background: its figures are the experiments'
            yield _ids(stage["load"]), _of_stage(f"{name}: {_label(stage['load'])}", info)
        parts = [part for key in _PARTS for part in stage.get(key) or () if isinstance(part, dict)]
        bare = {item for item in stage.get("suites") or () if isinstance(item, str)}  # as earlier versions stored them
        labels = {_label(part) for part in parts} | bare
        for part in parts:
            if ids := _ids(part):
                label = _label(part)
                yield ids, Entry(f"{name}: {label}", *_of_part(report, info, label, labels - {label}))
        for ids, experiment in _experiments(plan, stage):
            yield ids, _of_experiment(report, name, experiment)
    rules = plan.get("regression") if isinstance(plan, dict) else None
    if isinstance(rules, dict):
        yield _ids(rules), _of_history(report, rules)


def _ids(part: dict[str, Any]) -> list[str]:
    found = part.get("covers")
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def _label(part: dict[str, Any]) -> str:
    return str(part.get("label") or part.get("use") or part.get("suite") or "")


def _experiments(plan: dict[str, Any], stage: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    for one in stage.get("experiments") or ():
        if isinstance(one, dict):
            yield _ids(one), str(one.get("name", ""))
    services = plan.get("services") or {}
    for each in stage.get("each_dependency") or ():
        if isinstance(each, dict) and isinstance(services.get(each.get("of")), dict):
            for target in services[each["of"]].get("depends_on") or ():
                name = str(each.get("name", "{of} without {target}"))
                yield _ids(each), name.replace("{of}", str(each["of"])).replace("{target}", str(target))


def _of_stage(where: str, info: StageInfo | None) -> Entry:
    if info is None:
        return Entry(where, None, "the run did not get there")
    if info.verdict is None:
        return Entry(where, None, "the run ended before it was judged")
    return Entry(where, info.verdict, "" if info.verdict is Verdict.PASSED else tidy(info.reason))


def _of_experiment(report: Report, stage: str, name: str) -> Entry:
    where = f"{stage}: {name}"
    for info in report.experiments:
        if info.record.name == name:
            if info.verdict is None:
                return Entry(where, None, "the run ended before it was judged")
            said = tidy(info.reason).removeprefix(f"{name}: ")
            return Entry(where, info.verdict, "" if info.verdict is Verdict.PASSED else said)
    whole = next((info for info in report.stages if info.name == stage), None)
    if whole is not None and whole.verdict in (Verdict.SKIPPED, Verdict.ERROR):
        return _of_stage(where, whole)
    return Entry(where, None, "the run did not get there")


def _of_history(report: Report, rules: dict[str, Any]) -> Entry:
    """What the comparison with earlier runs said: a suspicion is no regression yet, and no pass either."""
    if report.run.verdict in (None, Verdict.ERROR):
        return Entry("regression", None, "the run ended before it was compared with earlier ones")
    if rules.get("figures") == []:
        return Entry("regression", Verdict.INCONCLUSIVE, "the plan compares no figure")
    titles = [(item.title, item.cause) for stage, item in report.findings if stage == "history"]
    for verdict, words in ((Verdict.FAILED, " regressed: "), (Verdict.INCONCLUSIVE, " is suspect: ")):
        if found := [title for title, _ in titles if words in title]:
            return Entry("regression", verdict, tidy("; ".join(found)))
    if not_compared := [tidy(f"{title}: {why}") for title, why in titles if " improved: " not in title]:
        return Entry("regression", Verdict.INCONCLUSIVE, "; ".join(not_compared))
    return Entry("regression", Verdict.PASSED)


def _of_part(
    report: Report, info: StageInfo | None, label: str, others: set[str]
) -> tuple[Verdict | None, str]:  # fmt: skip
    """The verdict of one load or suite of a stage, and why it did not pass."""
    if info is None or info.verdict in (None, Verdict.SKIPPED, Verdict.ERROR):
        entry = _of_stage("", info)
        return entry.verdict, entry.reason
    suites = [suite for suite in report.suites if (suite.stage, suite.suite) == (info.name, label)]
    if suites and all(suite.skipped for suite in suites):
        return Verdict.SKIPPED, suites[0].skipped or ""
    if info.verdict is Verdict.PASSED:
        loads = [load for load in report.loads if load.stage == info.name and load.load.partition("@")[0] == label]
        return (Verdict.PASSED, "") if loads or suites else (Verdict.INCONCLUSIVE, "nothing was measured of it")
    foreign = _Foreign(report, info.name, others)
    spoilt = [
        (item.verdict, item.text)
        for stage, scope, item in report.thresholds
        if stage == info.name and item.verdict is not Verdict.PASSED
        and not scope.endswith(_BEYOND) and not foreign.threshold(scope, item)
    ]  # fmt: skip
    spoilt += [
        (Verdict.FAILED if item.severity is Severity.FAILURE else Verdict.INCONCLUSIVE, item.title)
        for stage, item in report.serious
        if stage == info.name and not foreign.finding(item)
    ]
    spoilt += [
        (info.verdict, "; ".join(texts))
        for reason in stage_reasons(report, info)
        if not foreign.subject(reason.subject) and (texts := [text for text in reason.texts if not foreign.tests(text)])
    ]
    held = any(
        stage == info.name and item.verdict is Verdict.PASSED and label in _subjects(item)
        for stage, _, item in report.thresholds
    )
    if spoilt or not held:
        verdict = combine(part for part, _ in spoilt) if spoilt else info.verdict
        texts = list(dict.fromkeys(text for part, text in spoilt if part is verdict and text))
        said = [text for text in texts if not any(other.startswith((f"{text} (", f"{text}:")) for other in texts)]
        why = {item.text: item.reason for stage, _, item in report.thresholds if stage == info.name and item.reason}
        return verdict, tidy("; ".join(f"{text}: {why[text]}" if text in why else text for text in said)) or tidy(
            info.reason
        )
    return Verdict.PASSED, ""


def _subjects(item: ThresholdResult) -> set[str]:
    try:
        return {comparison.subject for comparison in parse_threshold(item.text).comparisons}
    except ValueError:  # of a version that knew other words
        return set()


class _Foreign:
    """What is known to be about other parts of a stage alone."""

    def __init__(self, report: Report, stage: str, others: set[str]) -> None:
        self._others = others
        self._suites = {suite.suite for suite in report.suites if suite.stage == stage}
        tests: dict[str, set[str]] = {}
        for suite in report.suites:
            if suite.stage == stage:
                for outcome in suite.outcomes:
                    tests.setdefault(outcome.test, set()).add(suite.suite)
        self._tests = {test for test, suites in tests.items() if suites <= others}

    def subject(self, text: str) -> bool:
        return text in self._tests or re.split(r"[.{@]", text)[0] in self._others

    def tests(self, text: str) -> bool:
        """Whether it is about the tests of suites of which none is the part itself."""
        return bool(_OF_TESTS.fullmatch(text)) and bool(self._suites) and self._suites <= self._others

    def threshold(self, scope: str, item: ThresholdResult) -> bool:
        if scope:
            return self.subject(scope)
        subjects = _subjects(item)
        return bool(subjects) and subjects <= self._others

    def finding(self, item: Finding) -> bool:
        return bool(item.subject) and self.subject(item.subject)
