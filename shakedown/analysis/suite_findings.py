"""What a reader must know of suites beside their failures: what could not be judged, what is slow, what gets slower."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from shakedown.analysis.paces import drifting_tests, slow_tests
from shakedown.records.judgement import Finding, Severity
from shakedown.records.suites import CUT_SHORT, SuiteResult
from shakedown.units import format_duration, format_share

__all__ = ["drifting_test_findings", "slow_test_findings", "unjudged_executions"]

SHOWN = 5


def unjudged_executions(results: Sequence[SuiteResult]) -> list[Finding]:
    """Executions that say nothing, or not all: a doubt for each suite, apart from any test's failure.

    What surrounds the tests (an interpreter, a container, a worker process, a file that cannot be collected) is always a
    doubt. A test that cut its execution short has its own failure already: that the tests after it did not run is a doubt
    only where no execution of the suite was whole.
    """
    findings = []
    for suite, executions in _by_suite(results).items():
        foreign = [one for one in executions if one.problem and not one.problem.startswith(CUT_SHORT)]
        short = [one for one in executions if one.problem and one.problem.startswith(CUT_SHORT)]
        skipped = [one for one in executions if one.skipped]
        if len(skipped) == len(executions):
            why = skipped[0].skipped or ""
            findings.append(Finding(Severity.DOUBT, f"suite {suite} was not run", why, (), "", suite))
        if foreign:
            title = f"{_times(foreign, executions)} of suite {suite} could not be judged, and by no test's fault"
            advice = "look at what surrounds the tests: files, interpreter, container, memory of the machine"
            findings.append(Finding(Severity.DOUBT, title, "", _evidence(foreign), advice, suite))
        if short:
            whole = any(not one.problem and not one.skipped for one in executions)
            title = f"{_times(short, executions)} of suite {suite} ended before all of its tests had run"
            said = (*_evidence(short), *(["other executions ran to their end"] if whole else []))
            findings.append(Finding(Severity.NOTE if whole else Severity.DOUBT, title, "", said, "", suite))
    return findings


def _by_suite(results: Sequence[SuiteResult]) -> dict[str, list[SuiteResult]]:
    groups: dict[str, list[SuiteResult]] = defaultdict(list)
    for result in results:
        groups[result.suite].append(result)
    return groups


def _times(some: Sequence[SuiteResult], executions: Sequence[SuiteResult]) -> str:
    return f"{len(some)} of {len(executions)} executions"


def _evidence(executions: Sequence[SuiteResult]) -> tuple[str, ...]:
    """Each reason with how often, and the command that repeats the first."""
    reasons = Counter((one.problem or "").removeprefix(CUT_SHORT) for one in executions)
    said = [f"{reason} ({count} times)" if count > 1 else reason for reason, count in reasons.most_common(SHOWN)]
    if len(reasons) > SHOWN:
        said.append(f"and {len(reasons) - SHOWN} other reasons")
    return (*said, f"repeat with: {executions[0].command}")


def drifting_test_findings(results: Sequence[SuiteResult], *, fails: bool = False) -> list[Finding]:
    """Tests that get slower; notes, unless more of them than a plan allows make them failures."""
    findings = []
    for one in drifting_tests(results):
        growth = one.growth
        over = f"{growth.cycles} runs in one process" if one.within else f"{growth.cycles} repetitions"
        cause = (
            "what it uses within the process grows with each run: a list, a cache, a registry"
            if one.within
            else "what it uses outside of its process grows with each repetition: a table, a folder, a queue"
        )
        findings.append(
            Finding(
                Severity.FAILURE if fails else Severity.NOTE,
                f"test {one.test} gets slower: {format_share(growth.growth)} over {over}",
                cause,
                (
                    f"from {format_duration(growth.start)} to {format_duration(growth.end)}",
                    f"95 % interval of the growth: {format_share(growth.low)} to {format_share(growth.high)}",
                    growth.reason,
                    f"repeat with: {one.command}",
                ),
                "",
                one.test,
            )
        )
    return findings


def slow_test_findings(
    results: Sequence[SuiteResult], *, limit: float | None = None, timeout: float | None = None
) -> list[Finding]:
    """Slow tests of one suite, as a note: a limit of `SUITE.longest` is what fails.

    Args:
        limit: the suite's `slow`, seconds.
        timeout: its `test_timeout`, seconds.
    """
    found = slow_tests(results, limit=limit, timeout=timeout)
    if not found:
        return []
    lines = [
        f"{one.test}: {format_duration(one.typical)}, at worst {format_duration(one.longest)} "
        f"({one.runs} run{'s' if one.runs > 1 else ''}); {one.why}"
        for one in found[:SHOWN]
    ]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more")
    first = found[0]
    title = (
        f"test {first.test} is slow: {format_duration(first.typical)}"
        if len(found) == 1
        else f"{len(found)} tests of {first.suite} are slow, the longest takes {format_duration(first.typical)}"
    )
    return [Finding(Severity.NOTE, title, "", tuple(lines), "", first.suite)]
