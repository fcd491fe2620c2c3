"""Which other services fell while one was disturbed, in which order, and whether they had a reason to.

A service has a reason to fall when it was disturbed itself or depends on what was, directly or through others.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from shakedown.records.behaviour import Fall
from shakedown.records.observation import ProbeResult, Sample
from shakedown.units import format_duration, format_size

__all__ = ["Ceiling", "dependents", "falls", "unexpected"]

UNHEALTHY_FOR = 1.0  # seconds: one look that went wrong is no fall
AT_LIMIT = 0.95
SLOWER_TIMES, SLOWER_BY = 5.0, 0.25  # of the median of health checks, and seconds
LOOKS = 5
SLOWER = "slower"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What a service may use at most; None: no limit is known."""

    memory: float | None = None
    open_files: float | None = None


def dependents(depends_on: Mapping[str, Collection[str]], victims: Collection[str]) -> frozenset[str]:
    """The victims and every service that depends on one of them, directly or through others."""
    found = set(victims)
    while more := {name for name, needed in depends_on.items() if name not in found and found & set(needed)}:
        found |= more
    return frozenset(found)


def falls(
    probes: Sequence[ProbeResult], samples: Sequence[Sample], before: tuple[float, float], start: float, until: float,
    *, excused: Collection[str], ceilings: Mapping[str, Ceiling], services: Collection[str],
) -> tuple[Fall, ...]:  # fmt: skip
    """Every fall between two instants, in order of time.

    Args:
        before: a quiet time, from which "slower" is learned.
        excused: services that have a reason to fall.
    """
    found: list[Fall] = []
    for service in services:
        looks = sorted((probe for probe in probes if probe.service == service), key=lambda probe: probe.at)
        expected = service in excused
        found += _unhealthy(service, looks, start, until, expected=expected)
        found += _slower(service, looks, before, start, until, expected=expected)
        found += _counted(service, samples, start, until, expected=expected)
        ceiling = ceilings.get(service, Ceiling())
        for series, most in (("memory", ceiling.memory), ("open_files", ceiling.open_files)):
            found += _full(service, samples, series, most, start, until, expected=expected)
    return tuple(sorted(found, key=lambda fall: (fall.at, fall.service, fall.what)))


def unexpected(found: Iterable[Fall]) -> list[Fall]:
    """Falls without a reason that are more than slowness, which a busy machine brings about as well."""
    return [fall for fall in found if not fall.expected and fall.what != SLOWER]


def _resolution(ats: Sequence[float]) -> float:
    return median(after - before for before, after in pairwise(ats)) if len(ats) > 1 else 1.0


def _unhealthy(service: str, looks: Sequence[ProbeResult], start: float, until: float, *, expected: bool) -> list[Fall]:
    """The first time that it was unhealthy for long enough, if it was healthy when the fault came."""
    earlier = [look for look in looks if look.at < start]
    if earlier and not earlier[-1].healthy:
        return []
    begun: ProbeResult | None = None
    inside = [look for look in looks if start <= look.at < until]
    for look in inside:
        if look.healthy:
            begun = None
            continue
        begun = begun or look
        if look.at + look.latency - begun.at >= UNHEALTHY_FOR and look is not begun:
            resolution = _resolution([one.at for one in inside])
            return [Fall(begun.at, service, "unhealthy", begun.detail, expected, resolution)]
    return []


def _slower(
    service: str, looks: Sequence[ProbeResult], before: tuple[float, float], start: float, until: float, *, expected: bool
) -> list[Fall]:  # fmt: skip
    usual = [look.latency for look in looks if before[0] <= look.at < before[1] and look.healthy]
    during = [look for look in looks if start <= look.at < until and look.healthy]
    if len(usual) < LOOKS or len(during) < LOOKS:
        return []
    normal, now = median(usual), median(look.latency for look in during)
    limit = max(SLOWER_TIMES * normal, normal + SLOWER_BY)
    if now <= limit:
        return []
    first = next(look for look in during if look.latency > limit)
    words = f"health answered in {format_duration(now)}, {format_duration(normal)} before"
    return [Fall(first.at, service, SLOWER, words, expected, _resolution([look.at for look in during]))]


def _series(samples: Sequence[Sample], service: str, series: str) -> list[tuple[float, float]]:
    return sorted((one.at, one.value) for one in samples if one.source == service and one.series == series)


def _counted(service: str, samples: Sequence[Sample], start: float, until: float, *, expected: bool) -> list[Fall]:
    """Restarts and kills for memory, which the engine counts."""
    found = []
    for series, what in (("restarts", "restarted"), ("oom_kills", "killed for memory")):
        points = _series(samples, service, series)
        for (_, earlier), (at, later) in pairwise(points):
            if start <= at < until and later > earlier:
                times = f"{later - earlier:.0f} times" if later - earlier > 1 else ""
                found.append(Fall(at, service, what, times, expected, _resolution([one for one, _ in points])))
                break
    return found


def _full(
    service: str, samples: Sequence[Sample], series: str, most: float | None, start: float, until: float, *, expected: bool
) -> list[Fall]:  # fmt: skip
    if not most:
        return []
    points = _series(samples, service, series)
    before = [value for at, value in points if at < start]
    if before and before[-1] >= AT_LIMIT * most:
        return []
    for at, value in points:
        if start <= at < until and value >= AT_LIMIT * most:
            show = format_size if series == "memory" else "{:.0f}".format
            words = f"{show(value)} of {show(most)}"
            what = f"{series.replace('_', ' ')} at {'its' if series == 'memory' else 'their'} limit"
            return [Fall(at, service, what, words, expected, _resolution([one for one, _ in points]))]
    return []
