"""From several symptoms that stand together to the mistake that real services make, with its usual name in brackets.

Each function looks for one mistake, in what was measured of any system: none knows the plan or the system by name. None means
that the evidence is not there; what is there is in the finding.

============================  =========================================================================================
name                          what gives it away
============================  =========================================================================================
slow recovery                 what was taken away is back, clients still fail, and then all is well without any help
unbounded queue               what waits exceeds its limit, and hardly anybody is told to come later
blocking call                 an event loop stands still for as long as something that the service calls takes to answer
lost on shutdown              what is lost was acknowledged in the last seconds before an orderly stop of one service
poison message                a queue that only grows since a malformed message came, and nothing is processed any more
stale cache                   an old answer for whoever asks, and the right one for who asks for a fresh one
============================  =========================================================================================
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from shakedown.analysis.slots import SLOT, slot_of
from shakedown.records.experiment import ExperimentRecord, Injection
from shakedown.records.judgement import Finding, Severity
from shakedown.records.ledger import LedgerFault
from shakedown.records.load import Pulse
from shakedown.units import format_duration, format_share

__all__ = [
    "ORDERLY",
    "blocking_call",
    "is_queue",
    "poison_message",
    "recovered_late",
    "stale_cache",
    "stopped_before",
    "stuck_since",
    "unbounded_queue",
    "well_since",
]

ORDERLY = ("service-stop", "service-restart", "service-rolling-restart", "service-replace")
BEFORE_A_STOP = 5.0  # seconds: what a service keeps in memory for longer, it keeps on purpose
MOST = 0.8  # of what is lost; the rest may be something else's doing
REFUSED = 0.05  # of all requests: with fewer refusals, nobody is told to come later
STOOD_STILL = 0.6  # of the time that the dependency was late
CLEAR = 0.3  # seconds that a loop must have stood still: a busy machine makes it late by tenths
SEVERAL = 3.0  # times what is usual
AS_USUAL = 0.8  # of the answers, for all to be well
POISON_WITHIN = 5.0  # seconds between the message and the last time that the queue was at its lowest
GROWN = 10.0  # messages that a stuck queue grew by: a few may just have come
_NOTHING = Pulse()
_QUEUE = re.compile(r"queue|backlog|pending|waiting|outbox|inbox|_depth|lag_messages", re.IGNORECASE)


def is_queue(series: str) -> bool:
    """Whether a series counts what waits, by its name."""
    return _QUEUE.search(series) is not None


def well_since(pulses: Mapping[int, Pulse], start: float, end: float, *, rate: float, width: float) -> float | None:
    """From when on, between two instants, no request failed and nearly as many as usual were answered; None: never.

    Args:
        rate: how many are usual, per second.
        width: for how long it must be so, seconds.
    """
    slots = max(round(width / SLOT), 1)
    for first in range(slot_of(start) + 1, slot_of(end) - slots + 1):
        window = [pulses.get(slot, _NOTHING) for slot in range(first, first + slots)]
        if (
            not any(pulse.bad for pulse in window)
            and sum(pulse.ok for pulse in window) >= AS_USUAL * rate * slots * SLOT
        ):
            return first * SLOT
    return None


def recovered_late(record: ExperimentRecord, after: float, limit: float, *, client: str) -> Finding:
    """It came back by itself, but too late.

    Args:
        after: seconds from the revert until the steady state held.
        limit: seconds allowed.
        client: the service that the load talks to.
    """
    return Finding(
        Severity.FAILURE,
        f"{record.name}: {client} recovered only {format_duration(after)} after the fault was gone",
        f"{record.target} was back, and {client} came back without any help, but late: it waits for a fixed time, or for "
        f"longer and longer, before it tries {record.target} again (slow recovery)",
        (
            f"fault reverted at {record.reverted_at or 0:.1f} s, steady again at {(record.reverted_at or 0) + after:.1f} s",
            f"{format_duration(limit)} were allowed",
        ),
        f"look whether {record.target} is back with the next call, or after a short wait that has an upper bound",
        record.name,
    )


def unbounded_queue(series: str, actual: float | None, error_rate: float | None) -> tuple[str, str] | None:
    """Cause and recommendation for a breached limit of a series.

    Args:
        series: `service.series`.
        error_rate: of the load at that time; a service that sheds load refuses requests.
    """
    if actual is None or not is_queue(series.partition(".")[2]):
        return None
    if error_rate is not None and error_rate > REFUSED:
        return None
    refused = "nobody" if not error_rate else f"only {format_share(error_rate)} of the clients"
    return (
        f"{series} rose to {actual:g}, and {refused} was told to come later: there is no limit but memory (unbounded queue)",
        "give the queue a limit, and answer 429 or 503 with Retry-After when it is reached",
    )


def blocking_call(
    record: ExperimentRecord, service: str, series: str, lag: float, usual: float, slowed: str
) -> Finding | None:
    """An event loop that stood still while something that the service calls was slow.

    Args:
        series: of the service; the lag of its event loop in seconds.
        lag, usual: its greatest value from the injection until shortly after the revert, and before the injection.
        slowed: what clients saw, in words; empty when they saw nothing.
    """
    injection = next((one for one in record.injections if _delay(one) and one.target != service), None)
    if injection is None or not slowed:
        return None
    delay = _delay(injection) or 0.0
    if lag < max(STOOD_STILL * delay, CLEAR) or lag < SEVERAL * usual:
        return None
    return Finding(
        Severity.FAILURE,
        f"{record.name}: all of {service} stands still while {injection.target} is slow",
        f"{service} calls {injection.target} and waits for it where nothing else runs meanwhile: one slow call holds up every "
        "request (blocking call)",
        (
            f"{service}.{series} rose to {format_duration(lag)}, {format_duration(usual)} before",
            f"{injection.target} was late by {format_duration(delay)}",
            slowed,
        ),
        f"call {injection.target} with a client that does not block, or in a thread, with a time-out and a bound on how many at once",
        record.name,
    )


def _delay(injection: Injection) -> float | None:
    """By how many seconds a fault made its target late; None for one that did something else."""
    effect = injection.effect
    if effect is None or not effect.held or effect.unit != "s":
        return None
    late = effect.measured if effect.measured is not None else effect.asked
    return late if late is not None and late > 0 else None  # a clock that is behind makes nobody late


def stopped_before(lost: Sequence[LedgerFault], experiments: Sequence[ExperimentRecord]) -> ExperimentRecord | None:
    """The orderly stop of a service before which nearly all of the lost writes were acknowledged; None when there is none.

    A write that is lost although it was acknowledged before its service was told, in order, to end, was only in memory.
    """
    if not lost:
        return None
    for record in experiments:
        asked = record.asked_at
        if asked is None or not record.injections or record.injections[0].fault not in ORDERLY:
            continue
        end = record.applied_at if record.applied_at is not None else asked
        before = sum(asked - BEFORE_A_STOP <= fault.sent_at <= end for fault in lost)
        if before >= MOST * len(lost):
            return record
    return None


def stuck_since(depths: Sequence[tuple[float, float]]) -> float | None:
    """Since when a queue has only grown: when it was at its lowest for the last time. None when it did not grow, or got shorter.

    Args:
        depths: time and depth, in order; up to the end of what was measured.
    """
    if not depths:
        return None
    since, lowest = depths[0]
    for (_, earlier), (at, later) in pairwise(depths):
        if later < earlier or later <= lowest:
            since, lowest = at, later
    return since if depths[-1][1] - lowest >= GROWN else None


def poison_message(
    queue: str, since: float, depth: float, malformed: Sequence[tuple[str, float]], healthy: Sequence[str]
) -> Finding | None:
    """A queue that only grows since a malformed message came.

    Args:
        queue: the series.
        since: since when it only grows, seconds of the run.
        depth: how much waits at the end.
        malformed: requests that the plan calls malformed, and when the first of each was sent.
        healthy: services that say all the while that they are healthy.
    """
    near = [(name, at) for name, at in malformed if abs(at - since) <= POISON_WITHIN]
    if not near:
        return None
    name, at = near[0]
    return Finding(
        Severity.FAILURE,
        f"nothing is processed any more since `{name}` was sent: {queue} only grows",
        "a message that cannot be processed is tried again and again, before all others, and holds up whatever comes behind "
        "it (poison message)",
        (
            f"`{name}` was first sent at {at:.1f} s; {queue} was at its lowest for the last time at {since:.1f} s, and is {depth:g} at the end",
            *([f"meanwhile healthy, by their own word: {', '.join(healthy)}"] if healthy else []),
        ),
        "set a message aside after a few attempts, where a person can look at it, and go on with the next one",
        queue,
    )


def stale_cache(ledger: str, stale: Sequence[LedgerFault], asked: int) -> Finding:
    """Keys that are answered as they no longer are, except to who asks for a fresh answer.

    Args:
        asked: how many keys were asked for again.
    """
    return Finding(
        Severity.FAILURE,
        f"{len(stale)} of {asked} keys of `{ledger}` that seemed lost are there: the answer is an old one",
        "what was read once is served from a cache ever after, also what was not final yet (stale cache)",
        (
            "with `Cache-Control: no-cache` the same questions are answered rightly",
            *(f"{fault.key}, sent at {fault.sent_at:.2f} s: {fault.detail}" for fault in stale[:5]),
        ),
        "keep only what is final, and for a bounded time; throw it out when it changes",
        ledger,
    )
