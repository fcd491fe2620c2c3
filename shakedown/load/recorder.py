"""What happened, kept raw for a moment and folded into a delta about once a second."""

from shakedown.analysis.slots import SLOT
from shakedown.records.load import Bucket, BucketKey, ErrorRecord, LoadCounts, LoadDelta, Outcome, Pulse

__all__ = ["Recorder"]

EXAMPLE = 300


class Recorder:
    """Counts and times of one worker. All instants are seconds on the run's axis."""

    def __init__(self, load: str) -> None:
        self._load = load
        self._begin()

    def _begin(self) -> None:
        self.counts = LoadCounts()
        self._times: dict[tuple[str, Outcome, int], tuple[list[float], list[float]]] = {}
        self._bytes: dict[tuple[str, Outcome, int], int] = {}
        self._lags: dict[int, list[float]] = {}
        self._pulses: dict[int, Pulse] = {}
        self._errors: dict[tuple[str, str], ErrorRecord] = {}

    def lag(self, due: float, started: float) -> None:
        """An iteration that was due at `due` started at `started`."""
        self._lags.setdefault(int(due), []).append(max(started - due, 0.0))

    def request(self, name: str, outcome: Outcome, due: float, sent: float, ended: float, size: int) -> None:
        """A request ended. Its response time counts from `due`, its service time from `sent`."""
        key = (name, outcome, int(due))
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = ([], [])
            self._bytes[key] = 0
        response = ended - due
        times[0].append(response if response > 0 else 0.0)
        times[1].append(ended - sent)
        self._bytes[key] += size
        self.counts.requests += 1
        if outcome is Outcome.CANCELLED:
            return
        slot = int(ended / SLOT)
        pulse = self._pulses.get(slot)
        if pulse is None:
            pulse = self._pulses[slot] = Pulse()
        if outcome is Outcome.OK:
            pulse.ok += 1
            pulse.slowest = max(pulse.slowest, response)
        else:
            pulse.bad += 1

    def error(self, kind: str, request: str, at: float, example: str) -> None:
        """A request failed in a certain way."""
        known = self._errors.get((kind, request))
        if known is None:
            self._errors[kind, request] = ErrorRecord(kind, request, 1, at, at, example[:EXAMPLE])
        else:
            known.count += 1
            known.last_at = at

    def take(self, at: float) -> LoadDelta:
        """Everything since the last call."""
        buckets: dict[BucketKey, Bucket] = {}
        for key, (response, service) in self._times.items():
            bucket = Bucket(bytes_received=self._bytes[key])
            bucket.response.record_many(response)
            bucket.service.record_many(service)
            buckets[BucketKey(*key)] = bucket
        delta = LoadDelta(self._load, at, self.counts, buckets, self._pulses, {}, list(self._errors.values()))
        for second, lags in self._lags.items():
            histogram = Bucket().response
            histogram.record_many(lags)
            delta.start_lag[second] = histogram
        self._begin()
        return delta
