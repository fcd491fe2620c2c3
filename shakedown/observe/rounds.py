"""Rounds of readings. What fails says so once and leaves a gap, never a zero.

What is read from the kernel is read at once, one after another. What asks somebody (an endpoint, a database, the engine)
has a thread of a pool, and nobody waits for it: while it is out it is not asked again, and its samples come when they come.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from shakedown.errors import ShakedownError
from shakedown.records.observation import Event, Sample

__all__ = ["Cost", "Read", "Rounds"]

MOST_OUT = 8  # who are asked at the same time


class Read(Protocol):
    """Reads series and values; what is costly and not due yet only when all of it is wanted."""

    def __call__(self, *, whole: bool) -> dict[str, float]: ...  # noqa: D102 - the class says it


@dataclass(frozen=True, slots=True)
class _Reader:
    """One source's one way of being read.

    Attributes:
        waits: whether the next reading asks somebody who may take their time.
    """

    source: str
    kind: str
    read: Read
    waits: Callable[[], bool]


class Rounds:
    """Reads all its readers, round by round.

    Args:
        now: seconds on the samples' time axis.
        on_event: told when a reader fails, and when it works again.
    """

    def __init__(self, now: Callable[[], float], on_event: Callable[[Event], None]) -> None:
        self._now, self._on_event = now, on_event
        self._readers: list[_Reader] = []
        self._failing: set[tuple[str, str]] = set()
        self._out: dict[_Reader, Future[list[Sample]]] = {}
        self._closed = False
        self.cost = Cost()
        self._pool = ThreadPoolExecutor(max_workers=MOST_OUT, thread_name_prefix="sampler")

    def add(
        self, source: str, kind: str, read: "Read | Callable[[], dict[str, float]]", *, waits: bool | Callable[[], bool] = False,
        parts: bool = False,
    ) -> None:  # fmt: skip
        """One source's one way of being read.

        Args:
            kind: what it is called when it fails.
            waits: whether it asks somebody who may take their time.
            parts: whether `read` takes `whole`, and reads what is costly only when it is due otherwise.
        """
        as_read: Read = read if parts else _as_is(read)  # type: ignore[assignment, arg-type]
        self._readers.append(_Reader(source, kind, as_read, waits if callable(waits) else lambda: waits))

    @property
    def sources(self) -> list[str]:
        """Who is read, in the order of adding."""
        return list(dict.fromkeys(reader.source for reader in self._readers))

    def close(self) -> None:
        """No further round."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def whole(self) -> tuple[list[Sample], list[Sample]]:
        """What was asked before and came late, and one round in full: everything, however long it takes."""
        wait(self._out.values())  # what was asked before this moment says nothing of it
        return self._back(), self.round(None, whole=True)

    def round(self, patience: float | None, *, whole: bool) -> list[Sample]:
        """Ask whom nobody waits for any more, read what can be read at once, and take what is back in time."""
        until = None if patience is None else time.monotonic() + patience
        waiting = {reader: reader.waits() for reader in self._readers}
        for reader in (reader for reader in self._readers if waiting[reader] and reader not in self._out):
            self._out[reader] = self._pool.submit(self._read_beside, reader, whole=whole)
        samples = [
            sample
            for reader in self._readers
            if not waiting[reader] and reader not in self._out
            for sample in self._read(reader, whole=whole)
        ]
        wait(self._out.values(), None if until is None else max(until - time.monotonic(), 0.0))
        return samples + self._back()

    def _back(self) -> list[Sample]:
        """The samples of those who have answered."""
        done = [reader for reader, future in self._out.items() if future.done()]
        return [sample for reader in done for sample in self._out.pop(reader).result()]

    def _read_beside(self, reader: _Reader, *, whole: bool) -> list[Sample]:
        with self.cost.counted():
            return self._read(reader, whole=whole)

    def _read(self, reader: _Reader, *, whole: bool) -> list[Sample]:
        source, kind = reader.source, reader.kind
        at = self._now()
        try:
            values = reader.read(whole=whole)
        except Exception as error:  # noqa: BLE001 - whatever it is: a gap and a word, and the others go on
            if (source, kind) not in self._failing and not self._closed:
                self._failing.add((source, kind))
                known = "" if isinstance(error, ShakedownError) else f"{type(error).__name__}: "
                self._on_event(Event(at, "sampler.failed", source, f"{kind}: {known}{error}"[:300]))
            return []
        if values and (source, kind) in self._failing:  # nothing is no sign of health: it may not have been due
            self._failing.discard((source, kind))
            self._on_event(Event(at, "sampler.recovered", source, kind))
        return [Sample(at, source, series, value) for series, value in values.items()]


class Cost:
    """CPU that this program's threads spend on watching, storing the samples included."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def counted(self) -> "_Counting":
        """While in it, this thread's CPU counts."""
        return _Counting(self)

    def add(self, seconds: float) -> None:
        """So much more."""
        with self._lock:
            self.seconds += seconds


class _Counting:
    def __init__(self, cost: Cost) -> None:
        self._cost, self._begun = cost, 0.0

    def __enter__(self) -> None:
        self._begun = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._cost.add(time.thread_time() - self._begun)


def _as_is(read: Callable[[], dict[str, float]]) -> Read:
    def whole_anyhow(*, whole: bool) -> dict[str, float]:  # noqa: ARG001 - it has no costly part
        return read()

    return whole_anyhow
