"""Was the machine busy with something else? What other programs take is missing from the service, and is not its fault."""

from collections.abc import Collection, Sequence

from shakedown.records.observation import Sample
from shakedown.units import format_share

__all__ = ["disturbed", "foreign_cpu"]

# A quarter of the machine more than before: what comes of that is not told apart from what came of the service.
SHARE = 0.25


def foreign_cpu(samples: Sequence[Sample], ours: Collection[str]) -> float | None:
    """Cores in use by what is neither Shakedown nor one of its services, the mean; None when it was not sampled.

    Args:
        ours: the sources that are part of the run.
    """
    means = {}
    for source in ("host", *ours):
        values = [sample.value for sample in samples if sample.source == source and sample.series == "cpu"]
        if values:
            means[source] = sum(values) / len(values)
    if "host" not in means:
        return None
    return max(means.pop("host") - sum(means.values()), 0.0)


def disturbed(before: Sequence[Sample], after: Sequence[Sample], ours: Collection[str], cores: int) -> str:
    """Why two windows cannot be compared by their speed; empty when they can."""
    first, second = foreign_cpu(before, ours), foreign_cpu(after, ours)
    if first is None or second is None or second - first <= SHARE * cores:
        return ""
    return (
        f"other programs took {format_share(second / cores)} of the machine, {format_share(first / cores)} before: "
        "what is slower may be slower because of them"
    )
