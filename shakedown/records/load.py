"""What a load did."""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from shakedown.records.histogram import Histogram

__all__ = [
    "Bucket",
    "BucketKey",
    "DuePulse",
    "ErrorRecord",
    "GeneratorHealth",
    "LoadCounts",
    "LoadDelta",
    "LoadResult",
    "Outcome",
    "Pulse",
    "merge_parts",
]


class Outcome(StrEnum):
    """How one started request ended."""

    OK = "ok"  # answered, and every check held
    FAILED = "failed"  # answered otherwise, or the connection failed
    TIMED_OUT = "timed_out"  # no full answer within the limit; counts with at least its limit
    CANCELLED = "cancelled"  # cut off by the end of the load's graceful stop


@dataclass(frozen=True, slots=True, order=True)
class BucketKey:
    """One cell: which request of which load, how it ended, and the second of its *intended* start.

    What was due in the load's warm-up is kept in cells of its own, and never judged.
    """

    request: str
    outcome: Outcome
    second: int
    warm_up: bool = False


@dataclass(slots=True)
class Bucket:
    """The distributions of one cell, in seconds."""

    response: Histogram = field(default_factory=Histogram)  # from the intended start
    service: Histogram = field(default_factory=Histogram)  # from the actual send
    bytes_received: int = 0
    unanswered: int = 0  # failed requests that got no answer at all: refused, reset, closed, no such name


@dataclass(slots=True)
class Pulse:
    """Requests that *ended* within one 100 ms slot, for time to detect and time to recover."""

    ok: int = 0
    bad: int = 0  # failed or timed out
    slowest: float = 0.0  # the largest response time among the ok ones, seconds


@dataclass(slots=True)
class DuePulse:
    """Requests that were *due* within one 100 ms slot: from when on whoever asks is served well again.

    Instants are on the run's axis.
    """

    ok: int = 0
    bad: int = 0  # failed or timed out
    slowest: float = 0.0  # the largest response time among the ok ones, seconds
    first_end: float = math.inf  # when the first of the ok ones ended
    first_due: float = math.inf  # when that one was due
    last_bad: float = -math.inf  # when the last of the bad ones was due

    def add(self, other: "DuePulse") -> None:
        """Add what was measured elsewhere in the same slot."""
        self.ok += other.ok
        self.bad += other.bad
        self.slowest = max(self.slowest, other.slowest)
        if other.first_end < self.first_end:
            self.first_end, self.first_due = other.first_end, other.first_due
        self.last_bad = max(self.last_bad, other.last_bad)


@dataclass(slots=True)
class LoadCounts:
    """Conservation, exact at any stop: scheduled = started + dropped; started = ok + failed + timed_out + cancelled.

    All of these count iterations (one pass through a scenario's requests; it ends like its first request that was not
    ok, and what follows that request is not sent). `requests` counts the requests that ended.

    Attributes:
        on_time: iterations that started before their load's schedule ended.
        reconnects: requests that were sent a second time, as the server had just closed the idle connection.
    """

    scheduled: int = 0
    started: int = 0
    dropped: int = 0
    ok: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    requests: int = 0
    on_time: int = 0
    reconnects: int = 0

    def problems(self) -> list[str]:
        """The equations that do not hold, as sentences; empty when all do."""
        found = []
        if self.scheduled != self.started + self.dropped:
            found.append(f"scheduled {self.scheduled} ≠ started {self.started} + dropped {self.dropped}")
        ended = self.ok + self.failed + self.timed_out + self.cancelled
        if self.started != ended:
            found.append(f"started {self.started} ≠ ended {ended}")
        return found

    @property
    def all_told(self) -> bool:
        """Whether all that was scheduled either started in time or was dropped (one may fall on the end itself)."""
        return self.on_time + self.dropped >= self.scheduled - 1

    def add(self, other: "LoadCounts") -> None:
        """Add another's counts to these."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class ErrorRecord:
    """One kind of error: how often, when, and an example."""

    kind: str  # dns, refused, reset, closed, connect, tls, protocol, timeout-…, status, check, local, error
    request: str
    count: int
    first_at: float
    last_at: float
    example: str  # at most 300 characters


@dataclass(slots=True)
class GeneratorHealth:
    """How the load workers themselves fared."""

    cpu: float = 0.0  # the busiest worker's mean CPU over the load, in cores
    lag_p99: float = 0.0  # event-loop lag of the worst worker, seconds
    workers: int = 0
    lost_workers: int = 0
    starved: str | None = None  # the reason, when the generator could not keep up; then nothing it measured may pass


@dataclass(slots=True)
class LoadDelta:
    """What was measured since the last delta; deltas of one load add up to its result, in any order."""

    load: str  # the load's label
    at: float
    counts: LoadCounts
    buckets: dict[BucketKey, Bucket]
    pulses: dict[int, Pulse]  # slot number (at / 0.1 s) -> pulse
    start_lag: dict[int, Histogram]  # second of intended start -> start lag, seconds
    errors: list[ErrorRecord]
    # Good answers that bore the request's marker of a degraded one: (request, second of intended start) -> response times.
    degraded: dict[tuple[str, int], Histogram] = field(default_factory=dict)
    # Of a load on one machine: slot number of the intended start -> pulse; never stored.
    dues: dict[int, DuePulse] = field(default_factory=dict)


@dataclass(slots=True)
class LoadResult:
    """One load, whole."""

    load: str  # the label that thresholds use
    scenario: str
    stage: str
    repetition: int  # 1-based in endurance, else 0
    start: float
    end: float  # the end of the schedule (arrivals stop here); answers may come until the graceful stop's end
    executor: str
    target_rate: float | None  # iterations per second asked for; None for closed models
    counts: LoadCounts
    buckets: dict[BucketKey, Bucket]
    pulses: dict[int, Pulse]
    start_lag: dict[int, Histogram]
    errors: list[ErrorRecord]
    generator: GeneratorHealth
    interrupted: bool = False
    rate_held: bool = True  # False when fewer than 99 % of the target iterations were started
    warm_up: float = 0.0  # seconds from `start` whose requests are kept apart
    degraded: dict[tuple[str, int], Histogram] = field(default_factory=dict)  # see `LoadDelta.degraded`
    dues: dict[int, DuePulse] = field(default_factory=dict)  # see `LoadDelta.dues`

    @property
    def judged_from(self) -> float:
        """When what counts begins: after the warm-up."""
        return self.start + self.warm_up


def merge_parts(target: LoadDelta | LoadResult, part: LoadDelta) -> None:
    """Add a delta's measurements to a delta or result; the order of adding changes nothing."""
    target.counts.add(part.counts)
    for key, bucket in part.buckets.items():
        into = target.buckets.setdefault(key, Bucket())
        into.response.merge(bucket.response)
        into.service.merge(bucket.service)
        into.bytes_received += bucket.bytes_received
        into.unanswered += bucket.unanswered
    for slot, pulse in part.pulses.items():
        sum_ = target.pulses.setdefault(slot, Pulse())
        sum_.ok += pulse.ok
        sum_.bad += pulse.bad
        sum_.slowest = max(sum_.slowest, pulse.slowest)
    for second, lag in part.start_lag.items():
        target.start_lag.setdefault(second, Histogram()).merge(lag)
    for place, times in part.degraded.items():
        target.degraded.setdefault(place, Histogram()).merge(times)
    for slot, due in part.dues.items():
        target.dues.setdefault(slot, DuePulse()).add(due)
    known = {(error.kind, error.request): error for error in target.errors}
    for error in part.errors:
        same = known.get((error.kind, error.request))
        if same is None:
            target.errors.append(replace(error))
        else:
            same.count += error.count
            same.first_at = min(same.first_at, error.first_at)
            same.last_at = max(same.last_at, error.last_at)
