"""What a run did not test, or could not judge: the part of the plan about which the verdict says nothing."""

import json
from collections.abc import Iterator
from typing import Any

from shakedown.reports.model import Report
from shakedown.reports.reasons import tidy
from shakedown.results import PROFILE_CUTS
from shakedown.units import format_duration
from shakedown.verdict import Verdict

__all__ = ["untested"]


def untested(report: Report) -> list[tuple[str, str]]:
    """What was not tested, and why; in the order of the stages."""
    plan = _plan(report)
    return [
        *_cuts(report), *_stages(report, plan), *_experiments(report, plan), *_untouched(report, plan), *_thresholds(report),
        *_ledgers(report, plan), *_tests(report), *_samples(report),
    ]  # fmt: skip


def _plan(report: Report) -> dict[str, Any]:
    """The plan as it was stored; empty when it is none (an older or foreign database)."""
    try:
        plan = json.loads(report.run.plan_json)
    except ValueError:
        return {}
    return plan if isinstance(plan, dict) else {}


def _section(plan: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        found = plan.get(name)
        plan = found if isinstance(found, dict) else {}
    return plan


def _cuts(report: Report) -> Iterator[tuple[str, str]]:
    """What a profile makes less of: what takes longer or more to show was not looked for."""
    cuts = report.run.environment.get(PROFILE_CUTS)
    if cuts:
        yield "the plan in full", f"the profile {report.run.profile} runs it so: {cuts}"


def _stages(report: Report, plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    known = {stage.name for stage in report.stages}
    causes: dict[str, list[str]] = {}
    for stage in report.stages:
        if stage.verdict is Verdict.SKIPPED:
            causes.setdefault(stage.reason or "skipped", []).append(stage.name)
        elif stage.verdict is None:
            causes.setdefault("begun and not ended: what was measured is not judged", []).append(stage.name)
    for name, stage_plan in _section(plan, "stages").items():
        if stage_plan and name not in known:
            causes.setdefault("the run did not get there", []).append(name)
    for reason, names in causes.items():
        yield f"stage{'s' if names[1:] else ''} {', '.join(names)}", reason


def _experiments(report: Report, plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    known = {info.record.name for info in report.experiments}
    for info in report.experiments:
        record = info.record
        if record.refused:
            yield f"experiment {record.name}", f"not injected: {record.refused}"
        elif info.verdict is None:
            yield f"experiment {record.name}", "not judged: the run ended before"
        elif info.verdict is Verdict.INCONCLUSIVE:
            yield f"experiment {record.name}", f"not judged: {tidy(info.reason)}"
    if any(stage.name == "faults" and stage.verdict is Verdict.SKIPPED for stage in report.stages):
        return
    for item in _section(plan, "stages", "faults").get("experiments") or ():
        if isinstance(item, dict) and item.get("name") not in known:
            yield f"experiment {item.get('name')}", "the run did not get there"


def _untouched(report: Report, plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Services that no fault disturbed, of a run that disturbed any."""
    disturbed = {
        info.record.target for info in report.experiments if info.record.effect is not None and info.record.effect.held
    }
    names = [name for name, _, _ in report.services] or list(_section(plan, "services"))
    left = [name for name in names if name not in disturbed]
    if disturbed and left:
        yield f"the loss of {', '.join(left)}", "no experiment disturbed them" if left[1:] else "no experiment did"


def _thresholds(report: Report) -> Iterator[tuple[str, str]]:
    causes: dict[tuple[str, str], list[str]] = {}
    for stage, scope, item in report.thresholds:
        if item.verdict is Verdict.INCONCLUSIVE:
            causes.setdefault((scope or stage, item.reason), []).append(item.text)
    for (where, reason), texts in causes.items():
        yield f"{where}: {', '.join(texts)}", f"not judged: {reason or 'not enough was measured'}"
    for entry in report.comparisons:
        if entry.verdict is Verdict.INCONCLUSIVE:
            yield f"the return of {entry.subject}.{entry.metric}", f"not judged: {entry.reason or 'too little data'}"


def _ledgers(report: Report, plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    known = {item.ledger for item in report.ledgers}
    for item in report.ledgers:
        if item.problem:
            yield f"ledger {item.ledger}", f"not judged in full: {item.problem}"
    if any(stage.name == "recovery" and stage.verdict is Verdict.SKIPPED for stage in report.stages):
        return
    for name in _section(plan, "ledgers"):
        if name not in known:
            yield f"ledger {name}", "never read back"


def _tests(report: Report) -> Iterator[tuple[str, str]]:
    for suite in dict.fromkeys((suite.stage, suite.suite) for suite in report.suites):
        parts = [part for part in report.suites if (part.stage, part.suite) == suite]
        skipped = {outcome.test for part in parts for outcome in part.outcomes if outcome.status == "skipped"}
        why = next((part.skipped for part in parts if part.skipped), None)
        if skipped:
            yield f"{len(skipped)} tests of {suite[1]} in {suite[0]}", "the suite itself skips them"
        if why:
            yield f"suite {suite[1]} in {suite[0]}", why


def _samples(report: Report) -> Iterator[tuple[str, str]]:
    """What could not be sampled, all of the time or some of it."""
    blind: dict[tuple[str, str], list[tuple[float, float]]] = {}
    words: dict[tuple[str, str], str] = {}
    for event in report.events:
        kind, _, message = event.message.partition(": ")
        key = (event.subject, kind)
        if event.kind == "sampler.failed":
            blind.setdefault(key, []).append((event.at, report.end))
            words.setdefault(key, message)
        elif event.kind == "sampler.recovered" and key in blind:
            blind[key][-1] = (blind[key][-1][0], event.at)
    for (subject, kind), spans in blind.items():
        seconds = sum(max(end - start, 0.0) for start, end in spans)
        since = f"not read for {format_duration(seconds)} from {spans[0][0]:.1f} s on"
        times = f", {len(spans)} times in all" if spans[1:] else ""
        yield f"{kind} of {subject}", f"{since}{times}: {words[subject, kind] or 'no reason was given'}"
