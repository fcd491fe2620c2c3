"""What happened, kept raw for a moment, folded into histograms in batches, and handed over as deltas."""

from collections.abc import Iterator

import numpy as np

from shakedown.analysis.slots import SLOT
from shakedown.records.histogram import Histogram
from shakedown.records.load import Bucket, BucketKey, DuePulse, ErrorRecord, LoadCounts, LoadDelta, Outcome, Pulse

__all__ = ["Cell", "Recorder"]

EXAMPLE = 300
# Numbers in a raw list before it is folded: small enough that folding never holds up the loop for a millisecond.
BATCH = 4 * 1024
PAIRS = 2 * 2048
FEW = 8  # so many numbers are looked through without sorting them


def _parts(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray | slice]]:
    """Each number that occurs, and where; a batch seldom has more than one or two."""
    low, high = int(numbers.min()), int(numbers.max())
    if low == high:
        yield low, slice(None)
        return
    for number in np.unique(numbers).tolist() if high - low > FEW else range(low, high + 1):
        chosen = numbers == number
        if chosen.any():
            yield number, chosen


class Cell:
    """The requests of one name that ended in one way, raw. Instants are monotonic; they are put on the axis later.

    Attributes:
        answered: whether an answer came, however it was; False for what failed below the answer.
    """

    __slots__ = ("_recorder", "answered", "name", "outcome", "rows", "warm_up")

    def __init__(self, recorder: "Recorder", name: str, outcome: Outcome, *, answered: bool, warm_up: bool) -> None:
        self._recorder = recorder
        self.name, self.outcome, self.answered, self.warm_up = name, outcome, answered, warm_up
        self.rows: list[float] = []

    def add(self, due: float, sent: float, ended: float, size: int) -> None:
        """A request ended. Its response time counts from `due`, its service time from `sent`."""
        rows = self.rows
        rows += (due, sent, ended, size)
        if len(rows) >= BATCH:
            self._recorder.fold(self)


class Recorder:
    """Counts and times of one worker.

    Args:
        load: the load's label.
        origin: the monotonic instant from which the run's axis counts.
    """

    def __init__(self, load: str, origin: float = 0.0) -> None:
        self._load, self._origin = load, origin
        self._cells: dict[tuple[str, Outcome, bool, bool], Cell] = {}
        self._lags: list[float] = []
        self._marks: dict[str, list[float]] = {}
        self._begin()

    def _begin(self) -> None:
        self.counts = LoadCounts()
        self._buckets: dict[BucketKey, Bucket] = {}
        self._pulses: dict[int, Pulse] = {}
        self._dues: dict[int, DuePulse] = {}
        self._errors: dict[tuple[str, str], ErrorRecord] = {}
        self._start_lag: dict[int, Bucket] = {}
        self._degraded: dict[tuple[str, int], Histogram] = {}

    def cell(self, name: str, outcome: Outcome, *, answered: bool = True, warm_up: bool = False) -> Cell:
        """Where requests of a kind are put; always the same one for the same kind."""
        key = (name, outcome, answered, warm_up)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(self, name, outcome, answered=answered, warm_up=warm_up)
        return cell

    def lag(self, due: float, started: float) -> None:
        """An iteration that was due at `due` started at `started`."""
        lags = self._lags
        lags += (due, started)
        if len(lags) >= PAIRS:
            self._fold_lags()

    def degraded(self, name: str, due: float, ended: float) -> None:
        """A good answer bore the marker of a degraded one. It was put in its cell as well: it is one of the good ones."""
        marks = self._marks.setdefault(name, [])
        marks += (due, ended)
        if len(marks) >= PAIRS:
            self._fold_marks(name)

    def error(self, kind: str, request: str, at: float, example: str) -> None:
        """A request failed in a certain way at `at` (on the run's axis)."""
        known = self._errors.get((kind, request))
        if known is None:
            self._errors[kind, request] = ErrorRecord(kind, request, 1, at, at, example[:EXAMPLE])
        else:
            known.count += 1
            known.last_at = at

    def fold(self, cell: Cell) -> None:
        """Put a cell's raw rows into the histograms."""
        if not cell.rows:
            return
        due, sent, ended, size = np.array(cell.rows).reshape(-1, 4).T
        cell.rows.clear()
        self.counts.requests += len(due)
        response = np.maximum(ended - due, 0.0)
        service = np.maximum(ended - sent, 0.0)
        for second, chosen in _parts(np.floor(due - self._origin).astype(np.int64)):
            key = BucketKey(cell.name, cell.outcome, second, cell.warm_up)
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = Bucket()
            bucket.response.record_many(response[chosen])
            bucket.service.record_many(service[chosen])
            sizes = size[chosen]
            bucket.bytes_received += int(sizes.sum())
            if not cell.answered:
                bucket.unanswered += len(sizes)
        if cell.outcome is not Outcome.CANCELLED:
            self._pulse(cell.outcome, np.floor((ended - self._origin) / SLOT).astype(np.int64), response)
            self._due(cell.outcome, due - self._origin, ended - self._origin, response)

    def _due(self, outcome: Outcome, due: np.ndarray, ended: np.ndarray, response: np.ndarray) -> None:
        for slot, chosen in _parts(np.floor(due / SLOT).astype(np.int64)):
            dues = due[chosen]
            if outcome is Outcome.OK:
                ends = ended[chosen]
                first = int(ends.argmin())
                slowest = float(response[chosen].max())
                part = DuePulse(len(dues), 0, slowest, float(ends[first]), float(dues[first]))
            else:
                part = DuePulse(bad=len(dues), last_bad=float(dues.max()))
            self._dues.setdefault(slot, DuePulse()).add(part)

    def _pulse(self, outcome: Outcome, slots: np.ndarray, response: np.ndarray) -> None:
        for slot, chosen in _parts(slots):
            times = response[chosen]
            count = len(times)
            pulse = self._pulses.get(slot)
            if pulse is None:
                pulse = self._pulses[slot] = Pulse()
            if outcome is Outcome.OK:
                pulse.ok += count
                pulse.slowest = max(pulse.slowest, float(times.max()))
            else:
                pulse.bad += count

    def _fold_lags(self) -> None:
        if not self._lags:
            return
        due, started = np.array(self._lags).reshape(-1, 2).T
        self._lags.clear()
        lags = np.maximum(started - due, 0.0)
        for second, chosen in _parts(np.floor(due - self._origin).astype(np.int64)):
            self._start_lag.setdefault(second, Bucket()).response.record_many(lags[chosen])

    def _fold_marks(self, name: str) -> None:
        marks = self._marks[name]
        if not marks:
            return
        due, ended = np.array(marks).reshape(-1, 2).T
        marks.clear()
        response = np.maximum(ended - due, 0.0)
        for second, chosen in _parts(np.floor(due - self._origin).astype(np.int64)):
            self._degraded.setdefault((name, second), Histogram()).record_many(response[chosen])

    def take(self, at: float) -> LoadDelta:
        """Everything since the last call; `at` is on the run's axis."""
        for cell in self._cells.values():
            self.fold(cell)
        self._fold_lags()
        for name in self._marks:
            self._fold_marks(name)
        delta = LoadDelta(
            self._load, at, self.counts, self._buckets, self._pulses,
            {second: bucket.response for second, bucket in self._start_lag.items()}, list(self._errors.values()),
            self._degraded,
            dues=self._dues,
        )  # fmt: skip
        self._begin()
        return delta
