"""What loads did in the last seconds, for whoever watches a run."""

import threading
from collections import deque
from dataclasses import dataclass, field

from shakedown.analysis.evidence import LATENCY_OUTCOMES
from shakedown.analysis.quantiles import supported
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadDelta, Outcome
from shakedown.units import format_duration

__all__ = ["Lately", "Recent"]

WINDOW = 5.0  # seconds
EVERY = 0.4  # seconds


@dataclass(frozen=True, slots=True)
class Recent:
    """A load in the last seconds.

    Attributes:
        rate: answers per second, good and bad ones.
        errors: of these, how many failed or timed out.
        p95: of good answers and time-outs, seconds; None without the samples to support it.
        slowest: the longest of them, seconds; None without any.
    """

    rate: float
    errors: int
    p95: float | None
    slowest: float | None

    def __str__(self) -> str:
        if self.p95 is not None:
            latency = f", p95 {format_duration(self.p95)}"
        else:
            latency = f", slowest {format_duration(self.slowest)}" if self.slowest is not None else ""
        return f"{self.rate:.0f} answers/s{latency}, {self.errors} errors"


@dataclass(slots=True)
class _Piece:
    """What one delta brought."""

    at: float
    answers: int
    errors: int
    latency: Histogram


@dataclass(slots=True)
class _Load:
    began: float
    said: float | None = None
    pieces: deque[_Piece] = field(default_factory=deque)


class Lately:
    """Gathers deltas, from several threads."""

    def __init__(self) -> None:
        self._loads: dict[str, _Load] = {}
        self._lock = threading.Lock()

    def take(self, delta: LoadDelta, now: float) -> Recent | None:
        """What the load did lately, this delta included; None when nothing ended, or when it was said a moment ago."""
        piece = _Piece(now, 0, 0, Histogram())
        for key, bucket in delta.buckets.items():
            if key.outcome is not Outcome.CANCELLED:
                piece.answers += bucket.response.count
                piece.errors += bucket.response.count if key.outcome is not Outcome.OK else 0
            if key.outcome in LATENCY_OUTCOMES:
                piece.latency.merge(bucket.response)
        with self._lock:
            known = self._loads.get(delta.load)
            if known is None or (known.pieces and now - known.pieces[-1].at > WINDOW):  # it begins, or begins anew
                known = self._loads[delta.load] = _Load(now)
            known.pieces.append(piece)
            while known.pieces[0].at <= now - WINDOW:
                known.pieces.popleft()
            if known.said is not None and now - known.said < EVERY:  # each of its processes sends deltas of its own
                return None
            known.said = now
            return _recent(known, now)


def _recent(load: _Load, now: float) -> Recent | None:
    answers = sum(piece.answers for piece in load.pieces)
    if not answers:
        return None
    whole = Histogram()
    for piece in load.pieces:
        whole.merge(piece.latency)
    # A delta tells of the time since the one before; the first of a load, of half a second or so.
    seconds = min(max(now - load.began, 0.0) + 0.5, WINDOW)
    return Recent(
        answers / seconds,
        sum(piece.errors for piece in load.pieces),
        whole.quantile(0.95) if supported(0.95, whole.count) else None,
        whole.max if whole.count else None,
    )
