"""The parent's side of a load: starts its workers, merges what they send, and says how far it can be trusted."""

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from shakedown.errors import LoadError
from shakedown.load.codec import decode_delta
from shakedown.load.schedule import profile_of
from shakedown.load.spec import LoadSpec
from shakedown.plan.executors import Executor, OpenModel
from shakedown.records.load import DuePulse, GeneratorHealth, LoadCounts, LoadDelta, LoadResult, Pulse, merge_parts

__all__ = ["LoadHandle", "rate_held"]

HEAD_START = 0.15
START_LIMIT = 30.0
RATE_HELD = 0.99
# A generator is starved when one release in a hundred came this late through its own fault, or half as late while it
# had no CPU left.
LATE = 0.1
BUSY = 0.9


def rate_held(executor: Executor, counts: LoadCounts, expected: float) -> bool:
    """Whether what was asked for was begun in time, but for what the plan says may be dropped.

    Args:
        expected: iterations that the schedule asks for; 0 for closed models, which ask for none.
    """
    allowed = executor.may_drop * expected if isinstance(executor, OpenModel) else 0.0
    return counts.on_time + min(counts.dropped, allowed) >= RATE_HELD * expected - 1


@dataclass(slots=True)
class _Worker:
    process: "subprocess.Popen[str]"
    thread: threading.Thread | None = None
    hearing: threading.Thread | None = None
    cpu: float = 0.0
    lag: float = 0.0
    end: float = 0.0
    unreleased: int = 0
    stopped: bool = False  # it ended before its schedule did
    done: bool = False
    failure: str = ""
    listener: Exception | None = None  # what went wrong on our side with what it sent
    stderr: deque[str] = field(default_factory=lambda: deque(maxlen=5))


class LoadHandle:
    """A load under way.

    Args:
        on_delta: called from reader threads with every delta as it comes.
        numbers: of the workers that are run here; all of the load's when not given.

    Raises:
        LoadError: the recording of a replay cannot be read.
    """

    def __init__(self, spec: LoadSpec, on_delta: Callable[[LoadDelta], None], numbers: range | None = None) -> None:
        self.spec = spec
        self._numbers = numbers if numbers is not None else range(spec.workers)
        self._on_delta = on_delta
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        executor = spec.executor
        self._profile = profile_of(executor, Path(spec.base)) if isinstance(executor, OpenModel) else None
        self._start = 0.0
        self._stopped_at: float | None = None
        self._total = LoadDelta(spec.label, 0.0, LoadCounts(), {}, {}, {}, [])

    def start(self) -> None:
        """Start the workers; returns when the schedule is about to begin.

        Raises:
            LoadError: a worker did not come up.
        """
        self.open()
        self.begin(time.monotonic() + HEAD_START + self.spec.executor.start_delay)

    def open(self) -> None:
        """Start the processes; returns when all of them are ready.

        Raises:
            LoadError: one did not come up.
        """
        for number in self._numbers:
            process = subprocess.Popen(
                [sys.executable, "-m", "shakedown.load.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            worker = _Worker(process)
            self._workers.append(worker)
            self._tell(worker, json.dumps({"spec": self.spec.model_dump(mode="json", by_alias=True), "shard": number}))
        for worker in self._workers:
            self._await_ready(worker)

    def begin(self, start: float) -> None:
        """Let the schedule begin at `start` (monotonic)."""
        self._start = start
        for worker in self._workers:
            self._tell(worker, f"go {start!r}")
            worker.hearing = threading.Thread(target=self._hear, args=(worker,), name="load-errors", daemon=True)
            worker.hearing.start()
            worker.thread = threading.Thread(target=self._read, args=(worker,), name="load-reader", daemon=True)
            worker.thread.start()

    @property
    def start_at(self) -> float:
        """When the schedule begins, or began, on the run's axis."""
        return self._start - self.spec.origin

    def _await_ready(self, worker: _Worker) -> None:
        timer = threading.Timer(START_LIMIT, worker.process.kill)
        timer.start()
        try:
            assert worker.process.stdout is not None  # noqa: S101 - PIPE
            line = worker.process.stdout.readline()
        finally:
            timer.cancel()
        if line.strip() != "ready":
            self.kill()
            if line.startswith("failed "):
                raise LoadError(json.loads(line.partition(" ")[2]))
            _, errors = worker.process.communicate()
            raise LoadError(f"a load worker of `{self.spec.label}` did not start", details=errors.splitlines()[-5:])

    @staticmethod
    def _tell(worker: _Worker, line: str) -> None:
        try:
            assert worker.process.stdin is not None  # noqa: S101 - PIPE
            worker.process.stdin.write(line + "\n")
            worker.process.stdin.flush()
        except (BrokenPipeError, ValueError):  # it died: its reader will notice
            return

    def _read(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None  # noqa: S101 - PIPE
        for line in worker.process.stdout:
            if not line.endswith("\n"):  # torn: it died while it spoke
                break
            try:
                self._take(worker, line)
            except Exception as error:  # noqa: BLE001 - kept for `wait`; unread, the worker would choke on its full pipe
                worker.listener = worker.listener or error
        worker.process.wait()
        if worker.hearing is not None:
            worker.hearing.join(1)

    def _take(self, worker: _Worker, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "delta":
            delta = decode_delta(rest)
            with self._lock:
                merge_parts(self._total, delta)
            self._on_delta(delta)
        elif word == "done":
            health = json.loads(rest)
            worker.cpu, worker.lag, worker.end = health["cpu"], health["lag_p99"], health["end"]
            worker.unreleased, worker.stopped, worker.done = health["unreleased"], health["stopped"], True
        elif word == "failed":
            worker.failure = json.loads(rest)

    @staticmethod
    def _hear(worker: _Worker) -> None:
        """Keep the last lines of what a worker complains of; unread, they would block it."""
        assert worker.process.stderr is not None  # noqa: S101 - PIPE
        for line in worker.process.stderr:
            worker.stderr.append(line.rstrip("\n"))

    def stop(self) -> None:
        """End the arrivals now; `wait` then returns within the graceful stop."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            for worker in self._workers:
                self._tell(worker, "stop")

    def kill(self) -> None:
        """End the workers at once; for when everything else is ending as well."""
        for worker in self._workers:
            worker.process.kill()

    def wait(self, stop: threading.Event) -> LoadResult:
        """Wait for the end of the load, however it comes, and return what was measured.

        Args:
            stop: when set, the load is interrupted.

        Raises:
            LoadError: a worker could not do its job at all (a template that fails).
            Exception: whatever `on_delta` raised; what it did not take is lost, and must not look like a whole result.
        """
        interrupted = False
        limit = self._start + self.spec.duration + self.spec.executor.graceful_stop + START_LIMIT
        while any(worker.thread is not None and worker.thread.is_alive() for worker in self._workers):
            if stop.is_set() and not interrupted:
                interrupted = True
                self.stop()
            if self._stopped_at is not None:
                limit = min(limit, self._stopped_at + self.spec.executor.graceful_stop + START_LIMIT)
            if time.monotonic() > limit:
                self.kill()
            for worker in self._workers:
                if worker.thread is not None:
                    worker.thread.join(0.05)
        failure = next((worker.failure for worker in self._workers if worker.failure), None)
        if failure:
            raise LoadError(failure)
        for worker in self._workers:
            if worker.listener is not None:
                raise worker.listener
        return self.result(interrupted=interrupted)

    def pulses(self) -> dict[int, Pulse]:
        """The pulses so far; cheap enough to be asked several times a second."""
        with self._lock:
            return {slot: replace(pulse) for slot, pulse in self._total.pulses.items()}

    def dues(self) -> dict[int, DuePulse]:
        """The pulses by intended start so far."""
        with self._lock:
            return {slot: replace(due) for slot, due in self._total.dues.items()}

    def snapshot(self) -> LoadDelta:
        """What was measured so far (a reference to live data is never handed out: this is a copy)."""
        copy = LoadDelta(self.spec.label, 0.0, LoadCounts(), {}, {}, {}, [])
        with self._lock:
            merge_parts(copy, self._total)
        return copy

    def result(self, *, interrupted: bool = False, until: float | None = None) -> LoadResult:
        """The load as it stands now; counts of a load under way do not add up yet.

        Args:
            until: of a load that runs until it is stopped: as if it had been stopped then, seconds since the origin.
        """
        total = self.snapshot()
        spec = self.spec
        start = self._start - spec.origin
        planned_end = start + spec.duration
        asked_end = self._stopped_at - spec.origin if self._stopped_at is not None else planned_end
        if until is not None:
            asked_end = min(asked_end, until)
        end = min(planned_end, max(asked_end, start))
        ends = [worker.end for worker in self._workers if worker.done]
        stopped = any(worker.stopped for worker in self._workers)
        cut_short = stopped and self._stopped_at is None  # by somebody else's signal
        if ends:  # users with a number of iterations may be done before their time is up
            end = min(end, *ends) if stopped else min(end, max(ends))
        expected = self._expected(end - start)
        unreleased = sum(worker.unreleased for worker in self._workers)
        held = rate_held(spec.executor, total.counts, expected) and not unreleased
        lost = sum(not worker.done and worker.process.poll() is not None for worker in self._workers)
        health = GeneratorHealth(
            cpu=max((worker.cpu for worker in self._workers), default=0.0),
            lag_p99=max((worker.lag for worker in self._workers), default=0.0),
            workers=len(self._workers),
            lost_workers=lost,
        )
        health.starved = self._starved(health, total)
        return LoadResult(
            load=spec.label, scenario=spec.scenario, stage=spec.stage, repetition=spec.repetition, start=start, end=end, executor=spec.executor.type,
            target_rate=self._target_rate(), warm_up=spec.warm_up, counts=total.counts, buckets=total.buckets, pulses=total.pulses,
            start_lag=total.start_lag, errors=total.errors, generator=health, interrupted=interrupted or cut_short, rate_held=held,
            dues=total.dues,
            degraded=total.degraded,
        )  # fmt: skip

    def _expected(self, seconds: float) -> float:
        """Iterations that the schedule asks for in its first seconds; 0 for closed models, which ask for none."""
        if self._profile is None:
            return 0.0
        if self.spec.arrival_seed is not None:  # at random: what came due is what was asked for
            return float(self._total.counts.scheduled)
        return self._profile.expected(seconds)

    def _target_rate(self) -> float | None:
        """Iterations per second asked for, the mean over the whole schedule; None for closed models."""
        return self._profile.total / self.spec.duration if self._profile is not None else None

    def _starved(self, health: GeneratorHealth, total: LoadDelta) -> str | None:
        if health.lost_workers:
            words = " ".join(line for worker in self._workers for line in worker.stderr)
            return f"{health.lost_workers} of {health.workers} load workers died {words}".strip()
        own = [error for error in total.errors if error.kind == "local"]
        if own:
            number = sum(error.count for error in own)
            return f"{number} connections failed for want of files or ports on the generator's side: {own[0].example}"
        if health.lag_p99 > LATE:
            return f"the load generator itself was late: 1 % of its wake-ups by more than {health.lag_p99 * 1e3:.0f} ms"
        if health.cpu > BUSY and health.lag_p99 > LATE / 2:
            return f"the load generator had no CPU left ({health.cpu:.0%} of a core)"
        return None
