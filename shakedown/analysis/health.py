"""Do a service's health and the system's alerts tell the truth? Compared slot by slot with what clients saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shakedown.analysis.recovery import Timeline
from shakedown.analysis.slots import SLOT, slot_of
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import AlertTruth, HealthTruth, Moment

__all__ = ["Held", "compare_alert", "compare_health", "share_unhealthy"]

FAILING_SHARE = 0.5
FINE_SHARE = 0.05
SMOOTH = 5  # slots on either side: half a second, so that one lucky answer does not end an outage
STALE = 3.0  # seconds, or three periods: what was said so long ago says nothing of now


@dataclass(frozen=True, slots=True)
class Held:
    """When a fault held, and how long it was watched.

    Attributes:
        begun: when the injection was asked for: up to then there was no fault.
        start: of the comparison: the injection was done.
        asked: when the revert was asked for; up to then the fault held.
        end: of the comparison: recovery, or the end of watching.
        until: when it was quiet for the last time: the next fault, or the end of the load.
    """

    begun: float
    start: float
    asked: float
    end: float
    until: float


@dataclass(frozen=True, slots=True)
class _Signal:
    """What something said that knows two states, wrong and well, beside what clients saw; seconds."""

    both: float
    missed: float
    false: float
    neither: float
    unknown: float
    first: Moment | None
    over: Moment | None
    changes: int
    before: bool
    period: float


def share_unhealthy(probes: Sequence[ProbeResult], service: str, start: float, end: float) -> float | None:
    """The share of looks within [start, end), from their begin to their answer, that found the service unhealthy.

    None when there was no look. One that was answered later tells of what came after the window.
    """
    looks = [
        probe.healthy
        for probe in probes
        if probe.service == service and start <= probe.at and probe.at + probe.latency <= end
    ]
    return looks.count(False) / len(looks) if looks else None


def compare_health(timeline: Timeline, service: str, held: Held) -> HealthTruth:
    """Seconds in which clients and the health endpoint disagreed, and when it said what.

    Clients are failing in a slot when at least half of what ended within half a second around it failed or timed out; they are
    fine when at most a twentieth did. Between the two some are failed and some are served, one kind of request perhaps and not
    another: who says "unhealthy" then is right, and who says "healthy" tells no lie. Where nothing ended, what was due around it
    decides; where nothing was due either, the slot says nothing.
    """
    looks = sorted((probe for probe in timeline.probes if probe.service == service), key=lambda probe: probe.at)
    found = _compare(timeline, looks, held)
    return HealthTruth(
        service=service,
        failing_and_unhealthy=found.both,
        healthy_while_failing=found.missed,
        unhealthy_while_fine=found.false,
        fine_and_healthy=found.neither,
        unknown=found.unknown,
        unhealthy_at=found.first,
        healthy_at=found.over,
        changes=found.changes,
        period=found.period,
    )


def compare_alert(
    timeline: Timeline, alert: str, looks: Sequence[ProbeResult], held: Held, problem: str = ""
) -> AlertTruth:
    """The same of an alert.

    Args:
        looks: what was seen of it; `healthy` is silence.
        problem: why it was not seen at all.
    """
    found = _compare(timeline, sorted(looks, key=lambda look: look.at), held)
    if not problem and not any(held.start <= look.at <= held.until for look in looks):
        problem = "it was never seen while the fault held"
    return AlertTruth(
        alert=alert,
        failing_and_firing=found.both,
        silent_while_failing=found.missed,
        firing_while_fine=found.false,
        fine_and_silent=found.neither,
        unknown=found.unknown,
        fired_at=found.first,
        ended_at=found.over,
        firing_before=found.before,
        changes=found.changes,
        problem=problem,
    )


def _compare(timeline: Timeline, looks: Sequence[ProbeResult], held: Held) -> _Signal:
    both = missed = false = neither = unknown = 0
    period = _period(looks)
    stale = max(STALE, 3 * period)
    index = -1
    for slot in range(slot_of(held.start), slot_of(held.end)):
        while index + 1 < len(looks) and looks[index + 1].at <= (slot + 1) * SLOT:
            index += 1
        share = _failed_share(timeline, slot)
        if share is None or index < 0 or slot * SLOT - looks[index].at > stale:
            unknown += 1
            continue
        wrong = not looks[index].healthy
        failing = share > FINE_SHARE if wrong else share >= FAILING_SHARE
        both += failing and wrong
        missed += failing and not wrong
        false += wrong and not failing
        neither += not wrong and not failing
    first = _first(looks, held)
    return _Signal(
        both * SLOT,
        missed * SLOT,
        false * SLOT,
        neither * SLOT,
        unknown * SLOT,
        first,
        _over(looks, held, first) if first is not None else None,
        _changes(looks, first, held.asked) if first is not None else 0,
        next((not look.healthy for look in reversed(looks) if look.at + look.latency < held.begun), False),
        period,
    )


def _period(looks: Sequence[ProbeResult]) -> float:
    """Seconds from look to look, the median."""
    gaps = sorted(later.at - earlier.at for earlier, later in pairwise(looks))
    return gaps[len(gaps) // 2] if gaps else 0.0


def _failed_share(timeline: Timeline, slot: int) -> float | None:
    """The share of requests that failed around a slot; None when nothing says so."""
    around = range(slot - SMOOTH, slot + SMOOTH + 1)
    ok = sum(timeline.pulse(near).ok for near in around)
    bad = sum(timeline.pulse(near).bad for near in around)
    if ok + bad == 0:
        ok = sum(timeline.due(near).ok for near in around)
        bad = sum(timeline.due(near).bad for near in around)
    return bad / (ok + bad) if ok + bad else None


def _first(looks: Sequence[ProbeResult], held: Held) -> Moment | None:
    """When it first said that something was wrong: between the last look that said otherwise and the first that did."""
    well = held.start
    for look in looks:
        said = look.at + look.latency
        if said < held.start:
            continue
        if look.at > held.until:
            return None
        if not look.healthy:
            return Moment(said, min(well, said), said)
        well = max(look.at, held.start)
    return None


def _over(looks: Sequence[ProbeResult], held: Held, first: Moment) -> Moment | None:
    """When it began to say that all is well, and went on saying so."""
    seen = [look for look in looks if first.at <= look.at + look.latency and look.at <= held.until]
    last = max((position for position, look in enumerate(seen) if not look.healthy), default=-1)
    if last < 0 or last + 1 >= len(seen):
        return None
    wrong, well = seen[last], seen[last + 1]
    return Moment(well.at, min(wrong.at, well.at), well.at + well.latency)


def _changes(looks: Sequence[ProbeResult], first: Moment, asked: float) -> int:
    """How often it changed its mind from its first word of something wrong until the revert."""
    seen = [look.healthy for look in looks if first.at <= look.at + look.latency <= asked]
    return sum(earlier != later for earlier, later in pairwise(seen))
