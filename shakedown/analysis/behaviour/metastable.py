"""Trouble that keeps itself up: the fault is gone, the load is what it was, and the system does not come back.

Bronson and others, "Metastable failures in distributed systems" (HotOS 2021): a trigger pushes a system into a state that
its own work (retries, cold caches, queues of requests that nobody waits for any more) holds it in; taking load away ends it.
That is another thing than a connection that is never made anew, where less load changes nothing and nothing extra is done.
"""

from shakedown.analysis.behaviour.calls import Phases
from shakedown.analysis.behaviour.demand import Demand
from shakedown.records.behaviour import CallsSeen
from shakedown.units import format_duration, format_number

__all__ = ["metastable"]

SAME_LOAD = 0.1
AMPLIFIED = 1.5
STILL_ASKED = 2.0  # calls per second below which nobody is being hammered


def metastable(
    calls: tuple[CallsSeen, ...], demand: Demand, phases: Phases, *, recovered: bool, relieved: bool | None
) -> str:
    """Why it is a metastable failure, in a sentence; empty when it is none, or when that cannot be said.

    Args:
        recovered: whether steady state held again within the limit.
        relieved: whether the system came back when the load was reduced; None when that was not tried.
    """
    if recovered:
        return ""
    before, after = demand.rate(*phases.before), demand.rate(*phases.after)
    if not before or abs(after / before - 1) > SAME_LOAD:
        return ""
    watched = format_duration(phases.after[1] - phases.after[0])
    same = f"the load is what it was ({format_number(after, 3)} requests/s, {format_number(before, 3)}/s before), the fault has been gone for {watched}"
    if relieved:
        return f"{same}, and the trouble ended only when the load was reduced"
    worst = max(
        (seen for seen in calls if seen.after_times is not None and _rate_after(seen) >= STILL_ASKED),
        key=lambda seen: seen.after_times or 0.0, default=None,
    )  # fmt: skip
    if worst is None or worst.after_times is None or worst.after_times < AMPLIFIED:
        return ""
    kept = f"{worst.dependency} still gets {format_number(worst.after_times, 3)} times its usual calls"
    rest = "" if relieved is None else "; it did not end with less load either"
    return f"{same}, and {kept}{rest}"


def _rate_after(seen: CallsSeen) -> float:
    for phase in seen.phases:
        if phase.phase == "after" and phase.calls is not None and phase.seconds:
            return phase.calls / phase.seconds
    return 0.0
