"""What is concluded of a service's health and of alerts: did they tell of the fault in time, and of nothing else?"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shakedown.analysis.diagnosis import lying_health, wrong_health
from shakedown.analysis.health import share_unhealthy
from shakedown.plan.experiments import Experiment
from shakedown.plan.wishes import HealthWish, parse_alert_wish, parse_health_wish
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, Severity
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import AlertTruth, HealthTruth, Moment, RecoveryMeasurement
from shakedown.units import format_duration
from shakedown.verdict import Verdict, combine

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["judge_alerts", "judge_health"]

HEALTH_DELAY = 2.0  # a health endpoint may take this long to notice, where the plan gives no limit
HEALTH_SHARE = 0.7
HEALTH_WINDOW = 1.0  # in less time, a few looks would decide
FLAPS = 4  # changes of mind under a steady fault: twice there and back

Part = tuple[Verdict, str]


def within_limit(moment: Moment | None, origin: float, limit: float, until: float) -> Verdict:
    """Whether something happened within a limit after an instant; inconclusive where the interval does not say.

    Args:
        until: as far as it was looked for.
    """
    if moment is None:
        return Verdict.FAILED if until >= origin + limit else Verdict.INCONCLUSIVE
    if moment.latest - origin <= limit:
        return Verdict.PASSED
    return Verdict.FAILED if moment.earliest - origin > limit else Verdict.INCONCLUSIVE


def judge_health(
    bench: "FaultBench", record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement,
    probes: Sequence[ProbeResult], quiet: float,
) -> list[Part]:  # fmt: skip
    """Lies to clients, and whatever the plan expects of health; verdicts with their reasons.

    Args:
        probes: every look of the run.
        quiet: when the next fault began, or the load ended.
    """
    session, parts, lied = bench.session, [], set()
    well = {name for name, text in experiment.expect.health.items() if parse_health_wish(text).says == "healthy"}
    for truth in recovery.health:
        # A service that refuses what is too much is well: where the plan says so, healthy is no lie.
        if truth.service == bench.client and truth.service not in well and (lie := lying_health(record, truth)):
            session.find("faults", lie)
            parts.append((Verdict.FAILED, lie.title))
            lied.add(truth.service)
        if truth.changes >= FLAPS:
            session.find("faults", _flapping(record, truth))
    truths = {truth.service: truth for truth in recovery.health}
    for service, text in experiment.expect.health.items():
        wish = parse_health_wish(text)
        start = (record.applied_at or 0.0) + (wish.within or HEALTH_DELAY)
        end = record.revert_asked_at or 0.0
        share = share_unhealthy(probes, service, start, end) if end - start >= HEALTH_WINDOW else None
        good = share is not None and (share >= HEALTH_SHARE if wish.says == "unhealthy" else share <= 1 - HEALTH_SHARE)
        found = list(_delays(record, service, wish, truths.get(service), quiet))
        parts += [(verdict, words if verdict is not Verdict.PASSED else "") for verdict, words in found]
        for verdict, words in found:
            if verdict is Verdict.FAILED:
                session.find(
                    "faults", _late(record, words, f"the health of {service} looks too seldom, or waits too long")
                )
        if good or combine(verdict for verdict, _ in found) is Verdict.FAILED:
            parts.append((Verdict.PASSED, ""))
            continue
        finding = wrong_health(record, service, wish.says, share)
        if service not in lied:
            session.find("faults", finding)
        parts.append((Verdict.INCONCLUSIVE if share is None else Verdict.FAILED, finding.title))
    return parts


def _delays(
    record: ExperimentRecord, service: str, wish: HealthWish, truth: HealthTruth | None, quiet: float
) -> Iterator[Part]:
    applied, asked, reverted = record.applied_at or 0.0, record.revert_asked_at or 0.0, record.reverted_at or 0.0
    if wish.within is not None:
        said = truth.unhealthy_at if truth is not None else None
        words = f"{record.name}: the health of {service} said unhealthy {_after(said, applied)}; {format_duration(wish.within)} were allowed"
        yield within_limit(said, applied, wish.within, asked), words
    if wish.again is not None:
        said = truth.healthy_at if truth is not None else None
        if truth is not None and truth.unhealthy_at is None:  # it never said anything else
            return
        words = f"{record.name}: the health of {service} said healthy again {_after(said, reverted)}; {format_duration(wish.again)} were allowed"
        yield within_limit(said, reverted, wish.again, quiet), words


def _after(moment: Moment | None, origin: float) -> str:
    if moment is None:
        return "never"
    earliest, latest = max(moment.earliest - origin, 0.0), max(moment.latest - origin, 0.0)
    return f"after {format_duration(earliest)} to {format_duration(latest)}"


def judge_alerts(
    bench: "FaultBench", record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement, quiet: float
) -> list[Part]:
    """What the plan expects of alerts; verdicts with their reasons."""
    parts = []
    truths = {truth.alert: truth for truth in recovery.alerts}
    for name, text in experiment.expect.alerts.items():
        for verdict, words in _alert(record, name, text, truths[name], quiet):
            parts.append((verdict, words if verdict is not Verdict.PASSED else ""))
            if verdict is Verdict.FAILED:
                cause = f"the alert {name} does not see what {record.fault} on {record.target} does, or waits too long for it"
                bench.session.find("faults", _late(record, words, cause))
    return parts


def _alert(record: ExperimentRecord, name: str, text: str, truth: AlertTruth, quiet: float) -> Iterator[Part]:
    wish = parse_alert_wish(text)
    applied, reverted = record.applied_at or 0.0, record.reverted_at or 0.0
    if truth.firing_before:
        yield Verdict.INCONCLUSIVE, f"{record.name}: the alert {name} was firing before the fault"
        return
    if truth.problem and truth.fired_at is None:
        yield Verdict.INCONCLUSIVE, f"{record.name}: the alert {name}: {truth.problem}"
        return
    fired = f"{record.name}: the alert {name} fired {_after(truth.fired_at, applied)}"
    if wish.within is None:
        verdict = Verdict.PASSED if truth.fired_at is None else Verdict.FAILED
        yield verdict, f"{fired}; it must never fire"
        return
    # It may fire after the revert as well, if its time is not up by then: what counts is the delay.
    yield (
        within_limit(truth.fired_at, applied, wish.within, quiet),
        f"{fired}; {format_duration(wish.within)} were allowed",
    )
    if wish.over is not None and truth.fired_at is not None:
        over = f"{record.name}: the alert {name} was over {_after(truth.ended_at, reverted)}"
        yield (
            within_limit(truth.ended_at, reverted, wish.over, quiet),
            f"{over}; {format_duration(wish.over)} were allowed",
        )


def _late(record: ExperimentRecord, title: str, cause: str) -> Finding:
    return Finding(Severity.FAILURE, title, cause, subject=record.name)


def _flapping(record: ExperimentRecord, truth: HealthTruth) -> Finding:
    return Finding(
        Severity.NOTE,
        f"{record.name}: the health of {truth.service} flaps: it changed its mind {truth.changes} times while the fault held",
        "it looks at something that comes and goes, or too quickly",
        subject=record.name,
    )
