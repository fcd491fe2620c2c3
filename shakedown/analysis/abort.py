"""Thresholds that end their load: looked at while it runs.

A look sees half of the story: what is in flight has not been counted yet, and tends to be the slower half. So a breach
counts only if it would stand although everything in flight turned out as well as can be; then what comes in after the
load was stopped cannot turn the verdict.

    deltas ──▶ AbortWatch ──▶ Breach ──▶ the load is stopped; its threshold has failed
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from shakedown.analysis.evaluation import Evaluation, Live
from shakedown.analysis.evidence import Evidence, WindowStats
from shakedown.analysis.judged import shown
from shakedown.analysis.thresholds import result_of
from shakedown.analysis.windows import Window
from shakedown.plan.thresholds import (
    COUNTERS,
    PERCENTILE,
    AllOf,
    AnyOf,
    Comparison,
    EachRequest,
    Expression,
    Threshold,
    Windowed,
    nodes_of,
)
from shakedown.records.histogram import Histogram
from shakedown.records.judgement import ThresholdResult
from shakedown.records.load import BucketKey, GeneratorHealth, LoadCounts, LoadDelta, LoadResult, merge_parts
from shakedown.verdict import Verdict

__all__ = ["AbortWatch", "Breach", "settle_abort"]

# Deltas come twice a second from each worker: what ended this long ago has been told by all of them.
SETTLED = 1.0
_LATENCIES = ("avg", "min", "max", "med")
_NEVER = 1e9  # seconds; a latency worse than any limit


@dataclass(frozen=True, slots=True)
class Breach:
    """A threshold that has ended its load.

    Attributes:
        loads: the labels of the loads that are to be stopped.
        at: when it was seen, in seconds since the run began.
    """

    threshold: Threshold
    result: ThresholdResult
    loads: tuple[str, ...]
    at: float


@dataclass(slots=True)
class _Load:
    """A load under way: second by second for windows, and folded into one for everything else."""

    seconds: LoadResult
    total: LoadResult
    in_flight: int = 0


@dataclass(slots=True)
class _Watched:
    threshold: Threshold
    expression: Expression
    subjects: tuple[str, ...]
    longest: int  # of its windows, in seconds
    pending: dict[str, float] = field(
        default_factory=dict
    )  # by load, the first second that was not looked at as it is now


class AbortWatch:
    """Watches loads and says which threshold is the first to end them. Safe to be fed from several threads.

    Args:
        thresholds: those that say `abort`; others are left alone.
        tags: by load, its requests with their tags, as in `Evidence`.
        baseline: as in `Evidence`.
        requests_per_iteration: by load, how many requests one iteration makes at most; 1 by default.

    Raises:
        ValueError: a threshold can be judged only at the end of a load.
    """

    def __init__(
        self,
        thresholds: Sequence[Threshold],
        *,
        tags: Mapping[str, Mapping[str, Mapping[str, str]]] | None = None,
        baseline: Evidence | None = None,
        requests_per_iteration: Mapping[str, int] | None = None,
    ) -> None:
        self._watched = [_watched(threshold) for threshold in thresholds if threshold.abort is not None]
        self._tags = tags or {}
        self._baseline = baseline
        self._per_iteration = requests_per_iteration or {}
        self._loads: dict[str, _Load] = {}
        self._breach: Breach | None = None
        self._lock = threading.Lock()

    @property
    def breach(self) -> Breach | None:
        """The first breach, once there is one."""
        return self._breach

    def begin(self, label: str, start: float) -> None:
        """A load's schedule begins at `start`; the next repetition of the same load begins anew."""
        with self._lock:
            self._loads[label] = _Load(_empty(label, start), _empty(label, start))
            for watched in self._watched:
                watched.pending.pop(label, None)

    def take(self, delta: LoadDelta, now: float) -> Breach | None:
        """Add what a load measured, and look at every threshold that is about it.

        Args:
            now: seconds since the run began.

        Returns:
            The breach that this delta has brought; None when there is none, or when there was one already.
        """
        with self._lock:
            load = self._loads.get(delta.load)
            if load is None or self._breach is not None:
                return None
            self._add(load, delta)
            touched = min((key.second for key in delta.buckets), default=now)
            for watched in self._watched:
                if delta.load in watched.subjects:
                    pending = watched.pending.get(delta.load, load.seconds.start)
                    watched.pending[delta.load] = min(pending, touched)
            for watched in self._watched:
                if delta.load in watched.subjects and self._due(watched, now):
                    self._breach = self._look(watched, now)
                    if self._breach is not None:
                        return self._breach
            return None

    def _due(self, watched: _Watched, now: float) -> bool:
        wait = max(watched.threshold.abort or 0.0, SETTLED)
        loads = [self._loads.get(label) for label in watched.subjects]
        return all(load is not None and load.total.counts.started and now - load.total.start >= wait for load in loads)

    @staticmethod
    def _add(load: _Load, delta: LoadDelta) -> None:
        merge_parts(load.seconds, delta)
        folded = replace(delta, buckets={}, pulses={}, start_lag={}, errors=[])
        for key, bucket in delta.buckets.items():
            one = LoadDelta(
                delta.load, 0.0, LoadCounts(), {BucketKey(key.request, key.outcome, 0, key.warm_up): bucket}, {}, {}, []
            )
            merge_parts(folded, one)
        for lag in delta.start_lag.values():
            folded.start_lag.setdefault(0, Histogram()).merge(lag)
        merge_parts(load.total, folded)
        counts = load.total.counts
        load.in_flight = max(counts.started - counts.ok - counts.failed - counts.timed_out - counts.cancelled, 0)
        if any(error.kind == "local" for error in delta.errors):
            for result in (load.seconds, load.total):
                result.generator.starved = "connections failed for want of files or ports on the generator's side"

    def _look(self, watched: _Watched, now: float) -> Breach | None:
        latest = now - SETTLED
        recent: dict[str, LoadResult] = {}
        spans: dict[str, list[tuple[float, float]]] = {}
        for label in watched.subjects:
            load = self._loads[label]
            low = max(load.seconds.start, watched.pending.get(label, load.seconds.start) // 1 - watched.longest)
            load.seconds.end = load.total.end = now
            every = load.seconds.buckets if watched.longest else {}  # without a window, the totals say it all
            buckets = {key: bucket for key, bucket in every.items() if key.second >= low // 1}
            recent[label] = replace(load.seconds, buckets=buckets)
            spans[label] = [(low, now)]
            watched.pending[label] = latest
        evidence = Evidence(loads=recent, tags=self._tags, spans=spans, baseline=self._baseline)
        totals = {label: self._loads[label].total for label in watched.subjects}
        hoped = Evaluation(evidence, Live(totals, self._hope, latest)).of(watched.expression)
        if hoped.verdict is not Verdict.FAILED:
            return None
        plain = Evaluation(evidence, Live(totals, None, latest)).of(watched.expression)
        judged = plain if plain.verdict is Verdict.FAILED else hoped
        after = shown(now - max(self._loads[label].total.start for label in watched.subjects), "s")
        why = f"stopped {after} after the load's start" + (f": {judged.why}" if judged.why else "")
        result = result_of(watched.threshold, replace(judged, why=why))
        return Breach(watched.threshold, result, watched.subjects, now)

    def _hope(
        self, comparison: Comparison, stats: WindowStats, names: frozenset[str] | None, window: Window | None
    ) -> WindowStats:
        """What is in flight, added as the comparison would have it."""
        load = self._loads[comparison.subject]
        most = self._per_iteration.get(comparison.subject, 1)
        waiting = load.in_flight * (most if names is None else min(len(names), most))
        metric, low = comparison.metric, comparison.op in ("<", "<=")
        if metric in _LATENCIES or PERCENTILE.fullmatch(metric):
            latency = Histogram()
            latency.merge(stats.latency)
            if waiting:
                latency.record(0.0 if low else _NEVER, waiting)
            return replace(stats, latency=latency)
        if (metric == "error_rate" and not low) or (metric == "check_rate" and low):
            return replace(stats, failed=stats.failed + waiting)
        if metric in ("error_rate", "check_rate"):
            return replace(stats, ok=stats.ok + waiting)
        if metric in ("rate", "throughput", "bytes_per_second") and not low:
            seconds = stats.seconds if window is not None else max(stats.seconds - SETTLED, 1e-3)
            coming = waiting * stats.received // stats.answered if stats.answered else 0  # answers like those before
            return replace(stats, ok=stats.ok + waiting, received=stats.received + coming, seconds=seconds)
        return stats


def _empty(label: str, start: float) -> LoadResult:
    return LoadResult(
        load=label, scenario=label, stage="", repetition=0, start=start, end=start, executor="", target_rate=None,
        counts=LoadCounts(), buckets={}, pulses={}, start_lag={}, errors=[], generator=GeneratorHealth(),
    )  # fmt: skip


def _watched(threshold: Threshold) -> _Watched:
    windows = [node.seconds for node in nodes_of(threshold.expression) if isinstance(node, Windowed)]
    subjects = tuple(dict.fromkeys(item.subject for item in threshold.comparisons))
    return _Watched(threshold, _while_running(threshold.expression), subjects, max(windows, default=0))


def _while_running(expression: Expression) -> Expression:
    """The expression as it can be judged before the end: no window that the end cuts short, and counters that still grow."""
    if isinstance(expression, AllOf):
        return AllOf(tuple(map(_while_running, expression.parts)))
    if isinstance(expression, AnyOf):
        return AnyOf(tuple(map(_while_running, expression.parts)))
    if isinstance(expression, EachRequest):
        return EachRequest(_while_running(expression.inner))
    if isinstance(expression, Windowed):
        kind = "over" if expression.kind == "within" else expression.kind
        return Windowed(_while_running(expression.inner), kind, expression.seconds)
    if expression.metric in COUNTERS and expression.op == "==":
        return replace(expression, op="<=")
    if expression.op == "==" or (expression.metric in COUNTERS and expression.op in (">", ">=")):
        raise ValueError(f"`{expression.text}` can be judged at the end of its load alone, so it cannot end it")
    return expression


def settle_abort(judged: ThresholdResult, breach: ThresholdResult, loads: Sequence[LoadResult]) -> ThresholdResult:
    """The verdict on a threshold that ended its load: the breach, unless what it was seen in cannot be trusted.

    Args:
        judged: the same threshold, judged on the whole of what was measured.
        loads: those that it is about, whole.
    """
    doubtful = any(load.generator.starved or load.counts.problems() for load in loads)
    if doubtful and judged.verdict is not Verdict.FAILED:
        return replace(judged, reason=f"{judged.reason}, {breach.reason}")
    return breach
