"""Executors at work: each releases iterations by its own rule, and hears when a user is free again.

The open model keeps due times from the load's start: whenever the loop wakes, for whatever reason, everything that is
due is released. A timer's own time is never trusted (uvloop's fire early as well as late).
"""

import asyncio
import math
import random
import time
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from shakedown.load.schedule import Arrivals, profile_of
from shakedown.load.vu import Vu
from shakedown.plan.executors import (
    ClosedModel,
    ConstantVus,
    OpenModel,
    PerVuIterations,
    RampingVus,
    SharedIterations,
    ThinkTime,
)
from shakedown.records.load import Outcome

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["Releaser", "draw_pause", "releaser_of"]

RAMP_TICK = 0.05
AT_ONCE = 25  # users of a closed model that begin in one turn of the loop
LONGEST_PAUSE = 20  # means of an exponential pause: longer ones (1 of 5·10⁸) would only hang


class Releaser(Protocol):
    """The rule by which iterations start."""

    async def run(self) -> None:
        """Release iterations until the schedule ends or the engine stops."""

    def free(self, vu: Vu, outcome: Outcome) -> None:
        """A user's iteration ended."""

    def waiting(self) -> int:
        """Iterations that are due and have no user."""

    def drop_waiting(self) -> None:
        """Give them up."""

    def unreleased(self) -> int:
        """Iterations that were asked for and whose turn never came, as their time was up."""


def draw_pause(pause: ThinkTime | None, draw: random.Random) -> float:
    """Seconds of think time."""
    if pause is None:
        return 0.0
    if pause.uniform is not None:
        return draw.uniform(*pause.uniform)
    if pause.exponential is not None:
        mean = pause.exponential
        return min(draw.expovariate(1 / mean), LONGEST_PAUSE * mean) if mean > 0 else 0.0
    return pause.constant or 0.0


def releaser_of(engine: "Engine") -> Releaser:
    """The releaser of a load's executor."""
    executor = engine.spec.executor
    if isinstance(executor, OpenModel):
        return _Open(engine, executor)
    if isinstance(executor, RampingVus):
        return _Ramping(engine, executor)
    return _Closed(engine, executor)


class _Open:
    """Arrivals on schedule, whatever the system does."""

    def __init__(self, engine: "Engine", executor: OpenModel) -> None:
        spec = engine.spec
        self._engine = engine
        self._rate = profile_of(executor, Path(spec.base))
        self._capacity = max(engine.share(executor.max_vus), 1)
        limit = max(engine.share(executor.queue_limit), 1)
        self._room = {"queue": math.inf, "bounded": limit, "drop": 0}[executor.overload]
        self._idle: list[Vu] = []
        self._made = 0
        self._queue: deque[tuple[float, int]] = deque()

    async def run(self) -> None:
        engine = self._engine
        spec = engine.spec
        arrivals = Arrivals(engine.start, self._rate, spec.arrival_seed, engine.shard, spec.workers)
        while not engine.stopping and (due := arrivals.due()) is not None:
            now = time.monotonic()
            while due is not None and due <= now:
                engine.lateness.record(now - due)
                arrivals.advance()
                self._arrive(due)
                due = arrivals.due()
            if due is not None:
                await engine.sleep_until(due)
        if not engine.stopping:
            await engine.sleep_through(engine.end_at)

    def _arrive(self, due: float) -> None:
        engine = self._engine
        iteration = engine.scheduled()
        vu = self._idle.pop() if self._idle else self._new()
        if vu is not None:
            engine.begin(vu, due, iteration)
        elif len(self._queue) < self._room:
            self._queue.append((due, iteration))
        else:
            engine.recorder.counts.dropped += 1

    def _new(self) -> Vu | None:
        if self._made >= self._capacity:
            return None
        self._made += 1
        return self._engine.new_vu()

    def free(self, vu: Vu, outcome: Outcome) -> None:
        if self._queue and outcome is not Outcome.CANCELLED:
            due, iteration = self._queue.popleft()
            self._engine.begin(vu, due, iteration)
        else:
            self._idle.append(vu)

    def waiting(self) -> int:
        return len(self._queue)

    def drop_waiting(self) -> None:
        self._queue.clear()

    def unreleased(self) -> int:
        return 0  # what was not released by the end of the schedule was not due


class _Users:
    """What closed models share: users that think between their iterations."""

    def __init__(self, engine: "Engine", executor: ClosedModel) -> None:
        self._engine = engine
        self._pause = executor.think_time
        self._pauses = executor.think_time.constant != 0
        self._resting: dict[int, asyncio.TimerHandle] = {}  # users in their think time

    def _rest(self, vu: Vu) -> None:
        if not self._pauses:
            self._next(vu)
            return
        seconds = draw_pause(self._pause, self._engine.context.random)
        if seconds > 0:
            self._resting[id(vu)] = self._engine.loop.call_later(seconds, self._rested, vu)
        else:  # no answer comes before `begin` has returned, so this does not deepen the stack
            self._next(vu)

    def _rested(self, vu: Vu) -> None:
        del self._resting[id(vu)]
        self._next(vu)

    def _next(self, vu: Vu) -> None:
        raise NotImplementedError

    def waiting(self) -> int:
        return 0

    def drop_waiting(self) -> None:
        """Nobody waits: a user asks for its next iteration when it is free."""


class _Closed(_Users):
    """Users that each start their next iteration when their last one ended."""

    def __init__(self, engine: "Engine", executor: ConstantVus | SharedIterations | PerVuIterations) -> None:
        super().__init__(engine, executor)
        self._vus = engine.share(executor.vus)
        # Iterations that the users share, and those of each user; None: until the time is up.
        self._left = engine.share(executor.iterations) if isinstance(executor, SharedIterations) else None
        self._each = executor.iterations if isinstance(executor, PerVuIterations) else None
        self._done: dict[int, int] = {}

    async def run(self) -> None:
        engine = self._engine
        for number in range(self._vus):
            if number % AT_ONCE == 0:  # a thousand connections in one turn of the loop would be its own lateness
                await engine.sleep_until(0.0)
            vu = engine.new_vu()
            self._done[id(vu)] = 0
            self._next(vu)
        if self._left is None and self._each is None:
            await engine.sleep_through(engine.end_at)
            return
        while not engine.stopping and time.monotonic() < engine.end_at and (engine.in_flight or self._resting):
            await engine.sleep_until(min(engine.end_at, time.monotonic() + RAMP_TICK))
        if not engine.stopping and not self.unreleased():
            engine.end_now()

    def _next(self, vu: Vu) -> None:
        engine = self._engine
        now = time.monotonic()
        if engine.stopping or now >= engine.end_at:
            return
        if self._left is not None:
            if self._left == 0:
                return
            self._left -= 1
        if self._each is not None:
            if self._done[id(vu)] == self._each:
                return
            self._done[id(vu)] += 1
        engine.begin(vu, now, engine.scheduled())

    def free(self, vu: Vu, outcome: Outcome) -> None:
        if outcome is not Outcome.CANCELLED:
            self._rest(vu)

    def unreleased(self) -> int:
        if self._each is not None:
            return sum(self._each - done for done in self._done.values())
        return self._left or 0


class _Ramping(_Users):
    """A number of users that follows a line from stage to stage."""

    def __init__(self, engine: "Engine", executor: RampingVus) -> None:
        super().__init__(engine, executor)
        self._grace = executor.graceful_ramp_down
        self._line = [(float(executor.start_vus), 0.0)]
        for stage in executor.stages:
            self._line.append((float(stage.target), self._line[-1][1] + stage.duration))
        self._active: dict[int, Vu] = {}
        self._leaving: dict[int, tuple[Vu, float]] = {}
        self._spare: list[Vu] = []

    def _wanted(self, offset: float) -> int:
        """Users of this shard at an offset from the start."""
        for (low, begin), (high, end) in pairwise(self._line):
            if offset < end:
                return self._engine.share(round(low + (high - low) * (offset - begin) / (end - begin)))
        return self._engine.share(round(self._line[-1][0]))

    async def run(self) -> None:
        engine = self._engine
        while not engine.stopping and (now := time.monotonic()) < engine.end_at:
            wanted = self._wanted(now - engine.start)
            while len(self._active) < wanted:
                self._add()
            while len(self._active) > wanted:
                key, vu = self._active.popitem()
                if rest := self._resting.pop(key, None):
                    rest.cancel()
                self._leaving[key] = (vu, now + self._grace)
            for key, (vu, limit) in list(self._leaving.items()):
                if vu.busy and now >= limit:
                    vu.cancel()
                if key in self._leaving and not vu.busy:
                    del self._leaving[key]
                    self._retire(vu)
            await engine.sleep_until(min(engine.end_at, now + RAMP_TICK))

    def _add(self) -> None:
        vu = self._spare.pop() if self._spare else self._engine.new_vu()
        self._active[id(vu)] = vu
        self._next(vu)

    def _retire(self, vu: Vu) -> None:
        vu.close()
        self._spare.append(vu)

    def _next(self, vu: Vu) -> None:
        engine = self._engine
        now = time.monotonic()
        if not engine.stopping and now < engine.end_at:
            engine.begin(vu, now, engine.scheduled())

    def free(self, vu: Vu, outcome: Outcome) -> None:
        if self._leaving.pop(id(vu), None):
            self._retire(vu)
        elif outcome is not Outcome.CANCELLED:
            self._rest(vu)

    def unreleased(self) -> int:
        return 0
