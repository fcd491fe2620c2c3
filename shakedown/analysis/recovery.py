"""From the pulses of a load and the health probes: when was the fault first felt, and when was the system back?

Definitions (times on the run's axis; docs/recovery.md has them with their reasons):

* **steady state** is learned just before the faults: rate and p95 of the window before, the services that were healthy.
* **first effect**: the first slot (100 ms) after the injection in which a request failed or timed out, in which one took
  longer than the latency limit, or in which nothing ended although at least three answers were due.
* **steady state holds** in a window when, of the requests that were *due* in it, at most the tolerated share failed, as
  many as before were answered well, at most one slot in five holds an answer over the latency limit, every service that
  was healthy before says so, and what the plan declares holds. What was due in its first slot all went well.
* **recovered**: the first good answer of the first window of `hold_window` seconds, not before the revert, in which
  steady state holds. Windows are made of intended starts: what was asked for during the outage and times out long after
  it says nothing of the time after it.

      due      x x x x x x x x o o o o o o o o      x fails, o is answered well
                             │ └ first good answer: recovered, at the latest
                             └ last request that failed: recovered after that

* **time to recover** = recovered - reverted. Never recovered within the time watched is a censored value, "> T".
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise

from shakedown.analysis.evidence import window_stats
from shakedown.analysis.slots import SLOT, slot_of
from shakedown.plan.experiments import FaultsTolerance
from shakedown.records.load import DuePulse, LoadResult, Pulse
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import Moment, PhaseStats
from shakedown.units import format_duration, format_number, format_share
from shakedown.verdict import Verdict

__all__ = [
    "Holds", "Recovery", "Steady", "Timeline", "find_effect", "find_recovery", "learn_steady", "phase_stats",
    "still_wrong",
]  # fmt: skip

SLOW_SLOTS = 0.2
MIN_STEADY_SAMPLES = 20
RELAPSE = 5  # slots: what is well for half a second and fails again has relapsed
_EMPTY = Pulse()
_NONE_DUE = DuePulse()

# Whether what the plan declares holds in the window of whole seconds that begins with this one, and why not.
Holds = Callable[[int], tuple[Verdict, str]]


@dataclass(frozen=True, slots=True)
class Steady:
    """What normal looks like just before a fault.

    Attributes:
        rate: requests that were due per second.
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


@dataclass(frozen=True)
class Timeline:
    """Everything that recovery is read from.

    Attributes:
        pulses: by the slot in which requests ended.
        dues: by the slot in which they were due; where they are not known, the pulses are taken for them.
    """

    pulses: Mapping[int, Pulse]
    probes: Sequence[ProbeResult]
    dues: Mapping[int, DuePulse] = field(default_factory=dict)

    def pulse(self, slot: int) -> Pulse:
        """What ended in the slot; an empty pulse when nothing did."""
        return self.pulses.get(slot, _EMPTY)

    def due(self, slot: int) -> DuePulse:
        """What was due in the slot."""
        return self._dues.get(slot, _NONE_DUE)

    @cached_property
    def _dues(self) -> Mapping[int, DuePulse]:
        if self.dues:
            return self.dues
        found = {}
        for slot, pulse in self.pulses.items():
            first, last = (slot * SLOT if pulse.ok else math.inf), (slot * SLOT if pulse.bad else -math.inf)
            found[slot] = DuePulse(pulse.ok, pulse.bad, pulse.slowest, first, first, last)
        return found


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whether and when steady state came back.

    Attributes:
        back: None when it did not.
        relapses: how often it was well for half a second and failed again.
        doubt: why it cannot be said whether it came back; empty when it can.
    """

    back: Moment | None
    relapses: int = 0
    doubt: str = ""


def learn_steady(load: LoadResult, timeline: Timeline, start: float, end: float, tolerance: FaultsTolerance) -> Steady:
    """The steady state of the window before a fault, and whether it deserves the name."""
    stats = window_stats(load, start=start, end=end)
    p95 = stats.latency.quantile(0.95)
    limit = max(tolerance.p95 * (p95 or 0.0), tolerance.p95_floor)
    healthy = frozenset(_last_health(timeline.probes, start, end, want=True))
    error_rate = stats.error_rate
    due = sum(timeline.due(slot).ok + timeline.due(slot).bad for slot in range(slot_of(start), slot_of(end)))
    rate = due / max(end - start, SLOT)
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
        if start <= probe.at and probe.at + probe.latency < end:  # one that was answered later tells of what came after
            last[probe.service] = probe.healthy
    return {service for service, healthy in last.items() if healthy is want}


def find_effect(timeline: Timeline, steady: Steady, start: float, end: float) -> Moment | None:
    """The first moment between `start` and `end` at which clients felt something; None when they felt nothing."""
    silent = 0
    for slot in range(slot_of(start), slot_of(end) + 1):
        pulse = timeline.pulse(slot)
        if pulse.bad or pulse.slowest > steady.limit:
            at = max(slot * SLOT, start)
            return Moment(at, at, (slot + 1) * SLOT)
        silent = silent + 1 if pulse.ok == 0 else 0
        if silent * SLOT * steady.rate >= 3:
            at = max((slot - silent + 1) * SLOT, start)
            return Moment(at, max(at - SLOT, start), (slot + 1) * SLOT)
    return None


def find_recovery(
    timeline: Timeline, steady: Steady, start: float, end: float, *, hold_window: float, tolerance: FaultsTolerance,
    holds: Holds | None = None,
) -> Recovery:  # fmt: skip
    """The begin of the first window in [start, end] in which steady state holds.

    Args:
        holds: what the plan declares, judged in windows of whole seconds.
    """
    return _Search(timeline, steady, start, end, hold_window, tolerance, holds).find()


class _Search:
    def __init__(
        self, timeline: Timeline, steady: Steady, start: float, end: float, hold_window: float,
        tolerance: FaultsTolerance, holds: Holds | None,
    ) -> None:  # fmt: skip
        self._timeline, self._steady, self._start, self._tolerance, self._holds = (
            timeline, steady, start, tolerance, holds,
        )  # fmt: skip
        self._width = max(round(hold_window / SLOT), 1)
        self._first, self._last = slot_of(start), slot_of(end)
        slots = range(self._first, self._last + 1)
        dues = [timeline.due(slot) for slot in slots]
        self._ok = list(accumulate((due.ok for due in dues), initial=0))
        self._bad = list(accumulate((due.bad for due in dues), initial=0))
        self._slow = list(accumulate((due.slowest > steady.limit for due in dues), initial=0))
        self._unhealthy = _unhealthy_slots(timeline.probes, steady.healthy, self._first, self._last)
        self._ill = list(accumulate((slot in self._unhealthy for slot in slots), initial=0))

    def find(self) -> Recovery:
        doubt, declared, relapses, well = "", False, 0, 0
        for slot in range(self._first, self._last - self._width + 1):
            clean = self._clean(slot)
            relapses += not clean and well >= RELAPSE
            well = well + 1 if clean else 0
            if not clean or not self._window_holds(slot):
                continue
            if self._holds is not None:
                verdict, why = self._holds(math.ceil(slot * SLOT - 1e-9))
                if verdict is not Verdict.PASSED:
                    declared = True
                    doubt = doubt or (why if verdict is Verdict.INCONCLUSIVE else "")
                    continue
            return Recovery(self._moment(slot, declared=declared), relapses)
        return Recovery(None, relapses, doubt)

    def _clean(self, slot: int) -> bool:
        due = self._timeline.due(slot)
        return not due.bad and due.slowest <= self._steady.limit and slot not in self._unhealthy

    def _window_holds(self, slot: int) -> bool:
        """Whether steady state, as it was learned, holds in the window that begins with a slot."""
        begin, width = slot - self._first, self._width
        ok, bad, slow, ill = (
            sums[begin + width] - sums[begin] for sums in (self._ok, self._bad, self._slow, self._ill)
        )
        tolerance = self._tolerance
        return (
            not ill
            and ok > 0
            and bad <= tolerance.error_rate * (ok + bad)
            and ok >= tolerance.throughput * self._steady.rate * width * SLOT - 2
            and slow <= SLOW_SLOTS * width
        )

    def _moment(self, slot: int, *, declared: bool) -> Moment:
        """When exactly the window began to hold that starts with this slot."""
        begin = max(slot * SLOT, self._start)
        if declared:  # judged by whole seconds
            return Moment(begin, max(begin - 1.0, self._start), begin)
        served = self._served_again(slot, begin)
        healthy = self._healthy_again(slot) if slot - 1 in self._unhealthy else None
        if healthy is None or served.at >= healthy.latest:
            return served
        # The later of the two counts. Looks are far apart: where clients were served between two of them, that is when.
        at = served.at if served.at >= healthy.earliest else healthy.at
        return Moment(at, max(served.earliest, healthy.earliest), healthy.latest)

    def _healthy_again(self, slot: int) -> Moment | None:
        """Between which looks the last service turned healthy that did so in this slot."""
        found = []
        for service in self._steady.healthy:
            looks = sorted((look for look in self._timeline.probes if look.service == service), key=lambda one: one.at)
            for ill, well in pairwise(looks):
                if not ill.healthy and well.healthy and slot_of(well.at) == slot:
                    earliest, latest = max(ill.at, self._start), max(well.at + well.latency, self._start)
                    found.append(Moment((earliest + latest) / 2, earliest, latest))
        return max(found, key=lambda one: one.at, default=None)

    def _served_again(self, slot: int, begin: float) -> Moment:
        """The first good answer of the window, and after which failure it came."""
        before = slot - 1
        while before > slot - 2 * self._width and not (self._timeline.due(before).ok or self._timeline.due(before).bad):
            before -= 1  # a load of few requests: nothing was due in these
        last = self._timeline.due(before)
        end, due = self._first_good(slot)
        slow = last.slowest > self._steady.limit
        if not last.bad and not slow:  # nothing was wrong; unless the load had none to send
            silent = slot > self._first and not self._timeline.due(slot).ok
            at = max(end, begin) if silent else begin
            return Moment(at, max(begin - SLOT, self._start), max(at, begin + SLOT))
        failed = max(last.last_bad, before * SLOT if slow else -math.inf)
        if last.bad and last.ok and not slow and last.first_end > last.last_bad:  # it turned within that slot
            end, due = last.first_end, last.first_due
        at = max(end, self._start)
        usual = max(self._steady.p95 or 0.0, SLOT)
        if end - due > usual:  # it waited for its answer: until then, there was none to be had
            failed = max(failed, end - usual)
        return Moment(at, min(max(failed, self._start), at), at)

    def _first_good(self, slot: int) -> tuple[float, float]:
        """When the first good answer to what was due in the window ended, and when it was due."""
        for index in range(slot, slot + self._width):
            due = self._timeline.due(index)
            if due.ok and math.isfinite(due.first_end):
                return due.first_end, due.first_due
        return slot * SLOT, slot * SLOT


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


def still_wrong(
    timeline: Timeline, steady: Steady, end: float, *, hold_window: float, tolerance: FaultsTolerance,
    holds: Holds | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """What keeps the last window before `end` from being steady state, in words; empty when nothing does."""
    width = max(round(hold_window / SLOT), 1)
    slots = range(slot_of(end) - width, slot_of(end))
    dues = [timeline.due(slot) for slot in slots]
    ok, bad = sum(due.ok for due in dues), sum(due.bad for due in dues)
    slow = sum(due.slowest > steady.limit for due in dues)
    seconds = width * SLOT
    found = []
    if bad > tolerance.error_rate * (ok + bad):
        share = format_share(bad / (ok + bad))
        found.append(f"{share} of the requests fail; {format_share(tolerance.error_rate)} are tolerated")
    if ok < tolerance.throughput * steady.rate * seconds - 2 or ok == 0:
        found.append(
            f"{format_number(ok / seconds, 3)} good answers per second; {format_number(steady.rate, 3)} before"
        )
    if slow > SLOW_SLOTS * width:
        slowest = format_duration(max(due.slowest for due in dues))
        found.append(f"answers take up to {slowest}; {format_duration(steady.limit)} are tolerated")
    ill = [
        service
        for service in sorted(steady.healthy)
        if _unhealthy_slots(timeline.probes, frozenset((service,)), slots.start, slots.stop - 1)
    ]
    found += [f"{service} is unhealthy" for service in ill]
    if holds is not None:
        verdict, why = holds(math.floor(end - hold_window + 1e-9))
        if verdict is not Verdict.PASSED and why:
            found.append(why)
    return tuple(found)


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
