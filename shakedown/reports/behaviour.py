"""What happened in each fault, as a reader wants to see it: requests, calls, breakers, waits, and who else fell."""

from collections.abc import Sequence
from dataclasses import dataclass

from shakedown.records.behaviour import BehaviourRecord, BreakerSeen, CallsSeen, Fall, Served, Wait
from shakedown.reports.amounts import NONE
from shakedown.results.queries import ExperimentInfo
from shakedown.units import format_duration, format_number, format_share

__all__ = ["Happened", "RequestLine", "happened"]

_HOW = {"timed_out": "and then gave up", "failed": "and got an error", "ok": "and got an answer"}
_TELLING = 1.0  # seconds: shorter waits are told when the plan limits them
_FEW = 5


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One request while a fault held, beside what was before and after."""

    request: str
    core: bool
    before: str
    during: Served | None
    degraded: str
    after: str


@dataclass(frozen=True, slots=True)
class Happened:
    """One experiment, for the section.

    Attributes:
        sentences: what needs no table.
    """

    name: str
    requests: list[RequestLine]
    calls: list[dict[str, str]]
    breakers: list[dict[str, str]]
    falls: Sequence[Fall]
    sentences: list[str]


def happened(experiments: Sequence[ExperimentInfo]) -> list[Happened]:
    """Every experiment whose behaviour was looked at."""
    return [
        _one(info.record.name, info.recovery.behaviour)
        for info in experiments
        if info.recovery is not None and info.recovery.behaviour is not None
    ]


def _one(name: str, seen: BehaviourRecord) -> Happened:
    breakers = [one for one in seen.breakers if not (one.unknown and one.opened_at is None)]
    unknown = [f"whether a circuit before {one.dependency} opened is not known: {one.unknown}"
               for one in seen.breakers if one not in breakers]  # fmt: skip
    sentences = [*_waits(seen.waits, seen.longest), *unknown]
    sentences += [f"{one.dependency}: {one.unknown}" for one in seen.calls if one.unknown]
    if seen.metastable:
        sentences.append(f"The trouble keeps itself up: {seen.metastable}")
    return Happened(
        name, _requests(seen.served), [_calls(one) for one in seen.calls], [_breaker(one) for one in breakers],
        seen.falls, sentences,
    )  # fmt: skip


def _requests(served: Sequence[Served]) -> list[RequestLine]:
    found = []
    for name in dict.fromkeys(item.request for item in served):
        by_phase = {item.phase: item for item in served if item.request == name}
        during = by_phase.get("during")
        core = any(item.core for item in by_phase.values())
        degraded = NONE if during is None else str(during.degraded) if during.marked else "no marker"
        found.append(
            RequestLine(name, core, _share(by_phase.get("before")), during, degraded, _share(by_phase.get("after")))
        )
    return found


def _share(item: Served | None) -> str:
    return NONE if item is None or item.share is None else format_share(item.share)


def _calls(seen: CallsSeen) -> dict[str, str]:
    line = dict.fromkeys(("before", "during", "after"), "not known")
    line |= {"dependency": seen.dependency, "source": f"{seen.source}, every {format_duration(seen.resolution)}"}
    for phase in seen.phases:
        rate = phase.calls / phase.seconds if phase.calls is not None and phase.seconds else None
        each = "" if phase.per_request is None else f" ({format_number(phase.per_request, 3)} for a request)"
        if rate is not None:
            line[phase.phase] = f"{format_number(rate, 3)}/s{each}"
    line["during_times"], line["after_times"] = _times(seen.during_times), _times(seen.after_times)
    at_once = "" if seen.at_once is None else f", {seen.at_once:.0f} at once"
    line["herd"] = f"{_times(seen.herd_times)}{at_once}"
    return line


def _times(value: float | None) -> str:
    return NONE if value is None else f"{value:.2g} ×"


def _breaker(seen: BreakerSeen) -> dict[str, str]:
    return {
        "dependency": seen.dependency,
        "opened": "did not open" if seen.opened_at is None else f"{seen.opened_at:.1f} s",
        "probes": NONE if seen.probes is None else f"{seen.probes:.0f}",
        "closed": NONE
        if seen.opened_at is None
        else "not seen"
        if seen.closed_at is None
        else f"{seen.closed_at:.1f} s",
        "late": NONE if seen.late_share is None else format_share(seen.late_share),
        "told": ", ".join(f"{state} at {at:.1f} s" for at, state in seen.told[: 2 * _FEW]) or "the calls alone",
    }


def _waits(waits: Sequence[Wait], limit: float | None) -> list[str]:
    if not waits or (limit is None and waits[0].seconds < _TELLING):
        return []
    worst = waits[0]
    allowed = "" if limit is None else f"; {format_duration(limit)} allowed"
    least = "at least " if worst.outcome == "timed_out" else ""
    wait = f"{least}{format_duration(worst.seconds)} {_HOW.get(worst.outcome, '')}"
    return [f"The longest wait: {worst.request}, sent in second {worst.at:.0f}, waited {wait}{allowed}"]
