"""What a threshold is judged on: everything measured in one window of the time axis."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult, Outcome
from shakedown.records.observation import Sample
from shakedown.records.suites import SuiteResult

__all__ = ["Evidence", "WindowStats", "histogram_between", "window_stats"]

# Latency is judged over answers that held and over time-outs (which count with at least their limit). A quick refusal
# cannot improve a percentile, and a time-out cannot hide from it; refusals are judged by error_rate.
LATENCY_OUTCOMES = (Outcome.OK, Outcome.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything measured between `start` and `end` (seconds since the run began).

    Attributes:
        loads: by the label that thresholds use.
        suites: every execution, by label.
        samples: resource samples; those outside the window are ignored.
        start, end: the window, half open; the whole of each load when None.
    """

    loads: Mapping[str, LoadResult] = field(default_factory=dict)
    suites: Mapping[str, Sequence[SuiteResult]] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    start: float | None = None
    end: float | None = None

    def contains(self, at: float) -> bool:
        """Whether `at` lies in the window."""
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True)
class WindowStats:
    """A load within a window of intended starts.

    Attributes:
        seconds: the window's length.
        ended: requests that ended, however (cancelled ones excluded: the client cut them off, not the system).
    """

    seconds: float
    ok: int
    failed: int
    timed_out: int
    latency: Histogram

    @property
    def ended(self) -> int:
        """Requests whose outcome the system decided."""
        return self.ok + self.failed + self.timed_out

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed or timed out; None when none ended."""
        return (self.failed + self.timed_out) / self.ended if self.ended else None


def _seconds(load: LoadResult, start: float | None, end: float | None) -> tuple[float, float]:
    """The window's whole seconds: buckets are one second wide, so a window is judged on those that lie wholly in it.

    A window too short to hold a whole second is judged on every second that it touches.
    """
    if start is None and end is None:
        return float("-inf"), float("inf")
    first = load.start if start is None else max(start, load.start - 1)
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
    load: LoadResult, *, request: str | None = None, start: float | None = None, end: float | None = None
) -> WindowStats:
    """Counts and latency of a load between two points of the time axis."""
    first, last = _seconds(load, start, end)
    counts = dict.fromkeys(Outcome, 0)
    for key, bucket in load.buckets.items():
        if not key.warm_up and first <= key.second < last and (request is None or key.request == request):
            counts[key.outcome] += bucket.response.count
    seconds = max(load.end - load.start - load.warm_up, 0.0) if first == float("-inf") else last - first
    return WindowStats(
        seconds=seconds,
        ok=counts[Outcome.OK],
        failed=counts[Outcome.FAILED],
        timed_out=counts[Outcome.TIMED_OUT],
        latency=histogram_between(load, request=request, start=start, end=end),
    )
