"""Executors: release iterations at their time, count everything, and watch the generator itself.

The open model keeps due times from the load's start: whenever the loop wakes, for whatever reason, everything that is
due is released. A timer's own time is never trusted (uvloop's fire early as well as late).
"""

import asyncio
import math
import ssl
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psutil

from shakedown.errors import LoadError
from shakedown.ledgers.writer import LedgerWriter
from shakedown.load.recorder import Recorder
from shakedown.load.requests import Context, PreparedRequest, prepare, read_rows
from shakedown.load.schedule import ArrivalSchedule
from shakedown.load.slots import Slot
from shakedown.load.spec import LoadSpec
from shakedown.plan.model import ConstantArrivalRate, ConstantVus
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadDelta, Outcome

__all__ = ["Engine"]

DELTA_EVERY = 0.5
TIMEOUT_TICK = 0.01
LAG_TICK = 0.02


class Engine:
    """One worker's share of a load.

    Args:
        emit: takes a delta.

    Raises:
        LoadError: the data file cannot be read.
    """

    def __init__(
        self, spec: LoadSpec, shard: int, emit: Callable[[LoadDelta], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.spec = spec
        self.loop = loop
        self._shard, self._emit = shard, emit
        self._start, self._end = 0.0, math.inf
        rows = read_rows(Path(spec.data_file)) if spec.data_file else []
        self.context = Context(spec.seed * 1000 + shard, rows, spec.data_order)
        self.recorder = Recorder(spec.label)
        self.ledgers = {
            name: LedgerWriter(Path(spec.ledger_dir) / name / f"{spec.stage}-{spec.label}-{spec.seed}-{shard}.ledger")
            for name in {request.ledger for request in spec.http.requests if request.ledger is not None}
        }
        self.tls = ssl.create_default_context() if spec.target.tls else None
        self._requests = prepare(spec)
        self._weights = [request.weight for request in spec.http.requests]
        self._timeouts: dict[float, deque[tuple[float, Slot, int]]] = {}
        self._slots: list[Slot] = []
        self._idle: list[Slot] = []
        self._queue: deque[tuple[float, int]] = deque()
        self._in_flight = 0
        self._iteration = shard  # the next one's number: from 0, and no two shards use the same
        self._stopping = False
        self._over = False
        self._failure: LoadError | None = None
        self._wake = asyncio.Event()
        self.lateness = Histogram()  # of the generator itself: how late the loop came to do what was due

    def at(self, monotonic: float) -> float:
        """An instant on the run's axis."""
        return monotonic - self.spec.origin

    # -------------------------------------------------------------------------------------------------------- running
    async def run(self, start: float) -> None:
        """The whole share, from the first arrival to the last answer or the end of the graceful stop.

        Args:
            start: when the schedule begins (monotonic).

        Raises:
            LoadError: a request could not be made from its template.
        """
        self._start, self._end = start, start + self.spec.duration
        ticks = [asyncio.create_task(self._tick_timeouts()), asyncio.create_task(self._tick_deltas())]
        try:
            await self._sleep_until(self._start)
            if isinstance(self.spec.executor, ConstantArrivalRate):
                await self._open_model(self.spec.executor)
            else:
                ticks.append(asyncio.create_task(self._tick_lag()))
                await self._closed_model(self.spec.executor)
            await self._drain(self.spec.executor.graceful_stop)
        finally:
            for tick in ticks:
                tick.cancel()
            for slot in self._slots:
                slot.close()
        for ledger in self.ledgers.values():
            ledger.close()
        self._emit(self.recorder.take(self.at(time.monotonic())))
        if self._failure is not None:
            raise self._failure

    def give_up(self, failure: LoadError) -> None:
        """End the load: it cannot be done as the plan has it."""
        self._failure = self._failure or failure
        self.stop()

    def stop(self) -> None:
        """End the arrivals now; what is under way may finish within the graceful stop."""
        self._stopping = True
        self._end = min(self._end, time.monotonic())
        self._wake.set()

    @property
    def end(self) -> float:
        """When arrivals end, or ended, on the run's axis."""
        return self.at(self._end)

    async def _open_model(self, executor: ConstantArrivalRate) -> None:
        shards = self.spec.workers
        rate = executor.rate / executor.time_unit
        schedule = ArrivalSchedule(self._start, rate, self.spec.duration, self._shard, shards)
        capacity = max(self._share(executor.max_vus), 1)
        while not self._stopping:
            due = schedule.due()
            if due is None:
                break
            now = time.monotonic()
            if due > now:
                await self._sleep_until(due)
                continue
            self.lateness.record(now - due)
            schedule.advance()
            iteration = self._scheduled()
            slot = self._free_slot(capacity)
            if slot is not None:
                self._release(slot, due, iteration)
            elif executor.overload == "drop":
                self.recorder.counts.dropped += 1
            else:
                self._queue.append((due, iteration))

    async def _closed_model(self, executor: ConstantVus) -> None:
        for _ in range(self._share(executor.vus)):
            slot = Slot(len(self._slots), self)
            self._slots.append(slot)
            self._next_closed(slot)
        while not self._stopping and time.monotonic() < self._end:
            await self._sleep_until(self._end)
        self._stopping = True

    def _next_closed(self, slot: Slot) -> None:
        if self._stopping or time.monotonic() >= self._end:
            return
        self._release(slot, time.monotonic(), self._scheduled())

    def _share(self, vus: int) -> int:
        return vus // self.spec.workers + (self._shard < vus % self.spec.workers)

    def _scheduled(self) -> int:
        """One more iteration is due; its number."""
        number = self._iteration
        self._iteration += self.spec.workers
        self.recorder.counts.scheduled += 1
        return number

    def _free_slot(self, capacity: int) -> Slot | None:
        if self._idle:
            return self._idle.pop()
        if len(self._slots) < capacity:
            slot = Slot(len(self._slots), self)
            self._slots.append(slot)
            return slot
        return None

    def _release(self, slot: Slot, due: float, iteration: int) -> None:
        self._in_flight += 1
        self._begin(slot, due, iteration)

    def _begin(self, slot: Slot, due: float, iteration: int) -> None:
        counts = self.recorder.counts
        if self._over:  # it left the queue in the very moment in which the load was cut off
            self._in_flight -= 1
            counts.dropped += 1
            return
        now = time.monotonic()
        counts.started += 1
        counts.on_time += now <= self._end
        self.recorder.lag(self.at(due), self.at(now))
        slot.begin(due, iteration, self._steps())

    def _steps(self) -> list[PreparedRequest]:
        if self.spec.http.mode == "weighted":
            return [self._requests[self.context.draw(self._weights)]]
        return self._requests

    def iteration_ended(self, slot: Slot, outcome: Outcome) -> None:
        """A slot is free again."""
        self._in_flight -= 1
        counts = self.recorder.counts
        name = outcome.value
        setattr(counts, name, getattr(counts, name) + 1)
        if isinstance(self.spec.executor, ConstantVus):
            if outcome is not Outcome.CANCELLED:
                # Through the loop, never straight away: a server that fails at once must not deepen the stack.
                self.loop.call_later(self.spec.executor.think_time, self._next_closed, slot)
        elif self._queue and outcome is not Outcome.CANCELLED:
            due, iteration = self._queue.popleft()
            self._in_flight += 1
            self.loop.call_soon(self._begin, slot, due, iteration)
        else:
            self._idle.append(slot)
        if self._in_flight == 0:
            self._wake.set()

    async def _drain(self, grace: float) -> None:
        """Let what is under way (and queued) end; cut off what does not within the grace."""
        until = time.monotonic() + grace
        while (self._in_flight or self._queue) and time.monotonic() < until:
            await self._sleep_until(min(until, time.monotonic() + 0.05))
        self.recorder.counts.dropped += len(self._queue)
        self._queue.clear()
        self._stopping = self._over = True
        for slot in self._slots:
            if slot.busy:
                slot.cancel()
        await asyncio.sleep(0)  # iterations on their way from the queue to a slot come to see that it is over

    async def _sleep_until(self, instant: float) -> None:
        """Sleep until about `instant`, less when `stop` comes; the caller looks at the clock itself."""
        delay = instant - time.monotonic()
        if delay <= 0:
            await asyncio.sleep(0)
            return
        self._wake.clear()
        if self._stopping:
            await asyncio.sleep(min(delay, 0.05))
            return
        try:
            await asyncio.wait_for(self._wake.wait(), delay)
        except TimeoutError:
            return

    # -------------------------------------------------------------------------------------------------------- watching
    def watch_timeout(self, deadline: float, slot: Slot) -> None:
        """Time the slot's request out at `deadline`, unless it ended before. Equal limits queue up in order."""
        self._timeouts.setdefault(slot.request.timeout, deque()).append((deadline, slot, slot.serial))

    async def _tick_timeouts(self) -> None:
        while True:
            await asyncio.sleep(TIMEOUT_TICK)
            now = time.monotonic()
            for queue in self._timeouts.values():
                while queue and queue[0][0] <= now:
                    _, slot, serial = queue.popleft()
                    if slot.busy and slot.serial == serial:
                        slot.time_out()

    async def _tick_deltas(self) -> None:
        while True:
            await asyncio.sleep(DELTA_EVERY)
            for ledger in self.ledgers.values():
                ledger.flush()
            self._emit(self.recorder.take(self.at(time.monotonic())))

    async def _tick_lag(self) -> None:
        """How late the loop itself is; in a closed model nothing else would show it.

        The ticks keep a schedule like any open model's: a loop that froze for a second missed fifty of them, not one.
        """
        due = time.monotonic() + LAG_TICK
        while True:
            await asyncio.sleep(max(due - time.monotonic(), 0.001))
            now = time.monotonic()
            while due <= now:
                self.lateness.record(now - due)
                due += LAG_TICK


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
