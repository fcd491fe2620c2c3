"""What steady state needs beside its tolerances: the plan's own thresholds, judged in windows of whole seconds."""

import math
from dataclasses import dataclass, field, replace

from shakedown.analysis.evaluation import Evaluation
from shakedown.analysis.evidence import Evidence
from shakedown.analysis.judged import shown
from shakedown.analysis.thresholds import judge_all, result_of
from shakedown.analysis.windows import Window
from shakedown.plan.model import FaultsStage
from shakedown.plan.thresholds import Threshold, parse_threshold
from shakedown.plan.uses import label_of, request_tags
from shakedown.records.judgement import ThresholdResult
from shakedown.records.load import LoadResult
from shakedown.session.live import Session
from shakedown.verdict import Verdict, combine

__all__ = ["DeclaredSteady"]

SAMPLE_LAG = 1.0  # seconds until what was sampled has been handed on


@dataclass(slots=True)
class DeclaredSteady:
    """`steady_state` of the faults stage. Verdicts on windows that are over are kept.

    Attributes:
        width: of a window, whole seconds: the hold window, rounded up.
    """

    session: Session
    stage: FaultsStage
    _baseline: Evidence | None = None
    _known: dict[int, tuple[Verdict, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether the plan declares anything."""
        return bool(self.stage.steady_state)

    @property
    def width(self) -> int:
        """Of a window, whole seconds."""
        return max(math.ceil(self.stage.hold_window), 1)

    def learn(self, load: LoadResult, start: float, end: float) -> str | None:
        """Take the time before the faults for the baseline; why it is no steady state itself, or None."""
        if not self:
            return None
        self._baseline = replace(self._evidence(load, start, end), start=start, end=end)
        evidence = replace(self._baseline, baseline=self._baseline)
        return next(
            (
                f"`{result.text}`: {_words(result)}"
                for result in judge_all(self._thresholds(), evidence)
                if result.verdict is not Verdict.PASSED
            ),
            None,
        )

    def holds(self, load: LoadResult, begin: int, complete: float) -> tuple[Verdict, str]:
        """Whether all of it holds in the window that begins with a second, and what does not.

        Args:
            complete: up to when everything that was measured is known.
        """
        if begin in self._known:
            return self._known[begin]
        if begin + self.width > complete:
            return Verdict.INCONCLUSIVE, "what steady state needs could not be judged to the end of its window"
        window = Window(begin, begin + self.width)
        period = self.session.loaded.plan.sample_every
        evidence = replace(self._evidence(load, window.first - period, window.last), baseline=self._baseline)
        evaluation = Evaluation(evidence)
        results = [
            result_of(threshold, evaluation.of(threshold.expression, window=window)) for threshold in self._thresholds()
        ]
        verdict = combine(result.verdict for result in results)
        why = "; ".join(f"`{result.text}`: {_words(result)}" for result in results if result.verdict is verdict)
        self._known[begin] = verdict, "" if verdict is Verdict.PASSED else why
        return self._known[begin]

    def _thresholds(self) -> list[Threshold]:
        return [parse_threshold(text) for text in self.stage.steady_state]

    def _evidence(self, load: LoadResult, start: float, end: float) -> Evidence:
        label = label_of(self.stage.load)
        first, last = math.floor(start), math.ceil(end)
        counts = load.counts
        ended = counts.ok + counts.failed + counts.timed_out + counts.cancelled
        # As if it had ended: the counts of a load under way do not add up yet. Whether its rate was held is seen elsewhere.
        whole = replace(
            load,
            buckets={key: bucket for key, bucket in load.buckets.items() if first <= key.second < last},
            counts=replace(counts, started=ended, scheduled=ended + counts.dropped),
            rate_held=True,
            interrupted=False,
        )
        return Evidence(
            loads={label: whole},
            samples=self.session.results.samples(self.session.run_id, start, end),
            tags={label: request_tags(self.session.loaded.plan.scenarios[self.stage.load.use])},
        )


def _words(result: ThresholdResult) -> str:
    value = shown(result.actual, result.unit)
    return f"{value} ({result.reason})" if result.reason else value
