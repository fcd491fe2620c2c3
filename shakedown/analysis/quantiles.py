"""Which quantiles a number of samples supports."""

import math

__all__ = ["samples_needed", "supported"]

CONFIDENCE = 0.95


def samples_needed(q: float) -> int:
    """The least number of samples for a one-sided 95 % bound on the q-quantile to exist: ⌈ln 0.05 / ln q⌉.

    The largest of n samples exceeds the q-quantile with probability 1 − qⁿ (order statistics); below this n no sample
    bounds it with that confidence: p95 needs 59, p99 299, p99.9 2995. The median is always shown.
    """
    if not 0 <= q < 1:
        raise ValueError(f"a quantile lies in [0, 1): {q}")
    if q <= 0.5:
        return 1
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(q))


def supported(q: float, samples: int) -> bool:
    """Whether `samples` values support a statement on the q-quantile."""
    return samples >= samples_needed(q)
