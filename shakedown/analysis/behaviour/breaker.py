"""Whether a circuit breaker did its work: opened, let single probes through, closed again.

By **calls**: it is open from the first two seconds in which hardly any of the calls that are due are made (at most a tenth
of them, or one between two samples), if it stays so: at most three tenths of those due until the revert. What is made
meanwhile are probes. It closed when half of the usual calls are made again.

By **metrics**: a series that tells its state, or a counter of its openings. A breaker that says it is open while calls go on
at full rate is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shakedown.analysis.behaviour.calls import Phases
from shakedown.analysis.behaviour.counters import Counter, Rate
from shakedown.analysis.behaviour.demand import Demand
from shakedown.records.behaviour import BreakerSeen
from shakedown.units import format_duration, format_share
from shakedown.verdict import Verdict

__all__ = ["BreakerJudged", "breaker_seen", "judge_breaker", "told_by_counter", "told_by_state"]

NEAR_NOTHING = 0.1
STAYS_OPEN = 0.3
OPEN_FOR = 1.8  # seconds of hardly any calls, from sample to sample
LEAST_DUE = 3.0  # calls a second: below, "hardly any" cannot be told from chance
FEW = 20  # calls before the fault
GOES_ON = 0.5
CLOSED = 0.5


@dataclass(frozen=True, slots=True)
class BreakerJudged:
    """What a breaker comes to.

    Attributes:
        missing: there is none, or it did not open: not merely late, or unknown.
    """

    verdict: Verdict
    words: str = ""
    missing: bool = False


def told_by_state(samples: Sequence[tuple[float, float]], names: Mapping[float, str]) -> tuple[tuple[float, str], ...]:
    """The transitions that a series of states tells, from its first sample on; values without a name are passed over."""
    found: list[tuple[float, str]] = []
    for at, value in sorted(samples):
        name = names.get(value)
        if name is not None and (not found or found[-1][1] != name):
            found.append((at, name))
    return tuple(found)


def told_by_counter(samples: Sequence[tuple[float, float]]) -> tuple[tuple[float, str], ...]:
    """The openings that a counter tells, each at the sample that shows it first."""
    ordered = sorted(samples)
    return tuple((at, "open") for (_, before), (at, after) in pairwise(ordered) if after > before)


def breaker_seen(
    dependency: str, phases: Phases, *, counter: Counter | None, demand: Demand,
    told: tuple[tuple[float, str], ...] | None = None,
) -> BreakerSeen:  # fmt: skip
    """A breaker during one fault, by its metrics and by the calls.

    Args:
        counter: calls made to the dependency, or arriving at it; None when nobody counts them.
        told: transitions by metrics; None when there are none to be had.
    """
    start, end = phases.during
    until = phases.after[1]
    by_metrics = tuple(one for one in told or () if start <= one[0] <= until)
    if by_metrics[:1] and by_metrics[0][1] == "closed":  # its first sample of all came late: that is no transition
        by_metrics = by_metrics[1:]
    told_open = next((at for at, state in by_metrics if state == "open" and at <= end), None)
    told_closed = None
    if told_open is not None:
        last = by_metrics[-1]
        told_closed = last[0] if last[1] == "closed" else None
    if counter is None:
        unknown = "" if told is not None else "nothing tells it"
        return BreakerSeen(dependency, by_metrics, told_open, told_closed, unknown=unknown)
    due, unknown = _due(counter, demand, phases)
    if unknown:
        return BreakerSeen(dependency, by_metrics, told_open, told_closed, unknown=unknown)
    rates = counter.rates(start, end)
    opened = _opened(rates, due, end)
    late = _share(counter, (start + end) / 2, end, due)
    opened_at = told_open if told_open is not None else opened
    closed_at = told_closed if told_closed is not None else None
    if opened_at is not None and closed_at is None:
        closed_at = _closed(counter.rates(end, until), due)
    probes = share = None
    if opened_at is not None:
        # Whole steps alone: in the one in which it opened, and in that of the revert, other calls were made as well.
        inside = [rate for rate in rates if rate.start >= max(opened_at, opened or 0.0) and rate.end <= end]
        probes = sum(rate.calls for rate in inside[1:]) if inside[1:] else None
        seconds = sum(rate.end - rate.start for rate in inside[1:])
        share = probes / (due * seconds) if probes is not None else None
    return BreakerSeen(
        dependency, by_metrics, opened_at, closed_at, probes, share, late, "" if late is not None else "too few samples"
    )


def _due(counter: Counter, demand: Demand, phases: Phases) -> tuple[float, str]:
    """Calls per second that would be made if there were no fault; why it cannot be said."""
    before = counter.between(*phases.before)
    if before is None:
        return 0.0, "calls before the fault were sampled too seldom"
    asked, asked_then = demand.rate(*phases.during), demand.rate(*phases.before)
    due = before.rate * (asked / asked_then if asked_then else 0.0)
    if before.calls < FEW or due < LEAST_DUE:
        return due, f"too few calls to judge by: {before.calls:.0f} before the fault, {due:.1f} a second due during it"
    return due, ""


def _near_nothing(rate: Rate, due: float) -> bool:
    return rate.calls <= max(NEAR_NOTHING * due * (rate.end - rate.start), 1.0)


def _opened(rates: Sequence[Rate], due: float, end: float) -> float | None:
    """The start of the first quiet time that is long enough, and after which it stays quiet for the greater part."""
    for index, first in enumerate(rates):
        quiet = 0.0
        for rate in rates[index:]:
            if not _near_nothing(rate, due):
                break
            quiet += rate.end - rate.start
        rest = [rate for rate in rates[index:] if rate.start < end]
        seconds = sum(rate.end - rate.start for rate in rest)
        made = sum(rate.calls for rate in rest)
        if quiet >= OPEN_FOR and made <= STAYS_OPEN * due * seconds:
            return first.start
    return None


def _share(counter: Counter, start: float, end: float, due: float) -> float | None:
    found = counter.between(start, end)
    return found.rate / due if found is not None and due else None


def _closed(rates: Sequence[Rate], due: float) -> float | None:
    return next((rate.start for rate in rates if rate.per_second >= CLOSED * due), None)


def judge_breaker(
    seen: BreakerSeen, phases: Phases, *, opens_within: float, closes_within: float, resolution: float
) -> BreakerJudged:
    """Whether a breaker opened in time, let probes alone through, and closed in time.

    Args:
        resolution: of the series that tell it, seconds: so much later may be no later at all.
    """
    start, end = phases.during
    name = f"the circuit breaker before {seen.dependency}"
    if end - start < opens_within + OPEN_FOR:
        words = f"{name}: a fault of {format_duration(end - start)} is too short to see it open within {format_duration(opens_within)}"
        return BreakerJudged(Verdict.INCONCLUSIVE, words)
    if seen.opened_at is None:
        if seen.unknown:
            return BreakerJudged(Verdict.INCONCLUSIVE, f"{name}: {seen.unknown}")
        share = "" if seen.late_share is None else f": {format_share(seen.late_share)} of the usual calls went on"
        return BreakerJudged(Verdict.FAILED, f"{name} did not open{share}", missing=True)
    if seen.open_share is not None and seen.open_share > GOES_ON and seen.told:
        words = f"{name} says that it is open, and {format_share(seen.open_share)} of the usual calls went on"
        return BreakerJudged(Verdict.FAILED, words, missing=True)
    late = seen.opened_at - start
    if late > opens_within + resolution:
        words = f"{name} opened after {format_duration(late)}, {format_duration(opens_within)} allowed"
        return BreakerJudged(Verdict.FAILED, words)
    if not seen.told and (seen.probes or 0.0) < 1 and end - seen.opened_at < 10.0:
        words = f"{name}: no calls at all, and not one probe, for {format_duration(end - seen.opened_at)}: callers may hang as well"
        return BreakerJudged(Verdict.INCONCLUSIVE, f"{words}; hold the fault for longer, or give `breakers` its state")
    if not seen.told and (seen.probes or 0.0) < 1:
        words = f"{name}: calls ended, but not one probe was seen: callers hang rather than have a breaker"
        return BreakerJudged(Verdict.INCONCLUSIVE, words)
    watched = phases.after[1] - end
    if seen.closed_at is None:
        if watched < closes_within + resolution:
            words = f"{name} was watched for {format_duration(watched)} after the revert alone, and had not closed"
            return BreakerJudged(Verdict.INCONCLUSIVE, words)
        return BreakerJudged(Verdict.FAILED, f"{name} did not close within {format_duration(watched)} after the revert")
    took = seen.closed_at - end
    if took > closes_within + resolution:
        words = f"{name} closed {format_duration(took)} after the revert, {format_duration(closes_within)} allowed"
        return BreakerJudged(Verdict.FAILED, words)
    return BreakerJudged(Verdict.PASSED)
