"""From what was measured to what a reader should know: symptom, evidence, likeliest cause, what to do."""

from collections.abc import Sequence

from shakedown.analysis.flakes import merge_tests, shared_failures
from shakedown.analysis.growth import Growth
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, Severity
from shakedown.records.ledger import LedgerFault, LedgerResult
from shakedown.records.load import LoadResult
from shakedown.records.recovery import HealthTruth, RecoveryMeasurement
from shakedown.records.suites import SuiteResult
from shakedown.units import format_duration, format_number, format_share, format_size

__all__ = [
    "drifting",
    "failing_tests",
    "growing_series",
    "ledger_findings",
    "lying_health",
    "not_recovered",
    "wrong_health",
]

LYING_SECONDS = 2.0
LYING_SHARE = 0.5
SHOWN = 5
_CAUSES = {
    "order-dependent": "it relies on what another test left behind, or is disturbed by it",
    "load-dependent": "it shares something with the tests beside it, or waits for too short a time",
    "flaky": "a race, time, randomness or something outside of it",
}


def not_recovered(
    record: ExperimentRecord, recovery: RecoveryMeasurement, limit: float, *, client: str, unhealthy: Sequence[str],
    errors: Sequence[str],
) -> Finding:  # fmt: skip
    """The system did not come back within its limit.

    Args:
        limit: seconds allowed.
        client: the service that the load talks to.
        unhealthy: services that were healthy before the fault and are not at the end of the watching.
        errors: what clients still see, in words; empty when they see nothing wrong.
    """
    others = [name for name in unhealthy if name not in (client, record.target)]
    victim = client if errors or not others else others[0]
    if recovery.recovered_after is not None:
        title = f"{record.name}: recovered only after {format_duration(recovery.recovered_after)}"
    else:
        title = f"{record.name}: {victim} did not recover within {format_duration(limit)} after the fault was gone"
    if record.target in unhealthy:
        cause = f"{record.target} itself does not get healthy after it was disturbed"
        advice = f"read the log of {record.target} from the time of the fault"
    elif victim != record.target and (errors or others):
        cause = (
            f"{record.target} is back, but {victim} still fails: it does not make its connection to "
            f"{record.target} anew, or it broke altogether (no reconnect)"
        )
        advice = f"let {victim} make its connection to {record.target} anew when it breaks; read its log from then on"
    else:
        cause = f"{victim} answers too slowly although the fault is gone"
        advice = f"read the logs of {victim} and {record.target} from the time of the fault"
    watched = f", watched for {format_duration(recovery.censored_at)}" if recovery.censored_at else ""
    evidence = [f"fault reverted at {record.reverted_at or 0:.1f} s{watched}"]
    if unhealthy:
        evidence.append(f"still unhealthy at the end: {', '.join(unhealthy)}")
    evidence += errors[:SHOWN]
    return Finding(Severity.FAILURE, title, cause, tuple(evidence), advice, record.name)


def lying_health(record: ExperimentRecord, truth: HealthTruth) -> Finding | None:
    """A health endpoint that said all was well while clients failed; None when it told the truth."""
    failing = truth.failing_and_unhealthy + truth.healthy_while_failing
    if truth.healthy_while_failing < max(LYING_SECONDS, LYING_SHARE * failing):
        return None
    return Finding(
        Severity.FAILURE,
        f"{record.name}: the health of {truth.service} lies: it said healthy for "
        f"{format_duration(truth.healthy_while_failing)} while its clients failed",
        f"the health endpoint of {truth.service} does not look at what the service depends on (lying health)",
        (
            f"clients failed for {format_duration(failing)}; unhealthy was said for {format_duration(truth.failing_and_unhealthy)} of it",
        ),
        "let the health endpoint look at each dependency, with a short time-out",
        record.name,
    )


def wrong_health(record: ExperimentRecord, service: str, wanted: str, share: float | None) -> Finding:
    """A service's health was not what the plan expects while the fault held.

    Args:
        share: of the looks that found it unhealthy; None when there was none.
    """
    cause = advice = ""
    if wanted == "unhealthy":
        cause = f"the health endpoint of {service} does not show the loss of {record.target}"
        advice = f"let the health of {service} look at {record.target}"
        if share == 0:
            cause += ": it said all the while that all is well (lying health)"
            advice += ", with a short time-out"
    seen = "was never looked at" if share is None else f"said unhealthy in {format_share(share)} of the looks"
    return Finding(
        Severity.FAILURE if share is not None else Severity.DOUBT,
        f"{record.name}: the health of {service} should have been {wanted} while the fault held",
        cause,
        (f"it {seen}",),
        advice,
        record.name,
    )


def growing_series(series: str, growth: Growth) -> Finding:
    """A series that grows from repetition to repetition."""
    bytes_ = "memory" in series
    show = format_size if bytes_ else format_number
    what = "memory" if bytes_ else series.partition(".")[2]
    return Finding(
        Severity.FAILURE,
        f"{series} grows: {format_share(growth.growth)} over {growth.cycles} repetitions",
        f"something is kept for every request and never given back ({what} leak)",
        (
            f"from {show(growth.start)} to {show(growth.end)}, {show(growth.per_cycle)} per repetition",
            f"95 % interval of the growth: {format_share(growth.low)} to {format_share(growth.high)}",
            growth.reason,
        ),
        f"look for caches and lists without a bound in {series.partition('.')[0]}",
        series.partition(".")[0],
    )


def drifting(series: str, growth: Growth) -> Finding:
    """A figure of a load that gets worse from repetition to repetition."""
    falls = series.endswith(".throughput")
    words = f"{series} {'falls' if falls else 'grows'}"
    interval = f"{format_share(growth.low)} to {format_share(growth.high)}"
    share = growth.growth / (1 + growth.growth) if falls else growth.growth  # it is judged by the time for a request
    return Finding(
        Severity.FAILURE,
        f"{words}: {format_share(share)} over {growth.cycles} repetitions",
        "the service gets slower the longer it runs: something fills up, is searched through, or is shared more and more",
        (f"95 % interval{' of the time for a request' if falls else ''}: {interval}", growth.reason),
        "compare its resources, tables and caches at the first and the last repetition",
        series.partition(".")[0],
    )


def failing_tests(results: Sequence[SuiteResult]) -> list[Finding]:
    """Tests that failed: how often, in which ways, with the first message and the command that repeats it.

    Tests that fail alike in one execution are one event, and a test that failed in such events alone is not named again.
    """
    shared = shared_failures(results)
    together: dict[tuple[str, str], int] = {}
    findings = []
    for event in shared:
        for test in event.tests:
            together[event.suite, test] = together.get((event.suite, test), 0) + 1
        shown = ", ".join(event.tests[:SHOWN]) + (
            f" and {len(event.tests) - SHOWN} more" if event.tests[SHOWN:] else ""
        )
        where = f" in repetition {event.repetition}" if len(results) > 1 else ""
        title = f"{len(event.tests)} tests of {event.suite} failed alike{where}: {event.message}"
        said = (f"tests: {shown}", f"repeat with: {event.command}")
        findings.append(Finding(Severity.FAILURE, title, "one cause, not many", said, "", event.suite))
    for record in merge_tests(results):
        if (
            record.first is None
            or record.first_in is None
            or record.failures == together.get((record.suite, record.test))
        ):
            continue
        words = "" if record.runs == 1 else f" {record.failures} of {record.runs} times ({record.kind})"
        ways = ", ".join(f"{count} {way}" for way, count in record.ways)
        evidence = (
            *(
                [f"{ways}; its rate is {format_share(record.low)} to {format_share(record.high)} (95 %)"]
                if words
                else []
            ),
            *([record.why] if record.why else []),
            f"first message: {record.first.message or 'none'}",
            f"repeat with: {record.first_in.command}",
        )
        findings.append(
            Finding(
                Severity.FAILURE,
                f"test {record.test} failed{words}",
                _CAUSES.get(record.kind, ""),
                evidence,
                "",
                record.test,
            )
        )
    return findings


def ledger_findings(result: LedgerResult, experiments: Sequence[ExperimentRecord]) -> list[Finding]:
    """Writes that were acknowledged and are not there, or there more than once, with the faults they fell into."""
    findings = []
    if result.lost:
        lost = [fault for fault in result.faults if fault.kind == "lost"]
        findings.append(
            Finding(
                Severity.FAILURE,
                f"{result.lost} of {result.acknowledged} acknowledged writes in `{result.ledger}` were lost",
                "writes are acknowledged before they are stored (lost writes)",
                (
                    *_when(lost, result.lost, experiments),
                    *(f"{fault.key}, sent at {fault.sent_at:.2f} s: {fault.detail}" for fault in lost[:SHOWN]),
                ),
                "acknowledge a write only after it is stored where it survives a crash",
                result.ledger,
            )
        )
    if result.duplicated:
        double = [fault for fault in result.faults if fault.kind == "duplicated"]
        findings.append(
            Finding(
                Severity.FAILURE,
                f"{result.duplicated} of {result.acknowledged} acknowledged writes in `{result.ledger}` are there more than once",
                "a retry stores again what the first attempt had stored (duplicate writes)",
                (
                    *_when(double, result.duplicated, experiments),
                    *(f"{fault.key}, sent at {fault.sent_at:.2f} s: {fault.detail}" for fault in double[:SHOWN]),
                ),
                "make the write idempotent by its key",
                result.ledger,
            )
        )
    return findings


def _when(faults: Sequence[LedgerFault], total: int, experiments: Sequence[ExperimentRecord]) -> list[str]:
    """How many of the listed faults, of `total`, fell into which experiment."""
    lines, outside = [], len(faults)
    for record in experiments:
        if record.applied_at is None or record.reverted_at is None:
            continue
        inside = sum(record.applied_at - 1 <= fault.sent_at <= record.reverted_at + 1 for fault in faults)
        outside -= inside
        if inside:
            lines.append(f"{inside} were sent during `{record.name}`")
    if outside and faults:
        lines.append(f"{outside} were sent outside any fault")
    if total > len(faults):  # the ledger lists no more of them
        lines = [f"of the first {len(faults)}, {line}" for line in lines]
    return lines


def error_words(load: LoadResult, since: float) -> list[str]:
    """What clients still saw after an instant."""
    return [
        f"{error.request}: {error.kind}, {error.count} times, last at {error.last_at:.1f} s: {error.example}"
        for error in sorted(load.errors, key=lambda error: -error.last_at)
        if error.last_at >= since
    ]
