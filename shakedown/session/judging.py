"""From results to verdicts."""

from collections.abc import Sequence

from shakedown.analysis.diagnosis import failing_tests
from shakedown.analysis.evidence import Evidence
from shakedown.analysis.thresholds import judge_all
from shakedown.plan.model import Use, UseScenario
from shakedown.plan.references import label_of
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.judgement import Severity, ThresholdResult
from shakedown.records.load import LoadDelta, LoadResult, merge_parts
from shakedown.session.live import Session, StageOutcome
from shakedown.units import format_duration, format_share, format_size
from shakedown.verdict import Verdict, combine

__all__ = ["judge_stage", "judge_thresholds", "merged_loads", "run_verdict", "show_value"]

DEFAULT_ERROR_RATE = "1%"


def show_value(value: float | None, unit: str) -> str:
    """A value in its unit, for people."""
    if value is None:
        return "nothing"
    if unit == "s":
        return format_duration(value)
    if unit == "B":
        return format_size(value)
    if unit == "%":
        return format_share(value)
    return f"{value:.4g}{unit}"


def default_thresholds(uses: Sequence[Use], given: Sequence[str]) -> list[str]:
    """What must hold of the parts of a stage about which the plan says nothing: no part passes unjudged."""
    subjects = {parse_threshold(text).subject for text in given}
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
        merge_parts(known, LoadDelta(load.load, 0, load.counts, load.buckets, load.pulses, load.start_lag, load.errors))
        known.end = max(known.end, load.end)
        known.rate_held &= load.rate_held
        known.interrupted |= load.interrupted
        known.generator.starved = known.generator.starved or load.generator.starved
    return merged


def _copy(load: LoadResult) -> LoadResult:
    from copy import deepcopy  # noqa: PLC0415 - used here alone

    return deepcopy(load)


def judge_thresholds(
    session: Session, stage: str, texts: Sequence[str], *, loads: Sequence[LoadResult], start: float | None = None,
    end: float | None = None, scope: str = "",
) -> list[ThresholdResult]:  # fmt: skip
    """Judge and store thresholds of a stage, or of a window within it."""
    if not texts:
        return []
    now = session.clock.now()
    sample_start = start if start is not None else min((load.start for load in loads), default=0.0)
    evidence = Evidence(
        loads=merged_loads(loads),
        suites={
            label: [result for result in session.suites if result.stage == stage and result.suite == label]
            for label in {result.suite for result in session.suites if result.stage == stage}
        },
        samples=session.results.samples(session.run_id, sample_start, end if end is not None else now),
        start=start,
        end=end,
    )
    results = judge_all([parse_threshold(text) for text in texts], evidence)
    session.store.add_thresholds(session.run_id, stage, results, scope)
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
    results = judge_thresholds(session, stage, every, loads=loads)
    suites = [result for result in session.suites if result.stage == stage]
    for finding in failing_tests(suites):
        if stage != "endurance":  # there, flaky tests are judged over all repetitions
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
