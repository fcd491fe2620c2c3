"""What repetitions say: growing resources, drifting figures, flaky tests."""

from collections.abc import Callable
from dataclasses import replace

from shakedown.analysis.compare import drifting_figure
from shakedown.analysis.diagnosis import drifting, failing_tests, growing_series
from shakedown.analysis.flakes import fewest_runs, runs_needed
from shakedown.analysis.growth import DEFAULT_LIMIT, ENOUGH, Growth, GrowthVerdict, judge_difference, judge_growth
from shakedown.analysis.suite_findings import drifting_test_findings, unjudged_executions
from shakedown.plan.model import EnduranceStage, Leak
from shakedown.records.judgement import Finding, Severity
from shakedown.records.suites import SuiteResult
from shakedown.results.workload import workload_digest
from shakedown.session.live import Session
from shakedown.units import format_duration, format_share
from shakedown.verdict import Verdict

__all__ = ["enough", "judge_repetitions"]

MOST_EARLIER = 5  # runs that are looked through for one that did not grow
QUANTILES = ("p50", "p95", "p99")
LATENCY_UNIT = 0.001  # seconds: a drift below it is nobody's concern


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
    if until.flake_rate is not None:
        needed = runs_needed(until.flake_rate)
        if (fewest := fewest_runs(results, needed)) >= needed:
            rate = format_share(until.flake_rate)
            return f"enough: {fewest} runs of every test: one that never failed fails less often than {rate} (95 %)"
    return None


def judge_repetitions(session: Session, stage: EnduranceStage) -> list[tuple[Verdict, str]]:
    """Judge every series that must not grow, and the tests over all repetitions; verdicts with their reasons."""
    cycles = session.results.cycles(session.run_id)
    parts: list[tuple[Verdict, str]] = []
    for leak in stage.leaks:
        source, _, series = leak.series.partition(".")
        values = [sample.value for _, sample in cycles if (sample.source, sample.series) == (source, series)]
        growth = judge_growth(values, max_growth=leak.max_growth)
        beside = _beside_earlier(session, leak, values)
        parts.append(_judge_series(session, leak, growth, growing_series, beside))
    for drift in stage.drifts:
        label, _, metric = drift.series.partition(".")
        loads = [load for load in session.loads if load.stage == "endurance" and load.load == label]
        figures = [figure for load in loads if (figure := drifting_figure(load, metric)) is not None]
        growth = judge_growth(figures, max_growth=drift.max_growth, unit=LATENCY_UNIT if metric in QUANTILES else 0.0)
        parts.append(_judge_series(session, drift, growth, drifting))
    suites = [result for result in session.suites if result.stage == "endurance"]
    unstable = failing_tests(suites)
    for finding in unstable:
        session.find("endurance", finding)
    if suites and len(unstable) > stage.flaky_tests:
        parts.append((Verdict.FAILED, f"{len(unstable)} tests failed in some repetition, {stage.flaky_tests} allowed"))
    for finding in [*unjudged_executions(suites), *_not_bounded(stage, suites)]:
        session.find("endurance", finding)
    slower = drifting_test_findings(suites)
    if stage.drifting_tests is not None and len(slower) > stage.drifting_tests:
        parts.append((Verdict.FAILED, f"{len(slower)} tests get slower, {stage.drifting_tests} allowed"))
        slower = drifting_test_findings(suites, fails=True)
    for finding in slower:
        session.find("endurance", finding)
    return parts


def _not_bounded(stage: EnduranceStage, suites: list[SuiteResult]) -> list[Finding]:
    """A note that the repetitions ended before the flake rate was bounded as asked."""
    if stage.until is None or stage.until.flake_rate is None or not suites:
        return []
    needed, rate = runs_needed(stage.until.flake_rate), format_share(stage.until.flake_rate)
    if (fewest := fewest_runs(suites)) >= needed:
        return []
    title = f"{rate} of flakes was not bounded: a test ran {fewest} times, {needed} runs are needed"
    return [Finding(Severity.NOTE, title, "", (), f"repeat {needed} times, or set `count`", "")]


def _beside_earlier(session: Session, leak: Leak, values: list[float]) -> str:
    """How a series differs from that of the newest earlier run of the same work in which it did not grow; empty without one.

    It is said, and decides nothing: a series is judged by itself.
    """
    if len(values) < ENOUGH:
        return ""
    found = _earlier(session, leak)
    difference = judge_difference(values, found[1], max_growth=leak.max_growth) if found is not None else None
    if found is None or difference is None:
        return ""
    more = "it grows more than" if difference.verdict is GrowthVerdict.GROWS else "no sustained growth beyond that of"
    return (
        f"{more} the earlier run {found[0]}, which did not grow: {format_share(difference.growth)} more "
        f"(95 % interval {format_share(difference.low)} to {format_share(difference.high)}) over the last {difference.cycles} repetitions"
    )


def _earlier(session: Session, leak: Leak) -> tuple[str, list[float]] | None:
    """Of the newest earlier run of the same plan, work and machine that has enough cycles and in which the series did not grow."""
    info = session.results.run(session.run_id)
    work = workload_digest(session.loaded.resolved)
    if not info.machine or not work:
        return None
    source, _, series = leak.series.partition(".")
    peers = session.results.peers(
        info.plan, info.profile, workload=work, machine=info.machine,
        until=info.started, limit=MOST_EARLIER,
    )  # fmt: skip
    for peer in reversed(peers):
        values = [sample.value for _, sample in session.results.cycles(peer.id, source, series)]
        if len(values) >= ENOUGH and judge_growth(values).verdict is GrowthVerdict.STEADY:
            return peer.id, values
    return None


def _judge_series(
    session: Session, leak: Leak, growth: Growth, finding_of: Callable[[str, Growth], Finding], beside: str = ""
) -> tuple[Verdict, str]:
    source = leak.series.partition(".")[0]
    words = f"{leak.series}: {format_share(growth.growth)} over {growth.cycles} repetitions"
    limit = format_share(leak.max_growth if leak.max_growth is not None else DEFAULT_LIMIT)
    interval = f"95 % interval {format_share(growth.low)} to {format_share(growth.high)}, limit {limit}"
    if growth.verdict is GrowthVerdict.GROWS:
        finding = finding_of(leak.series, growth)
        finding = replace(finding, evidence=(*finding.evidence, *((beside,) if beside else ())))
        session.find("endurance", finding)
        return Verdict.FAILED, finding.title
    if growth.verdict is GrowthVerdict.STEADY:
        said = (interval, growth.reason, *((beside,) if beside else ()))
        session.find("endurance", Finding(Severity.NOTE, f"{words}: steady", "", said, "", source))
        return Verdict.PASSED, words
    advice = f"repeat about {growth.needed} times"
    session.find(
        "endurance", Finding(Severity.DOUBT, f"{words}: not settled", growth.reason, (interval,), advice, source)
    )
    return Verdict.INCONCLUSIVE, f"{words}: {growth.reason}"
