"""What this machine's load generator can do at most, and measure at least.

Everything is measured with the very workers that runs use, against a service that does next to nothing
(`reference_server`), so that nothing is left to blame but the generator itself, the kernel and the machine. Services
under test have other costs, and so have templates and checks: the ceiling is an upper bound, not a promise.
"""

import asyncio
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import shakedown
from shakedown.errors import LoadError
from shakedown.load.alarm import Alarm
from shakedown.load.reference_server import reference_server
from shakedown.load.runner import LoadHandle
from shakedown.load.spec import LoadSpec, Target
from shakedown.plan.executors import ConstantArrivalRate, ConstantVus, Executor
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult, Outcome

__all__ = ["Calibration", "Machine", "calibrate", "near_ceiling", "near_floor", "read_calibration", "write_calibration"]

FILE = "calibration.json"
LIMIT = 20.0
USERS = 50
CLOSED_SECONDS, OPEN_SECONDS = 2.0, 1.0
TRIAL_COST = 2.0  # seconds that one more trial may take, with what starting its worker takes
TRIALS = 5
LAG_LIMIT = 0.002
NEAR = 0.8  # of the ceiling
FLOORS = 2.0  # a median below as many times the floor is largely the generator's own
ALARM_NAPS, NAP = 200, 0.002


class Machine(BaseModel):
    """What a calibration is valid for."""

    model_config = ConfigDict(frozen=True)
    host: str
    cpu: str
    cores: int
    system: str
    python: str
    shakedown: str

    @classmethod
    def here(cls) -> "Machine":
        """This one, as it may use its cores now."""
        return cls(
            host=platform.node(), cpu=_cpu_name(), cores=_cores(), system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(), shakedown=shakedown.__version__,
        )  # fmt: skip


class Calibration(BaseModel):
    """A machine's ceiling and floor. Rates are requests per second, times are seconds.

    Attributes:
        at: when it was measured.
        closed_one, closed_all: closed model, by one worker and by `workers` of them together.
        cpu_per_request: of a worker, closed model.
        open_one: open model, one worker: the highest rate tried that was held with a p99 start lag below 2 ms.
        open_lag_p99: the start lag at that rate.
        open_tried: every rate that was tried, and whether it was held.
        latency_min, latency_p50: of one user alone.
        timer_p50, timer_p99: how late this program's timers fire; never early.
        loop_lag_p99: how late an idle worker's event loop comes to what is due.
        busy: CPU share of other programs in the moment before, of all cores; much of it makes the rest too low.
    """

    model_config = ConfigDict(frozen=True)
    at: datetime
    machine: Machine
    workers: int
    closed_one: float
    closed_all: float
    cpu_per_request: float
    open_one: float
    open_lag_p99: float | None
    open_tried: list[tuple[float, bool]]
    latency_min: float
    latency_p50: float
    timer_p50: float
    timer_p99: float
    loop_lag_p99: float
    busy: float

    def ceiling(self, workers: int, *, is_open: bool) -> float:
        """Requests per second that a number of workers can send at most."""
        share = self.closed_all / self.closed_one if workers >= self.workers else min(workers, self.workers)
        return (self.open_one if is_open else self.closed_one) * max(share, 1.0)


def calibrate(limit: float = LIMIT, say: Callable[[str], None] = lambda _: None) -> Calibration:
    """Measure this machine; takes about `limit` seconds.

    Args:
        say: told what is being measured.

    Raises:
        LoadError: the workers or the service did not come up, or the machine is too busy to measure anything.
    """
    until = time.monotonic() + limit
    cores = _cores()
    busy = _busy()
    say("timers")
    timers = _timers()
    with (
        tempfile.TemporaryDirectory(prefix="shakedown-calibrate-") as folder,
        reference_server(max(cores // 2, 1)) as port,
    ):

        def measure(executor: Executor, workers: int = 1) -> LoadResult:
            return _measure(executor, workers, port, folder)

        say("one user: the floor")
        alone = measure(_users(1, OPEN_SECONDS))
        say("closed model, one worker")
        one = measure(_users(USERS, CLOSED_SECONDS))
        everyone = one
        if cores > 1:
            say(f"closed model, {cores} workers")
            everyone = measure(_users(USERS * cores, CLOSED_SECONDS), cores)
        closed_one = _rate(one)
        tried: list[tuple[float, bool]] = []
        best, lag = 0.0, None
        low, high = 0.0, closed_one
        while len(tried) < TRIALS and (not tried or time.monotonic() + TRIAL_COST < until):
            rate = float(round((low + high) / 2))
            say(f"open model, {rate:,.0f}/s")
            held, p99 = _held(measure(_arrivals(rate)))
            tried.append((rate, held))
            if held:
                low = best = rate
                lag = p99
            else:
                high = rate
    floor = _service(alone)
    return Calibration(
        at=datetime.now(UTC), machine=Machine.here(), workers=cores, closed_one=closed_one, closed_all=_rate(everyone),
        cpu_per_request=one.generator.cpu * CLOSED_SECONDS / one.counts.requests, open_one=best, open_lag_p99=lag,
        open_tried=tried, latency_min=floor.min, latency_p50=floor.quantile(0.5) or 0.0, timer_p50=timers.quantile(0.5) or 0.0,
        timer_p99=timers.quantile(0.99) or 0.0, loop_lag_p99=alone.generator.lag_p99, busy=busy,
    )  # fmt: skip


def write_calibration(calibration: Calibration, root: Path) -> Path:
    """Write it into the folder for results; what was there is replaced as a whole.

    Raises:
        LoadError: it cannot be written.
    """
    path = root / FILE
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        root.mkdir(parents=True, exist_ok=True)
        part.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise LoadError(f"{path} cannot be written: {error.strerror}") from error
    return path


def read_calibration(root: Path) -> Calibration | None:
    """The calibration of this very machine and version; None when there is none that can be read."""
    try:
        calibration = Calibration.model_validate_json((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError):
        return None
    return calibration if calibration.machine == Machine.here() else None


def near_ceiling(result: LoadResult, calibration: Calibration) -> str | None:
    """What to warn of when a load came near what the generator can do at most; None when it did not."""
    seconds = result.end - result.start
    if seconds <= 0 or not result.generator.workers:
        return None
    is_open = result.target_rate is not None
    workers = result.generator.workers
    ceiling = calibration.ceiling(workers, is_open=is_open)
    if ceiling <= 0:
        return None
    reached = max(result.counts.requests / seconds, result.target_rate or 0.0)
    if reached < NEAR * ceiling:
        return None
    return (
        f"`{result.load}` came to {reached:,.0f} requests/s, {reached / ceiling:.0%} of what {workers} load "
        f"worker{'s' if workers > 1 else ''} of this machine can do at most "
        f"({ceiling:,.0f}/s, calibrated {calibration.at:%Y-%m-%d}): what was measured may be the generator's own limit"
    )


def near_floor(result: LoadResult, calibration: Calibration) -> str | None:
    """What to warn of when answers came about as quickly as this machine can measure at all; None when not."""
    median = _service(result).quantile(0.5)
    if median is None or median >= FLOORS * calibration.latency_p50:
        return None
    return (
        f"`{result.load}` has a median service time of {median * 1e6:.0f} µs, and {calibration.latency_p50 * 1e6:.0f} µs "
        f"is this machine's floor (calibrated {calibration.at:%Y-%m-%d}): much of what was measured is the generator's own"
    )


# ------------------------------------------------------------------------------------------------------------ measuring
def _users(vus: int, seconds: float) -> ConstantVus:
    return ConstantVus(type="constant-vus", vus=vus, duration=seconds, graceful_stop=1.0)


def _arrivals(rate: float) -> ConstantArrivalRate:
    return ConstantArrivalRate(
        type="constant-arrival-rate", rate=rate, duration=OPEN_SECONDS, max_vus=4 * USERS, graceful_stop=1.0
    )


def _measure(executor: Executor, workers: int, port: int, folder: str) -> LoadResult:
    request = Request(name="ping", get="/", checks=["status == 200"])
    spec = LoadSpec(
        label="calibration", scenario="calibration", stage="calibration", duration=executor.longest, seed=1,
        work=Scenario(executor=executor, http=Http(target="reference.http", requests=[request])),
        target=Target(host="127.0.0.1", port=port), workers=workers, ledger_dir=folder, origin=time.monotonic(),
    )  # fmt: skip
    load = LoadHandle(spec, lambda _: None)
    load.start()
    result = load.wait(threading.Event())
    counts = result.counts
    if not counts.ok or counts.failed or counts.timed_out or result.generator.lost_workers:
        raise LoadError(
            f"this machine cannot be measured now: {counts.ok} requests held, {counts.failed} failed, "
            f"{counts.timed_out} timed out, {result.generator.lost_workers} workers died",
            hint="calibrate when the machine has nothing else to do",
        )
    return result


def _rate(result: LoadResult) -> float:
    return result.counts.on_time / (result.end - result.start)


def _held(result: LoadResult) -> tuple[bool, float | None]:
    lags = Histogram()
    for lag in result.start_lag.values():
        lags.merge(lag)
    p99 = lags.quantile(0.99)
    return result.rate_held and result.generator.starved is None and p99 is not None and p99 < LAG_LIMIT, p99


def _service(result: LoadResult) -> Histogram:
    """Service times of what held, the warm-up aside."""
    merged = Histogram()
    for key, bucket in result.buckets.items():
        if key.outcome is Outcome.OK and not key.warm_up:
            merged.merge(bucket.service)
    return merged


def _timers() -> Histogram:
    """How late an alarm of ours rings, in a loop that has nothing else to do."""
    late = Histogram()

    async def nap() -> None:
        alarm = Alarm(asyncio.get_running_loop())
        for _ in range(ALARM_NAPS):
            due = time.monotonic() + NAP
            while (now := time.monotonic()) < due:
                await alarm.sleep_until(due)
            late.record(now - due)
        alarm.close()

    try:
        import uvloop  # noqa: PLC0415 - does not exist for Windows
    except ImportError:
        asyncio.run(nap())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(nap())
    return late


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _busy() -> float:
    import psutil  # noqa: PLC0415 - as everywhere, only where it is used

    return float(psutil.cpu_percent(interval=0.3)) / 100


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")),
        platform.machine(),
    )
