"""Does a service's health tell the truth? Compared slot by slot with what clients saw."""

from collections.abc import Sequence

from shakedown.analysis.recovery import Timeline
from shakedown.analysis.slots import SLOT, slot_of
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import HealthTruth

__all__ = ["compare_health", "share_unhealthy"]

FAILING_SHARE = 0.5
SMOOTH = 5  # slots on either side: half a second, so that one lucky answer does not end an outage


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


def compare_health(timeline: Timeline, service: str, start: float, end: float) -> HealthTruth:
    """Seconds in which clients and the health endpoint disagreed, between two instants.

    Clients are failing in a slot when at least half of what ended within half a second around it failed or timed out;
    a slot around which nothing ended says nothing.
    """
    looks = sorted((probe for probe in timeline.probes if probe.service == service), key=lambda probe: probe.at)
    false_healthy = false_unhealthy = both_failing = both_fine = 0
    index = -1
    for slot in range(slot_of(start), slot_of(end)):
        while index + 1 < len(looks) and looks[index + 1].at <= (slot + 1) * SLOT:
            index += 1
        if index < 0:
            continue
        around = [timeline.pulse(near) for near in range(slot - SMOOTH, slot + SMOOTH + 1)]
        ok, bad = sum(pulse.ok for pulse in around), sum(pulse.bad for pulse in around)
        if ok + bad == 0:
            continue
        failing, healthy = bad >= FAILING_SHARE * (ok + bad), looks[index].healthy
        false_healthy += failing and healthy
        false_unhealthy += (not failing) and (not healthy)
        both_failing += failing and not healthy
        both_fine += (not failing) and healthy
    return HealthTruth(
        service=service,
        failing_and_unhealthy=both_failing * SLOT,
        healthy_while_failing=false_healthy * SLOT,
        unhealthy_while_fine=false_unhealthy * SLOT,
        fine_and_healthy=both_fine * SLOT,
    )
