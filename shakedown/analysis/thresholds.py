"""A threshold and what was measured in, a verdict out.

Nothing that was not measured passes: no samples, too few for the quantile, a rate that was not held or a starved
generator make a threshold inconclusive. One exception runs the other way: a limit that is breached although *less*
load than asked arrived is breached; only a starved generator, which inflates latencies itself, keeps that from counting.
"""

from collections.abc import Sequence

from shakedown.analysis.evaluation import Evaluation
from shakedown.analysis.evidence import Evidence
from shakedown.analysis.judged import Judged
from shakedown.plan.thresholds import Threshold
from shakedown.records.judgement import ThresholdResult

__all__ = ["judge", "judge_all", "result_of"]


def judge_all(thresholds: Sequence[Threshold], evidence: Evidence) -> list[ThresholdResult]:
    """Every threshold judged on the same evidence, in order."""
    evaluation = Evaluation(evidence)  # one for all: what it has merged serves the next as well
    return [result_of(threshold, evaluation.of(threshold.expression)) for threshold in thresholds]


def judge(threshold: Threshold, evidence: Evidence) -> ThresholdResult:
    """One threshold judged on what was measured in the evidence's window."""
    return judge_all([threshold], evidence)[0]


def result_of(threshold: Threshold, judged: Judged) -> ThresholdResult:
    """What a threshold's evaluation says, as a record."""
    return ThresholdResult(
        text=threshold.text,
        verdict=judged.verdict,
        actual=judged.actual,
        limit=judged.limit,
        unit=judged.comparison.unit,
        samples=judged.samples,
        reason=judged.why,
    )
