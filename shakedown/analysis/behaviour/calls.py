"""Calls at a dependency for each request of a client: before, during and after a fault; the herd at its end.

Definitions (D: calls, R: requests of clients):

* **usual** = D / R before the fault; with fewer than 20 calls before it (a fallback, say), one call for a request.
* **amplification during** = (D / R during the fault) / usual.
* **amplification after** = ((D - owed) / R after the revert) / usual, where `owed` is what was accepted during the fault
  and not passed on then: a queue that drains is no storm.
* **herd** = the highest rate over three samples in the first seconds after the revert / the rate before.
"""

from dataclasses import dataclass
from itertools import pairwise

from shakedown.analysis.behaviour.counters import Counted, Counter
from shakedown.analysis.behaviour.demand import Demand
from shakedown.records.behaviour import CallsSeen, PhaseCalls

__all__ = ["HERD_FOR", "Phases", "calls_seen"]

FEW = 20  # calls
HERD_FOR = 5.0  # seconds after the revert
SLOWEST = 3.0  # calls a second before the fault, below which no herd can be told from chance


@dataclass(frozen=True, slots=True)
class Phases:
    """When what was: before the first fault, from injection to revert, and from the revert on."""

    before: tuple[float, float]
    during: tuple[float, float]
    after: tuple[float, float]

    def items(self) -> tuple[tuple[str, tuple[float, float]], ...]:
        """Name and window."""
        return (("before", self.before), ("during", self.during), ("after", self.after))


def calls_seen(
    dependency: str, source: str, counter: Counter, demand: Demand, phases: Phases, at_once: Counter | None = None
) -> CallsSeen:
    """What a dependency was asked, phase by phase.

    Args:
        demand: the requests of clients that lead to calls at it.
        at_once: a gauge of the calls at once, if there is one.
    """
    counted = {name: counter.between(*window) for name, window in phases.items()}
    seen = tuple(_phase(name, window, counter, counted[name], demand) for name, window in phases.items())
    unknown = [f"calls {name} the fault: too few samples" for name, found in counted.items() if found is None]
    usual = _usual(counted["before"], demand, phases.before)
    during = _times(counted["during"], demand, phases.during, usual)
    after = _times(counted["after"], demand, phases.after, usual, _owed(counted["during"], demand, phases, usual))
    return CallsSeen(
        dependency, source, counter.resolution, seen, during, after, _herd(counter, counted["before"], phases),
        _most(at_once, phases), "; ".join(unknown), _reached_earlier(at_once, phases),
    )  # fmt: skip


def _phase(
    name: str, window: tuple[float, float], counter: Counter, counted: Counted | None, demand: Demand
) -> PhaseCalls:
    rates = counter.rates(*window)
    peak = max((rate.per_second for rate in rates), default=None)
    if counted is None:
        return PhaseCalls(name, *window, peak=peak)
    asked = demand.rate(*window)
    return PhaseCalls(name, *window, counted.calls, counted.seconds, counted.rate / asked if asked else None, peak)


def _usual(before: Counted | None, demand: Demand, window: tuple[float, float]) -> float | None:
    """Calls per request before the fault; 1 where there were next to none; None when it is not known."""
    if before is None:
        return None
    asked = demand.rate(*window)
    if not asked:
        return None
    return before.rate / asked if before.calls >= FEW else 1.0


def _owed(during: Counted | None, demand: Demand, phases: Phases, usual: float | None) -> float:
    """Calls for requests that were accepted during the fault, and that were not made then."""
    due = (usual or 0.0) * demand.between(*phases.during, good=True)
    made = during.rate * (phases.during[1] - phases.during[0]) if during is not None else 0.0
    return max(due - made, 0.0)


def _times(
    counted: Counted | None, demand: Demand, window: tuple[float, float], usual: float | None, owed: float = 0.0
) -> float | None:
    asked = demand.rate(*window)
    if counted is None or not usual or not asked or counted.seconds <= 0:
        return None
    extra = max(counted.calls - owed, 0.0) / counted.seconds
    return extra / (asked * usual)


def _herd(counter: Counter, before: Counted | None, phases: Phases) -> float | None:
    start = phases.after[0]
    rates = counter.rates(start, min(start + HERD_FOR, phases.after[1]))
    if before is None or before.rate < SLOWEST or not rates:
        return None
    # Two steps together: the instant of one sample, on a busy machine, is not known well enough to divide by.
    pairs = [(one.calls + other.calls) / (other.end - one.start) for one, other in pairwise(rates)]
    return max(pairs or [rates[0].per_second]) / before.rate


def _reached_earlier(gauge: Counter | None, phases: Phases) -> bool:
    """Whether a gauge that never falls, which is a peak, did not rise after the revert: it tells of some other time."""
    if gauge is None or any(after < before for (_, before), (_, after) in pairwise(gauge.points)):
        return False
    earlier = [value for at, value in gauge.points if at <= phases.after[0]]
    most = _most(gauge, phases)
    return bool(earlier) and most is not None and most <= earlier[-1]


def _most(gauge: Counter | None, phases: Phases) -> float | None:
    if gauge is None:
        return None
    start = phases.after[0]
    end = min(start + HERD_FOR + gauge.resolution, phases.after[1])
    return max((value for at, value in gauge.points if start < at <= end), default=None)
