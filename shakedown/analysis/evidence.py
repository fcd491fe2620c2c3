"""What a threshold is judged on: everything measured in one window of the time axis."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shakedown.records.histogram import Histogram
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadResult, Outcome
from shakedown.records.observation import Sample
from shakedown.records.suites import SuiteResult

__all__ = ["Evidence", "Seconds", "Span", "WindowStats", "histogram_between", "overlap", "window_stats"]

# Latency is judged over answers that held and over time-outs (which count with at least their limit). A quick refusal
# cannot improve a percentile, and a time-out cannot hide from it; refusals are judged by error_rate.
LATENCY_OUTCOMES = (Outcome.OK, Outcome.TIMED_OUT)

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything measured between `start` and `end` (seconds since the run began).

    Attributes:
        loads: by the label that thresholds use.
        suites: every execution, by label.
        samples: resource samples; those outside the window are ignored.
        start, end: the window, half open; the whole of each load when None.
        tags: by load, the tags of each of its requests; a load that stands here has these requests and no others, so
            that one of which nothing was measured is seen to be missing.
        spans: by load, the times in which it ran, where it ran several times; by default it ran from its start to its end.
        ledgers: those that were read back, by name.
        baseline: what relative limits are relative to; None when there is no baseline.
    """

    loads: Mapping[str, LoadResult] = field(default_factory=dict)
    suites: Mapping[str, Sequence[SuiteResult]] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    start: float | None = None
    end: float | None = None
    tags: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    ledgers: Mapping[str, LedgerResult] = field(default_factory=dict)
    baseline: Evidence | None = None

    def contains(self, at: float) -> bool:
        """Whether `at` lies in the window."""
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)

    def spans_of(self, label: str) -> Sequence[Span]:
        """When a load ran."""
        load = self.loads[label]
        return self.spans.get(label) or ((load.judged_from, load.end),)

    def requests_of(self, label: str) -> list[str]:
        """The requests of a load: those of the plan where it is known, else those of which something was measured."""
        known = self.tags.get(label)
        return sorted({key.request for key in self.loads[label].buckets}) if known is None else list(known)


@dataclass(frozen=True, slots=True)
class WindowStats:
    """A load within a window of intended starts.

    Attributes:
        seconds: the window's length, as far as the load ran in it.
        ended: requests that ended, however (cancelled ones excluded: the client cut them off, not the system).
        unanswered: of the failed ones, those that got no answer at all.
        received: bytes of all answers.
    """

    seconds: float
    ok: int
    failed: int
    timed_out: int
    latency: Histogram
    unanswered: int = 0
    received: int = 0

    @property
    def ended(self) -> int:
        """Requests whose outcome the system decided."""
        return self.ok + self.failed + self.timed_out

    @property
    def answered(self) -> int:
        """Requests that got a whole answer, right or wrong."""
        return self.ok + max(self.failed - self.unanswered, 0)

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed or timed out; None when none ended."""
        return (self.failed + self.timed_out) / self.ended if self.ended else None

    @property
    def check_rate(self) -> float | None:
        """The share of answered requests of which every check held; None when none was answered."""
        return self.ok / self.answered if self.answered else None


def overlap(spans: Iterable[Span], first: float, last: float) -> float:
    """How many seconds of the spans lie between two points."""
    return sum(max(0.0, min(end, last) - max(start, first)) for start, end in spans)


def _seconds(load: LoadResult, start: float | None, end: float | None) -> tuple[float, float]:
    """The window's whole seconds: buckets are one second wide, so a window is judged on those that lie wholly in it.

    A window too short to hold a whole second is judged on every second that it touches.
    """
    if start is None and end is None:
        return float("-inf"), float("inf")
    first = load.judged_from if start is None else max(start, load.start - 1)
    last = load.end if end is None else end
    inner = (_ceil(first), _floor(last))
    return inner if inner[1] > inner[0] else (_floor(first), _ceil(last))


def _ceil(value: float) -> float:
    return -((-value) // 1)


def _floor(value: float) -> float:
    return value // 1


def histogram_between(
    load: LoadResult,
    *,
    request: str | None = None,
    outcomes: Iterable[Outcome] = LATENCY_OUTCOMES,
    start: float | None = None,
    end: float | None = None,
) -> Histogram:
    """Response times of the requests whose intended start lies in the window, exact by merging buckets."""
    wanted = set(outcomes)
    first, last = _seconds(load, start, end)
    merged = Histogram()
    for key, bucket in load.buckets.items():
        if key.warm_up:
            continue
        if key.outcome in wanted and first <= key.second < last and (request is None or key.request == request):
            merged.merge(bucket.response)
    return merged


def window_stats(
    load: LoadResult,
    *,
    request: str | None = None,
    requests: Collection[str] | None = None,
    start: float | None = None,
    end: float | None = None,
    spans: Sequence[Span] = (),
) -> WindowStats:
    """Counts and latency of a load between two points of the time axis.

    Args:
        request, requests: only this one, only these.
        spans: when the load ran, where it ran several times; pauses between them are no part of the window's length.
    """
    first, last = _seconds(load, start, end)
    chosen = requests if request is None else (request,)
    parts = _collect(load, chosen, first, last)
    if first == float("-inf"):
        seconds = overlap(spans, first, last) if spans else max(load.end - load.judged_from, 0.0)
    else:
        seconds = overlap(spans, first, last) if len(spans) > 1 else last - first
    return merge_stats(parts.values(), seconds)


class Seconds:
    """What was measured in each second of intended starts, merged for any window in few steps.

    Seconds are merged in aligned blocks of 2, 4, 8, … and a window is put together from the largest that fit: a window
    that slides over an hour merges a dozen blocks at each step, however long it is.
    """

    def __init__(self, load: LoadResult, requests: Collection[str] | None = None) -> None:
        self._blocks: dict[tuple[int, int], WindowStats | None] = {}
        self._single = _collect(load, requests, float("-inf"), float("inf"))

    def __bool__(self) -> bool:
        """Whether anything ended at all."""
        return any(stats.ended for stats in self._single.values())

    def between(self, first: int, last: int, seconds: float) -> WindowStats:
        """The stats of the seconds from `first` up to `last`, which the load filled for that many seconds."""
        parts = []
        at = first
        while at < last:
            level = 0
            while at % (2 << level) == 0 and at + (2 << level) <= last:
                level += 1
            block = self._block(level, at >> level)
            if block is not None:
                parts.append(block)
            at += 1 << level
        return merge_stats(parts, seconds)

    def _block(self, level: int, index: int) -> WindowStats | None:
        if level == 0:
            return self._single.get(index)
        key = (level, index)
        if key not in self._blocks:
            halves = [self._block(level - 1, 2 * index), self._block(level - 1, 2 * index + 1)]
            parts = [half for half in halves if half is not None]
            self._blocks[key] = merge_stats(parts, float(1 << level)) if len(parts) == 2 else next(iter(parts), None)
        return self._blocks[key]


def _collect(load: LoadResult, requests: Collection[str] | None, first: float, last: float) -> dict[int, WindowStats]:
    counts: dict[int, dict[Outcome, int]] = {}
    latency: dict[int, Histogram] = {}
    unanswered: dict[int, int] = {}
    received: dict[int, int] = {}
    for key, bucket in load.buckets.items():
        second = key.second
        if key.warm_up or not first <= second < last or (requests is not None and key.request not in requests):
            continue
        counts.setdefault(second, dict.fromkeys(Outcome, 0))[key.outcome] += bucket.response.count
        received[second] = received.get(second, 0) + (
            bucket.bytes_received if key.outcome is not Outcome.CANCELLED else 0
        )
        if key.outcome is Outcome.FAILED:
            unanswered[second] = unanswered.get(second, 0) + bucket.unanswered
        if key.outcome in LATENCY_OUTCOMES:
            latency.setdefault(second, Histogram()).merge(bucket.response)
    return {
        second: WindowStats(
            seconds=1.0,
            ok=count[Outcome.OK],
            failed=count[Outcome.FAILED],
            timed_out=count[Outcome.TIMED_OUT],
            latency=latency.get(second) or Histogram(),
            unanswered=unanswered.get(second, 0),
            received=received[second],
        )
        for second, count in counts.items()
    }


def merge_stats(parts: Iterable[WindowStats], seconds: float) -> WindowStats:
    """Several windows as one of the given length."""
    every = list(parts)
    latency = Histogram()
    for part in every:
        latency.merge(part.latency)
    return WindowStats(
        seconds=seconds,
        ok=sum(part.ok for part in every),
        failed=sum(part.failed for part in every),
        timed_out=sum(part.timed_out for part in every),
        latency=latency,
        unanswered=sum(part.unanswered for part in every),
        received=sum(part.received for part in every),
    )
