"""Was the machine busy with something else? What other programs take is missing from the service, and is not its fault."""

from collections.abc import Collection, Sequence

from shakedown.records.observation import Sample
from shakedown.units import format_share

__all__ = ["disturbed", "foreign_cpu"]

# A quarter of the machine more than before: what comes of that is not told apart from what came of the service.
SHARE = 0.25
FULL = 0.95  # of the machine: who wants more of it waits, for how long depends on how many wait


def foreign_cpu(samples: Sequence[Sample], ours: Collection[str]) -> float | None:
    """Cores in use by what is neither Shakedown nor one of its services, the mean; None when it was not sampled.

    Args:
        ours: the sources that are part of the run.
    """
    host = _mean(samples, "host")
    if host is None:
        return None
    return max(host - sum(_mean(samples, source) or 0.0 for source in ours), 0.0)


def _mean(samples: Sequence[Sample], source: str) -> float | None:
    values = [sample.value for sample in samples if sample.source == source and sample.series == "cpu"]
    return sum(values) / len(values) if values else None


def disturbed(before: Sequence[Sample], after: Sequence[Sample], ours: Collection[str], cores: int) -> str:
    """Why two windows cannot be compared by their speed; empty when they can.

    Other programs took far more of the machine than before; or they filled it: then their share no longer tells how many of
    them wait for it, and so for how long everybody does.
    """
    first, second = foreign_cpu(before, ours), foreign_cpu(after, ours)
    if first is None or second is None:
        return ""
    if second - first <= SHARE * cores:
        if second >= SHARE * cores and (_mean(after, "host") or 0.0) >= FULL * cores:
            return (
                f"the machine was full, and other programs took {format_share(second / cores)} of it: what is slower may be "
                "slower because of them"
            )
        return ""
    return (
        f"other programs took {format_share(second / cores)} of the machine, {format_share(first / cores)} before: "
        "what is slower may be slower because of them"
    )
