"""From results to verdicts."""

from collections.abc import Sequence

from shakedown.analysis.abort import settle_abort
from shakedown.analysis.diagnosis import failing_tests
from shakedown.analysis.evidence import Evidence
from shakedown.analysis.judged import shown
from shakedown.analysis.suite_findings import slow_test_findings
from shakedown.analysis.thresholds import judge_all
from shakedown.plan.model import Use, UseScenario, UseSuite
from shakedown.plan.thresholds import parse_threshold
from shakedown.plan.uses import label_of, request_tags
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.records.load import LoadDelta, LoadResult, merge_parts
from shakedown.records.suites import SuiteResult
from shakedown.session.live import STAGES, Session, StageOutcome
from shakedown.verdict import Verdict, combine

__all__ = ["baseline_evidence", "judge_stage", "judge_thresholds", "merged_loads", "run_verdict", "show_value"]

DEFAULT_ERROR_RATE = "1%"


def show_value(value: float | None, unit: str) -> str:
    """A value in its unit, for people."""
    return shown(value, unit)


def default_thresholds(uses: Sequence[Use], given: Sequence[str]) -> list[str]:
    """What must hold of the parts of a stage about which the plan says nothing: no part passes unjudged."""
    subjects = frozenset().union(*(parse_threshold(text).judges() for text in given))
    found = []
    for use in uses:
        label = label_of(use)
        if label not in subjects:
            wanted = f"error_rate < {DEFAULT_ERROR_RATE}" if isinstance(use, UseScenario) else "success_rate >= 100%"
            found.append(f"{label}.{wanted}")
    return found


def merged_loads(loads: Sequence[LoadResult]) -> dict[str, LoadResult]:
    """Loads by label; the repetitions of one are one."""
    merged: dict[str, LoadResult] = {}
    for load in loads:
        known = merged.get(load.load)
        if known is None:
            merged[load.load] = _copy(load)
            continue
        part = LoadDelta(
            load.load, 0, load.counts, load.buckets, load.pulses, load.start_lag, load.errors, load.degraded, load.dues
        )
        merge_parts(known, part)
        known.start = min(known.start, load.start)
        known.end = max(known.end, load.end)
        known.rate_held &= load.rate_held
        known.interrupted |= load.interrupted
        known.generator.starved = known.generator.starved or load.generator.starved
    return merged


def _copy(load: LoadResult) -> LoadResult:
    from copy import deepcopy  # noqa: PLC0415 - used here alone

    return deepcopy(load)


def _tags(session: Session, loads: Sequence[LoadResult]) -> dict[str, dict[str, dict[str, str]]]:
    """By load, the requests that the plan gives it, with their tags."""
    scenarios = session.loaded.plan.scenarios
    return {load.load: request_tags(scenarios[load.scenario]) for load in loads if load.scenario in scenarios}


def _spans(loads: Sequence[LoadResult]) -> dict[str, list[tuple[float, float]]]:
    """By load, when it ran: once, or once in each repetition."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for load in sorted(loads, key=lambda one: one.start):
        spans.setdefault(load.load, []).append((load.judged_from, load.end))
    return spans


def _suites(session: Session, stage: str) -> dict[str, list[SuiteResult]]:
    found: dict[str, list[SuiteResult]] = {}
    for result in session.suites:
        if result.stage == stage:
            found.setdefault(result.suite, []).append(result)
    return found


def baseline_evidence(session: Session) -> Evidence | None:
    """What the baseline measured, for limits that are relative to it; None when it measured nothing."""
    loads = [load for load in session.loads if load.stage == "baseline"]
    suites = _suites(session, "baseline")
    ran = [(load.start, load.end) for load in loads]
    ran += [(result.start, result.end) for results in suites.values() for result in results]
    if not ran:
        return None
    start, end = min(begin for begin, _ in ran), max(end for _, end in ran)
    return Evidence(
        loads=merged_loads(loads),
        suites=suites,
        samples=session.results.samples(session.run_id, start, end),
        tags=_tags(session, loads),
        spans=_spans(loads),
    )


def judge_thresholds(
    session: Session, stage: str, texts: Sequence[str], *, loads: Sequence[LoadResult], start: float | None = None,
    end: float | None = None, scope: str = "", aborted: Sequence[ThresholdResult] = (),
) -> list[ThresholdResult]:  # fmt: skip
    """Judge and store thresholds of a stage, or of a window within it.

    Args:
        aborted: thresholds that ended their load; what they said then is their verdict, whatever came after.
    """
    results = look_at_thresholds(session, stage, texts, loads=loads, start=start, end=end, aborted=aborted)
    session.store.add_thresholds(session.run_id, stage, results, scope)
    return results


def look_at_thresholds(
    session: Session, stage: str, texts: Sequence[str], *, loads: Sequence[LoadResult], start: float | None = None,
    end: float | None = None, aborted: Sequence[ThresholdResult] = (),
) -> list[ThresholdResult]:  # fmt: skip
    """Judge thresholds on what was measured so far; nothing is stored."""
    if not texts:
        return []
    now = session.clock.now()
    thresholds = [parse_threshold(text) for text in texts]
    relative = any(item.factor is not None for threshold in thresholds for item in threshold.comparisons)
    sample_start = start if start is not None else min((load.start for load in loads), default=0.0)
    evidence = Evidence(
        loads=merged_loads(loads),
        suites=_suites(session, stage),
        samples=session.results.samples(session.run_id, sample_start, end if end is not None else now),
        start=start,
        end=end,
        tags=_tags(session, loads),
        spans=_spans(loads),
        ledgers={item.ledger: item for item in session.results.ledgers(session.run_id)} if stage == "recovery" else {},
        baseline=baseline_evidence(session) if relative else None,
    )
    breaches = {result.text: result for result in aborted}
    results = judge_all(thresholds, evidence)
    for position, (threshold, result) in enumerate(zip(thresholds, results, strict=True)):
        if breach := breaches.get(result.text):
            about = [evidence.loads[item.subject] for item in threshold.comparisons if item.subject in evidence.loads]
            results[position] = settle_abort(result, breach, about)
    return results


def judge_stage(
    session: Session,
    stage: str,
    uses: Sequence[Use],
    texts: Sequence[str],
    *,
    extra: Sequence[tuple[Verdict, str]] = (),
) -> StageOutcome:
    """Judge a stage by its thresholds, the defaults for what has none, and whatever else it found.

    Args:
        extra: further verdicts with their reasons.
    """
    loads = [load for load in session.loads if load.stage == stage]
    every = [*texts, *default_thresholds(uses, texts)]
    results = judge_thresholds(
        session, stage, every, loads=loads, aborted=session.aborts.breached if session.aborts else ()
    )
    suites = [result for result in session.suites if result.stage == stage]
    for finding in failing_tests(suites):
        if stage != "endurance":  # there, flaky tests are judged over all repetitions
            session.find(stage, finding)
    for finding in _slow_tests(session, uses, suites):
        session.find(stage, finding)
    parts = [(result.verdict, _words(result)) for result in results] + list(extra)
    parts += [
        (Verdict.FAILED if finding.severity is Severity.FAILURE else Verdict.INCONCLUSIVE, finding.title)
        for where, finding in session.findings
        if where == stage and finding.severity is not Severity.NOTE and not _is_test(finding.title)
    ]
    verdict = combine(part for part, _ in parts)
    decisive = [words for part, words in parts if part is verdict and part is not Verdict.PASSED]
    return session.end_stage(stage, verdict, "; ".join(dict.fromkeys(decisive)))


def _slow_tests(session: Session, uses: Sequence[Use], suites: Sequence[SuiteResult]) -> list[Finding]:
    """Of each suite that ran in a stage, by its own limits."""
    plan = session.loaded.plan
    repeated = plan.stages.endurance.run if plan.stages.endurance is not None else []
    named = {label_of(use): use.suite for use in (*uses, *repeated) if isinstance(use, UseSuite)}
    findings = []
    for label in dict.fromkeys(result.suite for result in suites):
        suite = plan.suites.get(named.get(label, label))
        limits = (suite.slow, suite.test_timeout) if suite is not None else (None, None)
        executions = [result for result in suites if result.suite == label]
        findings += slow_test_findings(executions, limit=limits[0], timeout=limits[1])
    return findings


def _is_test(title: str) -> bool:
    """Failing tests are counted by the suite's own threshold already."""
    return title.startswith("test ")


def _words(result: ThresholdResult) -> str:
    words = f"{result.text}: {show_value(result.actual, result.unit)}"
    return f"{words} ({result.reason})" if result.reason else words


def run_verdict(session: Session, problems: Sequence[str]) -> tuple[Verdict, str]:
    """The run's verdict and its decisive reasons.

    Args:
        problems: what clean-up could not do; a leftover fails the run.
    """
    parts = [(outcome.verdict, f"{outcome.name}: {outcome.reason}") for outcome in session.outcomes]
    told = {outcome.name for outcome in session.outcomes}
    # The last defence: nothing that the plan asks for may be missing from a verdict.
    planned = [name for name in STAGES if getattr(session.loaded.plan.stages, name) is not None]
    parts += [(Verdict.ERROR, f"{name}: it came to no end") for name in planned if name not in told]
    parts += [(Verdict.FAILED, problem) for problem in problems]
    if session.lost_writes:
        parts.append(
            (
                Verdict.ERROR,
                f"{len(session.lost_writes)} batches of results could not be stored: {session.lost_writes[0]}",
            )
        )
    verdict = combine(part for part, _ in parts)
    if verdict is Verdict.PASSED:
        return verdict, "every stage held what the plan asks of it"
    return verdict, "; ".join(words for part, words in parts if part is verdict)
