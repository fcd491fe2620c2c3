"""What repetitions say: growing resources, flaky tests."""

from shakedown.analysis.diagnosis import failing_tests, growing_series
from shakedown.analysis.flakes import merge_tests
from shakedown.analysis.growth import DEFAULT_LIMIT, GrowthVerdict, judge_growth
from shakedown.plan.model import EnduranceStage
from shakedown.records.judgement import Finding, Severity
from shakedown.session.live import Session
from shakedown.units import format_duration, format_share
from shakedown.verdict import Verdict

__all__ = ["enough", "judge_repetitions"]


def enough(session: Session, stage: EnduranceStage, elapsed: float, repetition: int) -> str | None:
    """Why no further repetition is needed; None while one is."""
    until = stage.until
    if until is None or repetition == stage.repeat:
        return None
    if until.duration is not None and elapsed >= until.duration:
        return f"enough: {format_duration(elapsed)} of repetitions"
    results = [result for result in session.suites if result.stage == "endurance"]
    bad = {result.repetition for result in results if any(outcome.status.bad for outcome in result.outcomes)}
    if until.failures is not None and len(bad) >= until.failures:
        return f"enough: {len(bad)} repetitions had a failed test"
    if until.flake_rate is not None and results:
        worst = max((record.bound for record in merge_tests(results)), default=1.0)
        if worst < until.flake_rate:
            return f"enough: every test fails less often than {format_share(worst)} (95 %)"
    return None


def judge_repetitions(session: Session, stage: EnduranceStage) -> list[tuple[Verdict, str]]:
    """Judge every series that must not grow, and the tests over all repetitions; verdicts with their reasons."""
    cycles = session.results.cycles(session.run_id)
    parts: list[tuple[Verdict, str]] = []
    for leak in stage.leaks:
        source, _, series = leak.series.partition(".")
        values = [sample.value for _, sample in cycles if (sample.source, sample.series) == (source, series)]
        growth = judge_growth(values, max_growth=leak.max_growth)
        words = f"{leak.series}: {format_share(growth.growth)} over {growth.cycles} repetitions"
        interval = f"95 % interval {format_share(growth.low)} to {format_share(growth.high)}, limit {format_share(leak.max_growth or DEFAULT_LIMIT)}"
        if growth.verdict is GrowthVerdict.GROWS:
            finding = growing_series(leak.series, growth)
            session.find("endurance", finding)
            parts.append((Verdict.FAILED, finding.title))
        elif growth.verdict is GrowthVerdict.STEADY:
            session.find("endurance", Finding(Severity.NOTE, f"{words}: steady", "", (interval,), "", source))
            parts.append((Verdict.PASSED, words))
        else:
            session.find(
                "endurance",
                Finding(
                    Severity.DOUBT,
                    f"{words}: not settled",
                    growth.reason,
                    (interval,),
                    f"repeat about {growth.needed} times",
                    source,
                ),
            )
            parts.append((Verdict.INCONCLUSIVE, f"{words}: {growth.reason}"))
    suites = [result for result in session.suites if result.stage == "endurance"]
    unstable = failing_tests(suites)
    for finding in unstable:
        session.find("endurance", finding)
    if suites and len(unstable) > stage.flaky_tests:
        parts.append((Verdict.FAILED, f"{len(unstable)} tests failed in some repetition, {stage.flaky_tests} allowed"))
    return parts
