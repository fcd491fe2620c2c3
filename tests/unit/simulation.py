"""The load engine in simulated time: the real engine and executors, a loop whose clock jumps, a service that is a function.

Nothing sleeps, and nothing depends on the machine: what is due at 1000.25 happens at 1000.25, unless the alarm errs.
"""

import asyncio
import math
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from shakedown.load import engine as engine_module
from shakedown.load import executors as executors_module
from shakedown.load.engine import Engine
from shakedown.load.spec import LoadSpec, Target
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.load import LoadCounts, LoadDelta, Outcome, merge_parts

BEGIN = 1000.0  # the clock when the schedule begins; also the origin of the run's axis

# What a service does: (iteration, now) -> (seconds, outcome).
Service = Callable[[int, float], tuple[float, Outcome]]


class _Selector(selectors.DefaultSelector):
    """Nothing ever comes from outside; waiting only moves the clock."""

    loop: "_Loop"

    def select(self, timeout=None):
        assert timeout is not None, "everybody waits for nothing"
        self.loop.now += max(timeout, 0.0)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = BEGIN - 1.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class _Alarm:
    """An alarm that errs as it is told: `error` gives by how many seconds it rings late (early, where negative)."""

    error: Callable[[], float]

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._rung: asyncio.Future | None = None

    def wake(self) -> None:
        if self._rung is not None and not self._rung.done():
            self._rung.set_result(None)

    async def sleep_until(self, instant: float) -> None:
        self._rung = self._loop.create_future()
        self._loop.call_at(max(instant + type(self).error(), self._loop.now + 1e-6), self.wake)
        await self._rung

    def close(self) -> None:
        pass


class _Vu:
    def __init__(self, engine: Engine, service: Service, timeout: float, seen: "Seen") -> None:
        self.busy, self.deadline = False, math.inf
        self._engine, self._service, self._timeout, self._seen = engine, service, timeout, seen

    def begin(self, due, iteration, *, warm_up):
        now = self._engine.loop.time()
        self.busy, self.deadline = True, now + self._timeout
        self._times = (due, now, warm_up)
        self._seen.starts.append((due, now, iteration))
        self._seen.in_flight += 1
        seconds, outcome = self._service(iteration, now)
        self._handle = self._engine.loop.call_later(seconds, self._end, outcome)

    def _end(self, outcome):
        (due, sent, warm_up), now = self._times, self._engine.loop.time()
        self._engine.recorder.cell("r", outcome, warm_up=warm_up).add(due, sent, now, 1)
        self._seen.ends.append((due, sent, now, outcome))
        self._seen.in_flight -= 1
        self.busy, self.deadline = False, math.inf
        self._engine.iteration_ended(self, outcome)

    def time_out(self):
        self._handle.cancel()
        self._end(Outcome.TIMED_OUT)

    def cancel(self):
        self._handle.cancel()
        self._end(Outcome.CANCELLED)

    def close(self):
        pass


@dataclass
class Seen:
    """What the service saw, and what the load measured.

    Attributes:
        starts: (due, started, iteration), in order.
        ends: (due, started, ended, outcome), in order.
        samples: (time, iterations in flight), every 10 ms.
        total: everything that was emitted, merged.
    """

    starts: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    samples: list = field(default_factory=list)
    in_flight: int = 0
    total: LoadDelta = field(default_factory=lambda: LoadDelta("l", 0.0, LoadCounts(), {}, {}, {}, []))
    engine: Engine | None = None
    loop: _Loop | None = None

    @property
    def counts(self) -> LoadCounts:
        return self.total.counts

    def of(self, outcome: Outcome):
        """All response times of one outcome, and all service times."""
        merged = [bucket for key, bucket in self.total.buckets.items() if key.outcome is outcome]
        response, service = type(merged[0].response)(), type(merged[0].response)()
        for bucket in merged:
            response.merge(bucket.response)
            service.merge(bucket.service)
        return response, service


def spec(executor, *, workers=1, seed=1, base=".") -> LoadSpec:
    return LoadSpec(
        label="l", scenario="s", stage="x", duration=executor.longest, seed=seed, workers=workers, base=str(base),
        work=Scenario(executor=executor, http=Http(target="a.http", requests=[Request(name="r", get="/")])),
        target=Target(host="h", port=80), ledger_dir="/none", origin=BEGIN,
    )  # fmt: skip


def steady(seconds: float, outcome: Outcome = Outcome.OK) -> Service:
    """A service that always takes as long."""
    return lambda _iteration, _now: (seconds, outcome)


def simulate(
    monkeypatch, load: LoadSpec, service: Service, *, shard=0, stop_at: float | None = None, timeout=60.0,
    error: Callable[[], float] = lambda: 0.0, seen: Seen | None = None,
) -> Seen:  # fmt: skip
    """Run one worker's share of a load.

    Args:
        stop_at: seconds from the schedule's begin at which somebody says stop.
        error: of the alarm, seconds.
        seen: filled while it goes on, for services that want to look at it.
    """
    loop, seen = _Loop(), seen or Seen()
    seen.loop = loop
    clock = SimpleNamespace(monotonic=loop.time)
    driver = SimpleNamespace(vu=lambda _number: _Vu(seen.engine, service, timeout, seen), open=_nothing, close=_nothing)
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "time", clock)
        patch.setattr(executors_module, "time", clock)
        patch.setattr(engine_module, "Alarm", type("Alarm", (_Alarm,), {"error": staticmethod(error)}))
        patch.setattr(engine_module, "driver_of", lambda _engine: driver)
        seen.engine = Engine(load, shard, lambda delta: merge_parts(seen.total, delta), loop)

        async def run() -> None:
            if stop_at is not None:
                loop.call_at(BEGIN + stop_at, seen.engine.stop)
            watching = asyncio.create_task(_watch(loop, seen))
            await seen.engine.run(BEGIN)
            watching.cancel()

        loop.run_until_complete(run())
    loop.close()
    return seen


async def _nothing() -> None:
    pass


async def _watch(loop: _Loop, seen: Seen) -> None:
    number = 0
    while True:
        await asyncio.sleep(max(BEGIN + number / 100 - loop.time(), 0.001))
        seen.samples.append((loop.time() - BEGIN, seen.in_flight))
        number += 1


__all__ = ["BEGIN", "Seen", "Service", "simulate", "spec", "steady"]
