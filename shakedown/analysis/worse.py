"""Steady state is back; is it as good as it was? The time before a fault beside the time after it."""

import math
from collections.abc import Sequence

from shakedown.analysis.compare import LATENCY_FLOOR, QUANTILES
from shakedown.analysis.evidence import WindowStats, window_stats
from shakedown.analysis.judged import shown
from shakedown.analysis.quantiles import samples_needed
from shakedown.plan.experiments import WorseLimits
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.recovery import Comparison
from shakedown.units import format_duration, format_share, format_size
from shakedown.verdict import Verdict

__all__ = ["compare_after", "describe", "recovered_but_worse"]

MEMORY_FLOOR = 32e6  # bytes: a process keeps what it needed to get over a fault
FEWEST_SECONDS = 4  # a second or two of hiccups is no state
FEWEST_SAMPLES = 3

Window = tuple[float, float]


def compare_after(
    load: LoadResult, samples: Sequence[Sample], services: Sequence[str], before: Window, after: Window,
    limits: WorseLimits, disturbance: str = "",
) -> tuple[Comparison, ...]:  # fmt: skip
    """Latency, throughput and each service's memory; what was not measured well enough is skipped, with the reason.

    Latencies may grow by their limit, or by 25 ms if that is more; they are worse when they lie beyond it over the whole
    window *and* in more than half of its seconds.

    Args:
        services: whose memory is compared.
        disturbance: why something else may have slowed the load down; then what is slower is inconclusive.
    """
    found = [_latency(load, name, before, after, getattr(limits, name), disturbance) for name in ("p50", "p95")]
    found.append(_throughput(load, before, after, limits.throughput, disturbance))
    for service in services:
        compared = _memory(samples, service, before, after, limits.memory)
        if compared is not None:
            found.append(compared)
    return tuple(found)


def _stats(load: LoadResult, window: Window) -> WindowStats:
    return window_stats(load, start=window[0], end=window[1])


def _latency(
    load: LoadResult, name: str, before: Window, after: Window, allowed: float, disturbance: str
) -> Comparison:
    old, new = _stats(load, before), _stats(load, after)
    q = QUANTILES[name]
    first, second = old.latency.quantile(q), new.latency.quantile(q)
    samples = min(old.latency.count, new.latency.count)
    limit = max((first or 0.0) * (1 + allowed), (first or 0.0) + LATENCY_FLOOR)
    reason, verdict = f"a growth below {format_duration(LATENCY_FLOOR)} does not count", Verdict.PASSED
    seconds = [
        _stats(load, (float(at), at + 1.0)).latency.quantile(q)
        for at in range(math.ceil(after[0]), math.floor(after[1]))
    ]
    slow = sum(value is not None and value > limit for value in seconds)
    if first is None or second is None or samples < samples_needed(q) or len(seconds) < FEWEST_SECONDS:
        verdict, reason = Verdict.SKIPPED, f"only {samples} samples in {len(seconds)} s"
    elif second > limit and slow > len(seconds) / 2:
        verdict, reason = (Verdict.INCONCLUSIVE, disturbance) if disturbance else (Verdict.FAILED, "")
    return Comparison(load.load, name, "s", first, second, allowed, verdict, samples, reason)


def _throughput(load: LoadResult, before: Window, after: Window, allowed: float, disturbance: str) -> Comparison:
    old, new = _stats(load, before), _stats(load, after)
    first, second = old.ok / max(old.seconds, 1e-9), new.ok / max(new.seconds, 1e-9)
    samples, reason, verdict = min(old.ended, new.ended), "", Verdict.PASSED
    if samples < samples_needed(0.95) or min(old.seconds, new.seconds) < FEWEST_SECONDS:
        verdict, reason = Verdict.SKIPPED, f"only {samples} samples in {min(old.seconds, new.seconds):g} s"
    elif second < first * (1 - allowed):
        verdict, reason = (Verdict.INCONCLUSIVE, disturbance) if disturbance else (Verdict.FAILED, "")
    return Comparison(load.load, "throughput", "/s", first, second, allowed, verdict, samples, reason)


def _memory(
    samples: Sequence[Sample], service: str, before: Window, after: Window, allowed: float
) -> Comparison | None:
    """Anonymous memory where it is known, by its median; None where none was sampled at all."""
    for series in ("memory_anon", "memory"):
        old, new = (_values(samples, service, series, window) for window in (before, after))
        if old and new:
            break
    if not old and not new:
        return None
    if min(len(old), len(new)) < FEWEST_SAMPLES:
        reason = f"only {min(len(old), len(new))} samples"
        return Comparison(service, "memory", "B", None, None, allowed, Verdict.SKIPPED, len(new), reason)
    first, second = old[len(old) // 2], new[len(new) // 2]
    worse = second > max(first * (1 + allowed), first + MEMORY_FLOOR)
    reason = "" if worse else f"a growth below {format_size(MEMORY_FLOOR)} does not count"
    verdict = Verdict.FAILED if worse else Verdict.PASSED
    return Comparison(service, "memory", "B", first, second, allowed, verdict, min(len(old), len(new)), reason)


def _values(samples: Sequence[Sample], source: str, series: str, window: Window) -> list[float]:
    return sorted(
        sample.value
        for sample in samples
        if sample.source == source and sample.series == series and window[0] <= sample.at < window[1]
    )


def describe(item: Comparison) -> str:
    """`send.p95 120 ms, 40 ms before (+200 %; 40 % allowed)`."""
    change = f"{'+' if (item.change or 0) > 0 else ''}{format_share(item.change)}" if item.change is not None else "new"
    return (
        f"{item.subject}.{item.metric} {shown(item.after, item.unit)}, {shown(item.before, item.unit)} before "
        f"({change}; {format_share(item.tolerance)} allowed)"
    )


def recovered_but_worse(experiment: str, items: Sequence[Comparison]) -> Finding:
    """Steady state came back, and these figures are worse than before."""
    figures = ", ".join(f"{item.subject}.{item.metric}" for item in items)
    memory = all(item.metric == "memory" for item in items)
    return Finding(
        Severity.FAILURE,
        f"{experiment}: recovered, but worse than before: {figures}",
        "what was gathered during the fault is kept (a queue, a cache, connections)"
        if memory
        else "work left over from the fault is still being done, something that was lost (a cache, connections) is not "
        "there again, or it goes on without something that it had",
        tuple(describe(item) for item in items),
        "compare its resources before the fault and after it; see whether the figures come back when it is left alone",
        experiment,
    )
