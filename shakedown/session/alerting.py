"""What alerts did: as states over time, and as false alarms where nothing was wrong."""

import itertools
from collections.abc import Sequence

from shakedown.analysis.slots import SLOT
from shakedown.observe.alerts import SOURCE
from shakedown.plan.alerts import Alert
from shakedown.records.judgement import Finding, Severity
from shakedown.records.observation import ProbeResult, Sample
from shakedown.session.live import Session
from shakedown.verdict import Verdict

__all__ = ["alert_looks", "judge_quiet_alerts"]


def alert_looks(session: Session, name: str, start: float, end: float) -> tuple[list[ProbeResult], str]:
    """What was seen of an alert between two instants, as looks of which a healthy one is silence; or why nothing was."""
    alert = session.loaded.plan.alerts[name]
    margin = max(alert.lasts, 2 * session.loaded.plan.sample_every)

    def sampled(source: str, series: str) -> list[Sample]:
        found = session.results.samples(session.run_id, start - margin, end + margin, series=[series])
        return [one for one in found if one.source == source]

    if alert.series is not None:
        condition = alert.condition
        values = sampled(condition.subject, condition.series)
        problem = "" if values else f"{condition.subject}.{condition.series} was not sampled"
        return [_look(name, one.at, firing=condition.met(one.value)) for one in values], problem
    seen = sampled(SOURCE, name)
    if alert.log is not None:
        return _of_lines(name, alert, seen, start, end), ""
    return [_look(name, one.at, firing=bool(one.value)) for one in seen], "" if seen else "it never gave an answer"


def _look(name: str, at: float, *, firing: bool) -> ProbeResult:
    return ProbeResult(at, name, not firing, 0.0, "")


def _of_lines(name: str, alert: Alert, lines: Sequence[Sample], start: float, end: float) -> list[ProbeResult]:
    """A log is silent or has just said something: its state at every slot, and at each line."""
    ends: list[tuple[float, bool]] = []
    for line, following in itertools.zip_longest(lines, lines[1:]):
        ends.append((line.at, bool(line.value)))
        over = line.at + alert.lasts
        if line.value and alert.clear is None and (following is None or following.at > over):
            ends.append((over, False))
    grid = [(start + number * SLOT, None) for number in range(round((end - start) / SLOT) + 1)]
    looks, firing = [], False
    for at, state in sorted([*grid, *ends], key=lambda one: one[0]):
        firing = firing if state is None else state
        looks.append(_look(name, at, firing=firing))
    return looks


def judge_quiet_alerts(
    session: Session, stage: str, start: float, end: float, *, when: str = "in the baseline"
) -> list[tuple[Verdict, str]]:
    """No alert fires while nothing is wrong: each that does is a finding. Verdicts with their reasons."""
    parts: list[tuple[Verdict, str]] = []
    for name in session.loaded.plan.alerts:
        looks, problem = alert_looks(session, name, start, end)
        within = [look for look in looks if start <= look.at < end]
        fired = next((look for look in within if not look.healthy), None)
        if fired is None:
            missing = problem or ("" if within else "it was not seen")
            parts.append((Verdict.INCONCLUSIVE, f"alert {name}: {missing}") if missing else (Verdict.PASSED, ""))
            continue
        title = f"alert {name} fired {when}, although nothing was done to the system (false alarm)"
        session.find(
            stage,
            Finding(
                Severity.FAILURE,
                title,
                "its limit lies within what is normal, or something was wrong before any fault",
                (
                    f"first at {fired.at:.1f} s; firing in {sum(not one.healthy for one in within)} of {len(within)} looks",
                ),
                "look at what raised it; raise its limit, or give it a time for which the limit must be broken",
                name,
            ),
        )
        parts.append((Verdict.FAILED, title))
    return parts
