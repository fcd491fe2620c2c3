"""From the pulses of a load and the health probes: when was the fault first felt, and when was the system back?

Definitions (times on the run's axis, in slots of 100 ms):

* **steady state** is learned just before the fault: offered rate and p95 of the window before it.
* **first effect**: the first slot after the injection in which a request failed or timed out, in which one took longer
  than the latency limit, or in which nothing ended although at least three answers were due.
* **recovered**: the start of the first window of `hold_window` seconds, not before the revert, in which the error rate
  is within tolerance, answers keep pace with the offered rate, at most one slot in five holds an answer over the
  latency limit, and every service that was healthy before is healthy; its first slot must itself be clean.
* **time to recover** = recovered - reverted. Never recovered within the time watched is a censored value, "> T".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shakedown.analysis.evidence import window_stats
from shakedown.analysis.slots import SLOT, slot_of
from shakedown.plan.experiments import FaultsTolerance
from shakedown.records.load import LoadResult, Pulse
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import PhaseStats

__all__ = ["Steady", "Timeline", "find_effect", "find_recovery", "learn_steady", "phase_stats"]

SLOW_SLOTS = 0.2
MIN_STEADY_SAMPLES = 20
_EMPTY = Pulse()


@dataclass(frozen=True, slots=True)
class Steady:
    """What normal looks like just before a fault.

    Attributes:
        rate: requests that ended per second.
        error_rate: fraction.
        p95: seconds; None when nothing was answered.
        limit: an answer slower than this counts as an effect, seconds.
        problem: why this is not a steady state, or None.
    """

    rate: float
    error_rate: float
    p95: float | None
    limit: float
    healthy: frozenset[str]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that recovery is read from."""

    pulses: Mapping[int, Pulse]
    probes: Sequence[ProbeResult]

    def pulse(self, slot: int) -> Pulse:
        """The slot's pulse; an empty one when nothing ended in it."""
        return self.pulses.get(slot, _EMPTY)


def learn_steady(load: LoadResult, timeline: Timeline, start: float, end: float, tolerance: FaultsTolerance) -> Steady:
    """The steady state of the window before a fault, and whether it deserves the name."""
    stats = window_stats(load, start=start, end=end)
    p95 = stats.latency.quantile(0.95)
    limit = max(tolerance.p95 * (p95 or 0.0), tolerance.p95_floor)
    healthy = frozenset(_last_health(timeline.probes, start, end, want=True))
    error_rate = stats.error_rate
    ended = sum(timeline.pulse(slot).ok + timeline.pulse(slot).bad for slot in range(slot_of(start), slot_of(end)))
    rate = ended / max(end - start, SLOT)
    problem = None
    if stats.ended < MIN_STEADY_SAMPLES or error_rate is None:
        problem = f"only {stats.ended} requests ended in the {end - start:.1f} s before the fault"
        error_rate = 1.0 if error_rate is None else error_rate
    elif error_rate > tolerance.error_rate:
        problem = f"{error_rate:.0%} of requests failed before the fault was injected"
    return Steady(rate, error_rate, p95, limit, healthy, problem)


def _last_health(probes: Iterable[ProbeResult], start: float, end: float, *, want: bool) -> set[str]:
    """The services whose last look in the window said `want`."""
    last: dict[str, bool] = {}
    for probe in probes:
        if start <= probe.at < end:
            last[probe.service] = probe.healthy
    return {service for service, healthy in last.items() if healthy is want}


def find_effect(timeline: Timeline, steady: Steady, start: float, end: float) -> float | None:
    """The first moment between `start` and `end` at which clients felt something; None when they felt nothing."""
    silent = 0
    for slot in range(slot_of(start), slot_of(end) + 1):
        pulse = timeline.pulse(slot)
        if pulse.bad or pulse.slowest > steady.limit:
            return max(slot * SLOT, start)
        silent = silent + 1 if pulse.ok == 0 else 0
        if silent * SLOT * steady.rate >= 3:
            return max((slot - silent + 1) * SLOT, start)
    return None


def find_recovery(
    timeline: Timeline, steady: Steady, start: float, end: float, *, hold_window: float, tolerance: FaultsTolerance
) -> float | None:
    """The start of the first window in [start, end] in which steady state holds; None when there is none."""
    width = max(round(hold_window / SLOT), 1)
    first, last = slot_of(start), slot_of(end)
    unhealthy = _unhealthy_slots(timeline.probes, steady.healthy, first, last)
    for slot in range(first, last - width + 1):
        window = [timeline.pulse(index) for index in range(slot, slot + width)]
        if window[0].bad or any(index in unhealthy for index in range(slot, slot + width)):
            continue
        ok, bad = sum(pulse.ok for pulse in window), sum(pulse.bad for pulse in window)
        slow = sum(pulse.slowest > steady.limit for pulse in window)
        if (
            bad <= tolerance.error_rate * (ok + bad)
            and ok >= tolerance.throughput * steady.rate * width * SLOT - 2
            and ok > 0
            and slow <= SLOW_SLOTS * width
        ):
            return max(slot * SLOT, start)
    return None


def _unhealthy_slots(probes: Sequence[ProbeResult], services: frozenset[str], first: int, last: int) -> set[int]:
    """The slots in which a service that should be healthy was not: a look's answer holds until the next look."""
    found: set[int] = set()
    for service in services:
        looks = sorted((probe for probe in probes if probe.service == service), key=lambda probe: probe.at)
        if not looks:
            continue
        for look, following in pairwise(looks):
            if not look.healthy:
                found.update(range(max(slot_of(look.at), first), min(slot_of(following.at), last + 1)))
        if not looks[-1].healthy:
            found.update(range(max(slot_of(looks[-1].at), first), last + 1))
    return found


def phase_stats(load: LoadResult, phase: str, start: float, end: float) -> PhaseStats:
    """What clients saw between two instants, by intended start."""
    stats = window_stats(load, start=start, end=end)
    return PhaseStats(
        phase=phase,
        start=start,
        end=end,
        requests=stats.ended,
        error_rate=stats.error_rate,
        p50=stats.latency.quantile(0.5),
        p95=stats.latency.quantile(0.95),
        p99=stats.latency.quantile(0.99),
    )
