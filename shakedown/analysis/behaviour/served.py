"""What was served while a fault held: in full, degraded, or not; and whether core functions kept working."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shakedown.analysis.evidence import window_stats
from shakedown.records.behaviour import Served
from shakedown.records.load import LoadResult
from shakedown.units import format_duration, format_share
from shakedown.verdict import Verdict

__all__ = ["CoreJudged", "judge_core", "served_in"]

ENOUGH = 20  # requests, to say that a core function kept working
SURE = 3  # failures, to say that it did not, with fewer requests than that


@dataclass(frozen=True, slots=True)
class CoreJudged:
    """One core function during one fault."""

    request: str
    verdict: Verdict
    words: str


def served_in(
    load: LoadResult, phases: Mapping[str, tuple[float, float]], requests: Collection[str], *, marked: Collection[str],
    core: Collection[str] = (),
) -> tuple[Served, ...]:  # fmt: skip
    """What clients got of each request in each phase, by the whole seconds of intended starts that lie in it.

    Args:
        marked: requests whose degraded answers bear a marker.
    """
    found = []
    for request in requests:
        for phase, (start, end) in phases.items():
            if end <= start:
                continue
            stats = window_stats(load, request=request, start=start, end=end)
            first, last = _whole_seconds(start, end)
            degraded = sum(
                times.count
                for (name, second), times in load.degraded.items()
                if name == request and first <= second < last
            )
            found.append(
                Served(
                    request, phase, stats.ok - min(degraded, stats.ok), min(degraded, stats.ok),
                    stats.failed + stats.timed_out, stats.latency.quantile(0.95), request in marked, request in core,
                )
            )  # fmt: skip
    return tuple(found)


def _whole_seconds(start: float, end: float) -> tuple[float, float]:
    """The seconds that `window_stats` judges a window by."""
    first, last = -((-start) // 1), end // 1
    return (first, last) if last > first else (start // 1, -((-end) // 1))


def judge_core(served: Sequence[Served], *, share: float, within: float | None) -> list[CoreJudged]:
    """Whether each core function kept working during the fault.

    Args:
        share: of its requests that must be served, in full or degraded.
        within: the p95 that it may have, seconds.
    """
    found = []
    for item in served:
        if not item.core or item.phase != "during":
            continue
        name = f"core function `{item.request}`"
        got = item.share
        if got is None:
            found.append(CoreJudged(item.request, Verdict.INCONCLUSIVE, f"{name}: never asked while the fault held"))
            continue
        said = f"{name}: {format_share(got)} of {item.total} requests served while the fault held, {format_share(share)} needed"
        if got < share and (item.total >= ENOUGH or item.failed >= SURE):
            found.append(CoreJudged(item.request, Verdict.FAILED, said))
        elif within is not None and item.p95 is not None and item.p95 > within and item.total >= ENOUGH:
            slow = (
                f"{name}: p95 was {format_duration(item.p95)} while the fault held, {format_duration(within)} allowed"
            )
            found.append(CoreJudged(item.request, Verdict.FAILED, slow))
        elif item.total < ENOUGH:
            few = f"{name}: {item.total} requests while the fault held are too few ({ENOUGH} needed)"
            found.append(CoreJudged(item.request, Verdict.INCONCLUSIVE, few))
        else:
            found.append(CoreJudged(item.request, Verdict.PASSED, ""))
    return found
