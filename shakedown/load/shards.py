"""One shard of a load: work for any machine, with all it needs in its arguments and all it found in what it returns.

::

    orchestrator                                  shard (another thread, process or machine)
      job ───────────────────────────────────────▶ files unpacked, worker processes up
      ◀── claim(index, ready), once ──────────────┤
      word(start_at) ─────────────────────────────▶ the instant, on its own monotonic clock
      word(beat), each few seconds ───────────────▶ … load … ; no beat for a while, or `stop`: it ends
      ◀── outcome: distributions, ledger lines ────┘

A shard that comes up after the agreed instant sends nothing and says so. A shard whose number is claimed already is a
repetition (its first worker died): it sends nothing, as its load would be sent twice.
"""

import fcntl
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

import shakedown
from shakedown.errors import LoadError
from shakedown.load.clocks import LocalOrigin, map_origin
from shakedown.load.runner import LoadHandle
from shakedown.load.spec import LoadSpec
from shakedown.plan.hosts import is_loopback
from shakedown.records.load import LoadDelta, LoadResult

__all__ = ["Line", "Ready", "ShardJob", "ShardOutcome", "Word", "files_of", "machine", "run_shard"]

HEAD_START = 0.02  # a start that is no further away than this cannot be kept
CLOCK_LIMIT = 5.0  # an instant this much further away than it was meant to be is a clock that is wrong
SETTLED = 60.0  # seconds after which a folder that nobody holds is nobody's
_FOLDER = "shakedown-shard-"
_USERS_OWN = frozenset({"json", "form", "headers", "params"})  # what the user sends, whatever it looks like


class Word(BaseModel):
    """What the orchestrator says to all shards.

    Attributes:
        beat: grows while it is alive.
        wall: when it said so, Unix time by its own clock.
        start_at: the agreed instant, seconds on the run's axis.
        stop: the load is over.
    """

    model_config = ConfigDict(frozen=True)
    beat: int = 0
    wall: float = 0.0
    start_at: float | None = None
    stop: bool = False


class Ready(BaseModel):
    """What a shard says when it could begin; `wall` is Unix time by its own clock."""

    model_config = ConfigDict(frozen=True)
    host: str
    pid: int
    wall: float


class Line(Protocol):
    """A shard's connection with the orchestrator."""

    def claim(self, index: int, ready: Ready) -> bool:
        """Say that this shard is ready; False: a shard of this number has said so before.

        Raises:
            LoadError: the orchestrator cannot be reached.
        """

    def word(self) -> Word | None:
        """The orchestrator's latest word; None when it cannot be reached just now. A load that is gone says stop."""


class ShardJob(BaseModel):
    """Everything that one shard needs.

    Attributes:
        spec: of the whole load; its `workers` are those of all shards together.
        index: which shard, from 0.
        count: of how many.
        origin_wall: the origin of the run's axis, Unix time by the orchestrator's clock.
        files: what the scenario reads, by the paths that it names; used where the plan's own folder is not.
        machine: the orchestrator's.
        version: of the program that made this job.
        patience: seconds to wait for the agreed instant to be named.
        poll: seconds between two looks at the orchestrator's word.
        lease: seconds without a sign of life from the orchestrator after which the load ends.
    """

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")
    spec: LoadSpec
    index: int
    count: int
    origin_wall: float
    files: dict[str, bytes] = {}
    machine: str
    version: str
    patience: float = 150.0
    poll: float = 0.1
    lease: float = 30.0

    @property
    def name(self) -> str:
        """What people call it."""
        return f"shard {self.index + 1} of {self.count}"


@dataclass(slots=True)
class ShardOutcome:
    """What one shard did.

    Attributes:
        delta: everything that it measured; None when it sent nothing.
        refused: why it sent nothing, where that is nobody's mistake in the plan.
        failure: why it could not do its job at all.
        start, end: of its schedule, on the run's axis.
        stopped: its schedule was ended before its time.
        cut_short: by somebody else than the orchestrator.
        starved: why its own generator cannot be trusted.
        ledgers: the ledgers' lines, by ledger and file.
        told, heard: when the agreed instant was named, and when this shard heard of it, by the clock of either.
        moved: seconds by which its wall clock was set while the load ran.
    """

    index: int
    host: str
    pid: int
    delta: LoadDelta | None = None
    refused: str = ""
    failure: str = ""
    start: float = 0.0
    end: float = 0.0
    stopped: bool = False
    cut_short: bool = False
    unreleased: int = 0
    cpu: float = 0.0
    lag_p99: float = 0.0
    workers: int = 0
    lost_workers: int = 0
    starved: str | None = None
    ledgers: dict[str, dict[str, str]] = field(default_factory=dict)
    told: float | None = None
    heard: float | None = None
    moved: float = 0.0


def machine() -> str:
    """What this machine's network is known by: two processes with the same reach the same 127.0.0.1."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/net')}"  # noqa: PTH115 - it is no path
    except OSError:
        return socket.gethostname()


def files_of(spec: LoadSpec) -> dict[str, bytes]:
    """The files that a scenario reads, by the relative paths that it names; absolute paths must be there anyway.

    Raises:
        LoadError: one cannot be read.
    """
    found: dict[str, bytes] = {}
    for name in dict.fromkeys(_paths_in(spec.work.model_dump(mode="json", by_alias=True))):
        if Path(name).is_absolute():
            continue
        try:
            found[name] = (Path(spec.base) / name).read_bytes()
        except OSError as error:
            raise LoadError(f"{name} cannot be read: {error}") from error
    return found


def _paths_in(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _paths_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "file" and isinstance(item, str):
                yield item
            elif key == "tls" and isinstance(item, dict):
                yield from (path for part in ("ca", "certificate", "key") if isinstance(path := item.get(part), str))
            elif key not in _USERS_OWN:
                yield from _paths_in(item)


def run_shard(job: ShardJob, line: Line) -> ShardOutcome:
    """Do one shard's work, from its worker processes to its outcome; ends by itself, whatever becomes of the others.

    Nothing that is wrong is raised: it stands in the outcome, with this shard's host beside it.
    """
    outcome = ShardOutcome(job.index, socket.gethostname(), os.getpid())
    with _folder() as folder:
        try:
            _Shard(job, line, folder, outcome).run()
        except (LoadError, OSError) as error:
            outcome.failure = str(error)
    return outcome


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of our own, locked while we live; those of shards that were killed are removed on the way."""
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as name:
        folder = Path(name)
        with (folder / "alive").open("w") as ours:
            fcntl.flock(ours, fcntl.LOCK_EX)
            for other in folder.parent.glob(f"{_FOLDER}*"):
                with suppress(OSError), (other / "alive").open() as theirs:
                    if time.time() - other.stat().st_mtime < SETTLED:  # it may be about to lock itself
                        continue
                    fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its owner lives
                    shutil.rmtree(other)
            yield folder


class _Share(LoadHandle):
    """The worker processes of one shard."""

    def end(self) -> None:
        """Leave no process behind."""
        self.kill()
        for worker in self._workers:
            worker.process.wait()
            for stream in (worker.process.stdin, worker.process.stdout, worker.process.stderr):
                if stream is not None and worker.thread is None:
                    stream.close()

    @property
    def unreleased(self) -> int:
        """Iterations that were asked for and whose turn never came."""
        return sum(worker.unreleased for worker in self._workers)

    @property
    def ended_early(self) -> bool:
        """Whether a worker was stopped before its schedule's end."""
        return any(worker.stopped for worker in self._workers)


class _Shard:
    def __init__(self, job: ShardJob, line: Line, folder: Path, outcome: ShardOutcome) -> None:
        self.job, self.line, self.folder, self.outcome = job, line, folder, outcome
        self.orphaned = ""

    def run(self) -> None:
        job = self.job
        self._check()
        base = job.spec.base
        if job.files and machine() != job.machine:
            base = str(self.folder / "files")
            for name, content in job.files.items():
                path = self.folder / "files" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        here = map_origin(job.origin_wall)
        spec = job.spec.model_copy(
            update={
                "origin": here.monotonic,
                "ledger_dir": str(self.folder / "ledgers"),
                "base": base,
            }
        )
        each = spec.workers // job.count
        share = _Share(spec, lambda _: None, range(job.index * each, (job.index + 1) * each))
        try:
            share.open()
            if not self.line.claim(job.index, Ready(host=self.outcome.host, pid=self.outcome.pid, wall=time.time())):
                self.outcome.refused = (
                    "it was started a second time, as the first was lost: nothing of it is sent twice"
                )
                return
            start = self._agree(here)
            if start is None:
                return
            share.begin(start)
            self._fill(self._watch(share), share)
            self.outcome.moved = here.monotonic - map_origin(job.origin_wall).monotonic
        finally:
            share.end()
            self._collect_ledgers()

    def _check(self) -> None:
        job = self.job
        if job.version != shakedown.__version__:
            raise LoadError(f"this machine has shakedown {shakedown.__version__}, the orchestrator {job.version}")
        if job.spec.workers % job.count:
            raise LoadError(f"{job.spec.workers} workers cannot be shared by {job.count} shards alike")
        target = job.spec.target
        if target is not None and is_loopback(target.host) and machine() != job.machine:
            raise LoadError(
                f"the service answers at {target.host} on the orchestrator's machine, and {self.outcome.host} is another",
                hint="load that comes from other machines needs a service with a `url` that they reach",
            )
        for name in job.files if machine() != job.machine else ():
            if not (self.folder / "files" / name).resolve().is_relative_to((self.folder / "files").resolve()):
                raise LoadError(f"{name} lies outside the plan's folder: it cannot travel to another machine")

    def _agree(self, here: LocalOrigin) -> float | None:
        """The agreed instant on this machine's monotonic clock; None when there is none for this shard."""
        job, outcome = self.job, self.outcome
        until = time.monotonic() + job.patience
        while True:
            word = self.line.word()
            if word is not None and word.stop:
                outcome.refused = "it was stopped before it began"
                return None
            if word is not None and word.start_at is not None:
                break
            if time.monotonic() > until:
                outcome.refused = f"nobody named the instant to begin within {job.patience:g} s"
                return None
            time.sleep(job.poll)
        outcome.told, outcome.heard = word.wall, time.time()
        start = here.monotonic + word.start_at
        left = start - time.monotonic()
        if left < HEAD_START:
            outcome.refused = f"it came {HEAD_START - left:.2f} s too late for the agreed instant"
        elif left > job.origin_wall + word.start_at - word.wall + CLOCK_LIMIT:
            outcome.refused = f"its clock is wrong: the agreed instant would be {left:.0f} s away"
        return None if outcome.refused else start

    def _watch(self, share: _Share) -> LoadResult:
        """Wait for the end of the load, however it comes: its schedule's, the orchestrator's word, or its silence."""
        over = threading.Event()

        def listen() -> None:
            beat, heard = -1, time.monotonic()
            while True:
                if over.wait(self.job.poll):
                    return
                word = self.line.word()
                now = time.monotonic()
                if word is not None and word.stop:
                    break
                if word is not None and word.beat != beat:
                    beat, heard = word.beat, now
                elif now - heard > self.job.lease:
                    self.orphaned = f"it heard nothing from the orchestrator for {now - heard:.0f} s, and ended"
                    break
            share.stop()

        listener = threading.Thread(target=listen, name="shard-line", daemon=True)
        listener.start()
        try:
            return share.wait(threading.Event())
        finally:
            over.set()
            listener.join(10)

    def _fill(self, result: LoadResult, share: _Share) -> None:
        outcome = self.outcome
        outcome.delta = LoadDelta(
            result.load, result.end, result.counts, result.buckets, result.pulses, result.start_lag, result.errors
        )
        outcome.start, outcome.end = result.start, result.end
        outcome.stopped, outcome.cut_short = share.ended_early, result.interrupted or bool(self.orphaned)
        outcome.unreleased = share.unreleased
        health = result.generator
        outcome.cpu, outcome.lag_p99 = health.cpu, health.lag_p99
        outcome.workers, outcome.lost_workers = health.workers, health.lost_workers
        outcome.starved = ", and ".join(why for why in (self.orphaned, health.starved) if why) or None

    def _collect_ledgers(self) -> None:
        for file in sorted((self.folder / "ledgers").glob("*/*.ledger")):
            lines = file.read_text(encoding="utf-8", errors="replace").rstrip("\0")
            self.outcome.ledgers.setdefault(file.parent.name, {})[file.name] = lines
