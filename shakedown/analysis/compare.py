"""Before and after: is a figure within its tolerance of what it was?"""

import math
import statistics
from collections.abc import Mapping, Sequence

from shakedown.analysis.evidence import LATENCY_OUTCOMES, window_stats
from shakedown.analysis.quantiles import samples_needed
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.recovery import Comparison
from shakedown.units import format_duration, format_size
from shakedown.verdict import Verdict

__all__ = ["compare_idle", "compare_loads", "compare_memory", "drifting_figure"]

# Below these, a relative change is the machine's own noise and nobody's concern.
LATENCY_FLOOR = 0.025
MEMORY_FLOOR = 16e6
# A single hiccup of the machine moves a high percentile of ten seconds. What has not come back is slow most of the time.
SLOW_SECONDS = 0.5
DOUBTFUL_SECONDS = 0.25
FEWEST_SECONDS = 4
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def compare_loads(
    before: LoadResult, after: LoadResult, tolerance: Mapping[str, float], disturbance: str = ""
) -> list[Comparison]:
    """A load against the same load earlier, for every metric that has a tolerance.

    Latencies may grow by the tolerance, or by 25 ms if that is more, in more than half of the seconds; throughput may
    fall by the tolerance; the error rate may rise by the tolerance in absolute terms.

    Args:
        disturbance: why something else may have slowed the second load down; then what is slower is inconclusive.
    """
    found = []
    old, new = window_stats(before), window_stats(after)
    doubt = before.generator.starved or after.generator.starved or ""
    for metric, allowed in tolerance.items():
        needed = samples = min(old.ended, new.ended)
        unsure = ""
        if metric in QUANTILES:
            samples = min(old.latency.count, new.latency.count)
            needed = samples_needed(QUANTILES[metric])
            first, second, unit = old.latency.quantile(QUANTILES[metric]), new.latency.quantile(QUANTILES[metric]), "s"
            limit = max((first or 0.0) * (1 + allowed), (first or 0.0) + LATENCY_FLOOR)
            worse = first is not None and second is not None and second > limit
            reason = f"a growth below {format_duration(LATENCY_FLOOR)} does not count"
            slow, seconds = _slow_seconds(after, QUANTILES[metric], limit)
            if worse and seconds >= FEWEST_SECONDS and slow < SLOW_SECONDS * seconds:
                worse, reason = False, f"beyond the tolerance in {slow} of {seconds} seconds only"
                unsure = reason if slow >= DOUBTFUL_SECONDS * seconds else ""
        elif metric == "throughput":
            first, second, unit = old.ok / max(old.seconds, 1e-9), new.ok / max(new.seconds, 1e-9), "/s"
            worse, reason = second < first * (1 - allowed), ""
        elif metric == "error_rate":
            first, second, unit = old.error_rate, new.error_rate, "%"
            worse, reason = first is not None and second is not None and second > first + allowed, "in absolute terms"
        else:
            continue
        if first is None or second is None or doubt or samples < needed:
            verdict, reason = Verdict.INCONCLUSIVE, doubt or f"{samples} samples, {needed} needed"
        elif worse and disturbance and metric != "error_rate":
            verdict, reason = Verdict.INCONCLUSIVE, disturbance
        elif unsure:
            verdict = Verdict.INCONCLUSIVE
        else:
            verdict = Verdict.FAILED if worse else Verdict.PASSED
        found.append(Comparison(before.load, metric, unit, first, second, allowed, verdict, samples, reason))
    return found


def drifting_figure(load: LoadResult, metric: str) -> float | None:
    """A figure of a whole load that grows when things get worse; None where it was not measured.

    Args:
        metric: a quantile, which is seconds; or throughput, of which it is the seconds for each request.
    """
    stats = window_stats(load)
    if metric in QUANTILES:
        return stats.latency.quantile(QUANTILES[metric])
    return stats.seconds / stats.ok if stats.ok else None


def _slow_seconds(load: LoadResult, q: float, limit: float) -> tuple[int, int]:
    """In how many of a load's seconds its quantile did not lie within a limit, and how many seconds there were.

    A second in which nothing good was due counts as slow: users that wait for slow answers ask for few.
    """
    by_second: dict[int, Histogram] = {}
    for key, bucket in load.buckets.items():
        if key.outcome in LATENCY_OUTCOMES and not key.warm_up:
            by_second.setdefault(key.second, Histogram()).merge(bucket.response)
    seconds = max(math.ceil(load.end) - math.floor(load.judged_from), len(by_second))
    values = [one.quantile(q) for one in by_second.values()]
    return seconds - sum(value is not None and value <= limit for value in values), seconds


def compare_memory(
    before: Sequence[Sample], after: Sequence[Sample], services: Sequence[str], allowed: float
) -> list[Comparison]:
    """Each service's mean memory against what it was; a growth below 16 MB does not count.

    Anonymous memory where it is known: a database fills its shared buffers and page cache because it is used, not because
    anything was left behind.
    """
    found = []
    for service in services:
        old, new = _values(before, service, "memory_anon"), _values(after, service, "memory_anon")
        if not old or not new:
            old, new = _values(before, service, "memory"), _values(after, service, "memory")
        if not old or not new:
            found.append(
                Comparison(service, "memory", "B", None, None, allowed, Verdict.INCONCLUSIVE, 0, "it was not sampled")
            )
            continue
        first, second = sum(old) / len(old), sum(new) / len(new)
        worse = second > max(first * (1 + allowed), first + MEMORY_FLOOR)
        reason = f"a growth below {format_size(MEMORY_FLOOR)} does not count"
        verdict = Verdict.FAILED if worse else Verdict.PASSED
        found.append(
            Comparison(service, "memory", "B", first, second, allowed, verdict, min(len(old), len(new)), reason)
        )
    return found


def compare_idle(
    subject: str,
    series: str,
    unit: str,
    before: Sequence[float],
    after: Sequence[float],
    tolerance: float,
    margin: float,
) -> Comparison:
    """What is held while idle against what was held while idle earlier.

    It is back when it was so once: the least of the later readings counts, against the median of the earlier ones.

    Args:
        margin: a growth that does not count, in the series' unit.
    """
    metric = f"{series}, idle"
    if not before or not after:
        when = "after the baseline" if not before else "at the end"
        return Comparison(
            subject, metric, unit, statistics.median(before) if before else None, min(after, default=None), tolerance,
            Verdict.INCONCLUSIVE, 0, f"it was not sampled {when}",
        )  # fmt: skip
    first, last = statistics.median(before), min(after)
    worse = last > max(first * (1 + tolerance), first + margin)
    shown = format_size(margin) if unit == "B" else f"{margin:g}"
    reason = f"a growth of up to {shown} does not count" if margin else ""
    verdict = Verdict.FAILED if worse else Verdict.PASSED
    return Comparison(subject, metric, unit, first, last, tolerance, verdict, len(after), reason)


def _values(samples: Sequence[Sample], source: str, series: str) -> list[float]:
    return [sample.value for sample in samples if sample.source == source and sample.series == series]
