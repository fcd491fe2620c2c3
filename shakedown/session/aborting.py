"""Thresholds that end their loads before their time, while a stage runs."""

from collections.abc import Sequence

from shakedown.analysis.abort import AbortWatch
from shakedown.load import LoadHandle
from shakedown.plan.model import StageModel, UseScenario
from shakedown.plan.thresholds import Threshold, parse_threshold
from shakedown.plan.uses import label_of, request_tags
from shakedown.records.judgement import ThresholdResult
from shakedown.records.load import LoadDelta
from shakedown.session.judging import baseline_evidence
from shakedown.session.live import Session

__all__ = ["Aborts", "watch_stage"]


class Aborts:
    """Watches a stage's loads; when a threshold with `abort` is breached, its loads are stopped at once.

    Attributes:
        breached: what was breached, as it was seen then.
    """

    def __init__(self, session: Session, uses: Sequence[UseScenario], thresholds: Sequence[Threshold]) -> None:
        scenarios = {label_of(use): session.loaded.plan.scenarios[use.use] for use in uses}
        self._session = session
        self._handles: dict[str, LoadHandle] = {}
        self._watch = AbortWatch(
            thresholds,
            tags={label: request_tags(scenario) for label, scenario in scenarios.items()},
            baseline=baseline_evidence(session),
            requests_per_iteration={label: max(len(scenario.operations), 1) for label, scenario in scenarios.items()},
        )
        self.breached: list[ThresholdResult] = []

    def begin(self, handle: LoadHandle) -> None:
        """A load's schedule is about to begin."""
        label = handle.spec.label
        self._handles[label] = handle
        self._watch.begin(label, handle.start_at)

    def take(self, delta: LoadDelta) -> None:
        """A load has measured something."""
        breach = self._watch.take(delta, self._session.clock.now())
        if breach is None:
            return
        self.breached.append(breach.result)
        self._session.say("warning", "", f"{breach.result.text}: {', '.join(breach.loads)} stopped")
        for label in breach.loads:
            self._handles[label].stop()


def watch_stage(session: Session, name: str) -> Aborts | None:
    """The watch over a stage's loads; None when no threshold of the stage ends any."""
    stage: StageModel | None = getattr(session.loaded.plan.stages, name)
    if stage is None:
        return None
    thresholds = [parse_threshold(text) for text in stage.thresholds]
    if not any(threshold.abort is not None for threshold in thresholds):
        return None
    return Aborts(session, stage.loads, thresholds)
