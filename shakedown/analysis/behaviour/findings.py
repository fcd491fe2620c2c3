"""What a reader should know of an experiment's behaviour: symptom, evidence, likeliest cause, what to do.

The name of the mistake stands in brackets at the end of the cause.
"""

from collections.abc import Sequence

from shakedown.analysis.behaviour.waits import SHOWN
from shakedown.records.behaviour import BreakerSeen, CallsSeen, Fall, Served, Wait
from shakedown.records.judgement import Finding, Severity
from shakedown.units import format_duration, format_number, format_share

__all__ = [
    "cascade",
    "core_lost",
    "fallen_with_reason",
    "herd",
    "in_metastable_state",
    "no_breaker",
    "no_timeout",
    "storm",
]


def core_lost(name: str, words: Sequence[str], served: Sequence[Served], victims: Sequence[str]) -> Finding:
    """Core functions did not work while the very service was disturbed that clients talk to."""
    return Finding(
        Severity.FAILURE,
        f"{name}: {words[0]}",
        f"{_names(victims)} was disturbed, and nothing took its place (core function lost)",
        (*words[1:], *_shares(served)),
        f"let something else serve while {_names(victims)} does not, or say in `expect.core` what need not work then",
        name,
    )


def cascade(
    name: str, victims: Sequence[str], core: Sequence[str], found: Sequence[Fall], served: Sequence[Served]
) -> Finding:
    """What need not have fallen did.

    Args:
        core: what is to be said of core functions that fell.
        found: all falls, in order; those without a reason are the finding, the others its surroundings.
    """
    without = [fall for fall in found if not fall.expected and fall.what != "slower"]
    fell = list(dict.fromkeys(fall.service for fall in without))
    if core:
        title = f"{name}: {core[0]}"
        cause = f"what clients need most waits for {_names(victims)}, which it could do without (cascade)"
    else:
        title = (
            f"{name}: took down {_names(fell)}, which {'do' if fell[1:] else 'does'} not depend on {_names(victims)}"
        )
        cause = f"the trouble of {_names(victims)} was handed on to {_names(fell)} (cascade)"
    order = [_fall(fall) for fall in found]
    return Finding(
        Severity.FAILURE, title, cause, (*core[1:], *_shares(served), *order[: 2 * SHOWN]),
        f"keep what does not need {_names(victims)} apart from what does: queues, time-outs, pools and breakers of its own",
        name,
    )  # fmt: skip


def fallen_with_reason(name: str, victims: Sequence[str], found: Sequence[Fall]) -> Finding:
    """Services that depend on what was disturbed, and fell with it."""
    fell = list(dict.fromkeys(fall.service for fall in found))
    return Finding(
        Severity.NOTE, f"{name}: {_names(fell)} fell with {_names(victims)}", "",
        tuple(_fall(fall) for fall in found[: 2 * SHOWN]), "", name,
    )  # fmt: skip


def no_timeout(
    name: str, waits: Sequence[Wait], limit: float, client: str, victims: Sequence[str],
    severity: Severity = Severity.FAILURE,
) -> Finding:  # fmt: skip
    """Clients waited longer than they ever should."""
    worst = waits[0]
    least = "at least " if worst.outcome == "timed_out" else ""
    if client in victims:
        cause = f"{client} itself was disturbed, and its clients have no time-out below their own limit (no time-out)"
        advice = f"put something before {client} that answers when it does not, or give clients a shorter time-out"
    else:
        cause = (
            f"{client} waits for {_names(victims)} without a time-out of its own, or with too long a one (no time-out)"
        )
        advice = (
            f"give each call to {_names(victims)} a time-out well below {format_duration(limit)}, connecting included"
        )
    return Finding(
        severity,
        f"{name}: clients waited up to {least}{format_duration(worst.seconds)}, {format_duration(limit)} allowed",
        cause, tuple(_wait(wait) for wait in waits[:SHOWN]), advice, name,
    )  # fmt: skip


def storm(name: str, seen: CallsSeen, phase: str, limit: float, *, asked: bool) -> Finding:
    """Calls were repeated beyond measure."""
    times = (seen.during_times if phase == "during" else seen.after_times) or 0.0
    when = "while the fault held" if phase == "during" else "after the fault was gone"
    return Finding(
        Severity.FAILURE if asked else Severity.NOTE,
        f"{name}: {seen.dependency} got {format_number(times, 3)} times its usual calls per request {when}"
        + (f", {limit:g} times allowed" if asked else ""),
        f"calls to {seen.dependency} that fail are made again at once, by everybody, without a budget (retry storm)",
        tuple(_phases(seen)),
        "few retries, each later than the one before and at random; a budget for all of them; a circuit breaker",
        name,
    )


def herd(name: str, seen: CallsSeen, words: str, *, asked: bool) -> Finding:
    """Everybody came back at once."""
    return Finding(
        Severity.FAILURE if asked else Severity.NOTE,
        f"{name}: {words}",
        f"what waited for {seen.dependency} is sent all at once as soon as it is back (thundering herd)"
        if asked
        else f"what waited is made up for as soon as it can be; whether {seen.dependency} bears it, the plan does not ask",
        tuple(_phases(seen)),
        "send what waits a little at a time; let each caller wait for a random time before it tries again",
        name,
    )


def no_breaker(
    name: str, words: str, seen: BreakerSeen, served: Sequence[Served], *, missing: bool, asked: bool
) -> Finding:
    """A breaker that is not there, or does not do its work."""
    evidence = []
    if seen.late_share is not None:
        evidence.append(f"{format_share(seen.late_share)} of the usual calls were made in the second half of the fault")
    evidence += [f"its metrics said {state} at {at:.1f} s" for at, state in seen.told[:SHOWN]]
    evidence += [
        f"`{item.request}` {item.phase} the fault: p95 {format_duration(item.p95)}"
        for item in served
        if item.p95 is not None and item.phase != "after"
    ]
    return Finding(
        Severity.FAILURE if asked else Severity.NOTE,
        f"{name}: {words}",
        f"callers go on calling {seen.dependency} although it fails (no circuit breaker)"
        if missing
        else f"the circuit breaker before {seen.dependency} is set too slow for what the plan asks",
        tuple(evidence),
        f"open a circuit after a few failures of {seen.dependency} in a row, and let single calls through from time to time",
        name,
    )


def in_metastable_state(name: str, words: str) -> Finding:
    """The trouble keeps itself up."""
    return Finding(
        Severity.FAILURE,
        f"{name}: the trouble outlasts the fault: {words}",
        "the system's own extra work (retries, late requests, a cold cache) keeps it overloaded (metastable failure)",
        (),
        "shed load and give up what nobody waits for any more; bound retries; see that it comes back under full load",
        name,
    )


def _names(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def _fall(fall: Fall) -> str:
    detail = f": {fall.detail}" if fall.detail else ""
    why = ", which depends on what was disturbed" if fall.expected else ""
    return f"at {fall.at:.1f} s (± {format_duration(fall.resolution)}): {fall.service}{why}: {fall.what}{detail}"


def _wait(wait: Wait) -> str:
    how = {"timed_out": "and then gave up", "failed": "and got an error"}.get(wait.outcome, "and got an answer")
    return f"`{wait.request}`, sent in second {wait.at:.0f}, waited {format_duration(wait.seconds)} {how}"


def _shares(served: Sequence[Served]) -> list[str]:
    return [
        f"`{item.request}` {item.phase} the fault: {item.full} in full, {item.degraded} degraded, {item.failed} failed"
        for item in served
        if item.core and item.phase != "after"
    ]


def _phases(seen: CallsSeen) -> list[str]:
    lines = []
    for phase in seen.phases:
        if phase.calls is None:
            lines.append(f"{phase.phase}: not known (too few samples)")
            continue
        each = (
            f", {format_number(phase.per_request, 3)} for each request of a client"
            if phase.per_request is not None
            else ""
        )
        peak = f", at most {format_number(phase.peak)} a second" if phase.peak is not None else ""
        lines.append(f"{phase.phase}: {phase.calls:.0f} calls in {format_duration(phase.seconds)}{each}{peak}")
    lines.append(f"counted by {seen.source}, every {format_duration(seen.resolution)}")
    return lines
