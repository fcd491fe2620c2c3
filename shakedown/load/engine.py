"""One worker's share of a load: counts everything, and watches the generator itself."""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from shakedown.errors import LoadError
from shakedown.ledgers.writer import LedgerWriter
from shakedown.load.alarm import Alarm
from shakedown.load.context import Context, read_rows
from shakedown.load.drivers import driver_of
from shakedown.load.executors import releaser_of
from shakedown.load.recorder import Recorder
from shakedown.load.spec import LoadSpec
from shakedown.load.vu import Vu
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadDelta, Outcome

__all__ = ["Engine", "cpu_seconds"]

DELTA_EVERY = 0.5
TIMEOUT_TICK = 0.01
VUS_PER_TICK = 500  # users looked at for time-outs in one tick's time; with more of them the ticks are longer
LAG_TICK = 0.02


class Engine:
    """One worker's share of a load.

    Args:
        emit: takes a delta.

    Attributes:
        start, end_at: when the schedule begins, and when arrivals end (monotonic).
        stopping: no more iterations are to start.
        stopped: because of a word from outside, not because the schedule has ended.
        in_flight: iterations under way.
        lateness: of the generator itself: how late the loop came to do what was due, seconds.

    Raises:
        LoadError: the data file cannot be read.
    """

    def __init__(
        self, spec: LoadSpec, shard: int, emit: Callable[[LoadDelta], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.spec, self.shard, self.loop = spec, shard, loop
        self._emit = emit
        self.start, self.end_at = 0.0, math.inf
        self.stopping = self.stopped = False
        self.in_flight = 0
        self.lateness = Histogram()
        rows = read_rows(spec.data_file) if spec.data_file else []
        self.context = Context(spec, shard, rows)
        self.recorder = Recorder(spec.label, spec.origin)
        self.ledgers = {
            name: LedgerWriter(Path(spec.ledger_dir) / name / f"{spec.stage}-{spec.label}-{spec.seed}-{shard}.ledger")
            for name in spec.work.ledgers
        }
        self._vus: list[Vu] = []
        self._driver = driver_of(self)
        self._releaser = releaser_of(self)
        self._iteration = shard  # the next one's number: from 0, and no two shards use the same
        self._warm_until = 0.0
        self._over = False
        self._failure: LoadError | None = None
        self._alarm = Alarm(loop)

    def at(self, monotonic: float) -> float:
        """An instant on the run's axis."""
        return monotonic - self.spec.origin

    def share(self, number: int) -> int:
        """This shard's part of a number; the parts of all shards add up to it."""
        return number // self.spec.workers + (self.shard < number % self.spec.workers)

    # -------------------------------------------------------------------------------------------------------- running
    async def open(self) -> None:
        """Whatever must be there before the clock runs.

        Raises:
            LoadError: it cannot be had.
        """
        await self._driver.open()

    async def run(self, start: float) -> None:
        """The whole share, from the first arrival to the last answer or the end of the graceful stop.

        Args:
            start: when the schedule begins (monotonic).

        Raises:
            LoadError: an iteration could not be made as the plan has it.
        """
        self.start, self.end_at = start, start + self.spec.duration
        self._warm_until = start + self.spec.warm_up
        ticks = [asyncio.create_task(tick()) for tick in (self._tick_timeouts, self._tick_deltas, self._tick_lag)]
        try:
            await self.sleep_through(self.start)
            await self._releaser.run()
            self.stopping = True
            await self._drain(self.spec.executor.graceful_stop)
        finally:
            for tick in ticks:
                tick.cancel()
            for vu in self._vus:
                vu.close()
            await self._driver.close()
            self._alarm.close()
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
        self.stopping = self.stopped = True
        self.end_now()

    def end_now(self) -> None:
        """The schedule has come to its end, or is brought to it."""
        self.end_at = min(self.end_at, time.monotonic())
        self._alarm.wake()

    @property
    def unreleased(self) -> int:
        """Iterations that were asked for and whose turn never came."""
        return self._releaser.unreleased()

    # ----------------------------------------------------------------------------------------------------- iterations
    def new_vu(self) -> Vu:
        """One more user."""
        vu = self._driver.vu(len(self._vus))
        self._vus.append(vu)
        return vu

    def scheduled(self) -> int:
        """One more iteration is due; its number."""
        number = self._iteration
        self._iteration += self.spec.workers
        self.recorder.counts.scheduled += 1
        return number

    def begin(self, vu: Vu, due: float, iteration: int) -> None:
        """Start an iteration that was counted as scheduled."""
        counts = self.recorder.counts
        if self._over:  # it left the queue in the very moment in which the load was cut off
            counts.dropped += 1
            return
        now = time.monotonic()
        self.in_flight += 1
        counts.started += 1
        counts.on_time += now <= self.end_at
        self.recorder.lag(due, now)
        vu.begin(due, iteration, warm_up=due < self._warm_until)

    def iteration_ended(self, vu: Vu, outcome: Outcome) -> None:
        """A user is free again."""
        self.in_flight -= 1
        counts = self.recorder.counts
        if outcome is Outcome.OK:
            counts.ok += 1
        else:
            setattr(counts, outcome.value, getattr(counts, outcome.value) + 1)
        self._releaser.free(vu, outcome)
        if self.in_flight == 0 and self.stopping:
            self._alarm.wake()

    async def _drain(self, grace: float) -> None:
        """Let what is under way (and queued) end; cut off what does not within the grace."""
        until = time.monotonic() + grace
        while (self.in_flight or self._releaser.waiting()) and time.monotonic() < until:
            await self.sleep_until(min(until, time.monotonic() + 0.05))
        self._over = True
        self.recorder.counts.dropped += self._releaser.waiting()
        self._releaser.drop_waiting()
        for vu in self._vus:
            if vu.busy:
                vu.cancel()

    async def sleep_until(self, instant: float) -> None:
        """Sleep until about `instant`, less when `stop` comes; the caller looks at the clock itself."""
        if instant <= time.monotonic():
            await asyncio.sleep(0)
        else:
            await self._alarm.sleep_until(instant)

    async def sleep_through(self, instant: float) -> None:
        """Sleep until `instant` has truly come, or `stop`."""
        while not self.stopping and time.monotonic() < min(instant, self.end_at):
            await self.sleep_until(min(instant, self.end_at))

    # -------------------------------------------------------------------------------------------------------- watching
    async def _tick_timeouts(self) -> None:
        while True:
            await asyncio.sleep(TIMEOUT_TICK * max(1.0, len(self._vus) / VUS_PER_TICK))
            now = time.monotonic()
            for vu in self._vus:
                if vu.deadline <= now:
                    vu.time_out()

    async def _tick_deltas(self) -> None:
        while True:
            await asyncio.sleep(DELTA_EVERY)
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
