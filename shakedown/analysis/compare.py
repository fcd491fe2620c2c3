"""Before and after: is a figure within its tolerance of what it was?"""

from collections.abc import Mapping, Sequence

from shakedown.analysis.evidence import window_stats
from shakedown.analysis.quantiles import samples_needed
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.recovery import Comparison
from shakedown.units import format_duration, format_size
from shakedown.verdict import Verdict

__all__ = ["compare_loads", "compare_memory"]

# Below these, a relative change is the machine's own noise and nobody's concern.
LATENCY_FLOOR = 0.025
MEMORY_FLOOR = 16e6
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def compare_loads(
    before: LoadResult, after: LoadResult, tolerance: Mapping[str, float], disturbance: str = ""
) -> list[Comparison]:
    """A load against the same load earlier, for every metric that has a tolerance.

    Latencies may grow by the tolerance, or by 25 ms if that is more; throughput may fall by the tolerance; the error
    rate may rise by the tolerance in absolute terms.

    Args:
        disturbance: why something else may have slowed the second load down; then what is slower is inconclusive.
    """
    found = []
    old, new = window_stats(before), window_stats(after)
    doubt = before.generator.starved or after.generator.starved or ""
    for metric, allowed in tolerance.items():
        needed = samples = min(old.ended, new.ended)
        if metric in QUANTILES:
            samples = min(old.latency.count, new.latency.count)
            needed = samples_needed(QUANTILES[metric])
            first, second, unit = old.latency.quantile(QUANTILES[metric]), new.latency.quantile(QUANTILES[metric]), "s"
            worse = (
                first is not None and second is not None and second > max(first * (1 + allowed), first + LATENCY_FLOOR)
            )
            reason = f"a growth below {format_duration(LATENCY_FLOOR)} does not count"
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
        else:
            verdict = Verdict.FAILED if worse else Verdict.PASSED
        found.append(Comparison(before.load, metric, unit, first, second, allowed, verdict, samples, reason))
    return found


def compare_memory(
    before: Sequence[Sample], after: Sequence[Sample], services: Sequence[str], allowed: float
) -> list[Comparison]:
    """Each service's mean memory against what it was; a growth below 16 MB does not count."""
    found = []
    for service in services:
        old = [sample.value for sample in before if sample.source == service and sample.series == "memory"]
        new = [sample.value for sample in after if sample.source == service and sample.series == "memory"]
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
