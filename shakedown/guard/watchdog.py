"""A detached process that takes back what a dead, frozen or late run left active.

It knows a pipe, a journal and the Docker engine, and nothing else: no Prefect, no database. It is started as the child
of a child that ends at once, in a session of its own, so that killing the run's process tree does not reach it.

::

    run ── a byte each second ──▶ pipe ──▶ watchdog
           'q' at an orderly end            pipe ends without 'q', or no byte for `heartbeat` seconds
                                              → every open undo, newest first; then what carries the run's label
                                            an intent's own deadline passes → that undo
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from shakedown.errors import EngineError, GuardError
from shakedown.guard.cleanup import CleanupReport, remove_labelled, undo_open
from shakedown.guard.engine import find_engine
from shakedown.guard.journal import append_strike, read_journal
from shakedown.guard.undo import carry_out

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Watchdog"]

HEARTBEAT = 15.0
DEADLINE_GRACE = 2.0
BEAT = b"."
QUIT = b"q"
PATIENCE = 600.0  # how long a watchdog goes on trying when the engine does not answer, or fails


class Watchdog:
    """The run's side: beats once a second until it is closed."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="watchdog-beat", daemon=True)
        self._thread.start()

    @classmethod
    def start(cls, run_dir: Path, run: str, *, heartbeat: float = HEARTBEAT) -> Self:
        """Start the watchdog of a run whose journal lies in `run_dir`.

        Raises:
            GuardError: it cannot be started.
        """
        reading, writing = os.pipe()
        try:
            os.set_inheritable(reading, True)
            starter = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "shakedown.guard.watchdog", str(run_dir), run, str(reading), str(heartbeat)],
                pass_fds=[reading],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(writing)
            raise GuardError(f"the watchdog cannot be started: {error}") from error
        finally:
            os.close(reading)
        if starter.returncode != 0:
            os.close(writing)
            raise GuardError(f"the watchdog cannot be started: {starter.stderr.strip()}")
        return cls(writing)

    @property
    def alive(self) -> bool:
        """Whether the other side still takes our beats, as of the last one; once it does not, it never will again."""
        return self._thread.is_alive() or self._closed.is_set()

    def close(self) -> None:
        """An orderly end: only what the journal still holds open is to be undone."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, QUIT)
        os.close(self._pipe)

    def _beat(self) -> None:
        while not self._closed.wait(1.0):
            try:
                os.write(self._pipe, BEAT)
            except BrokenPipeError:  # the watchdog was killed: the journal and `cleanup` remain
                return


class _Dog:
    """The detached side."""

    def __init__(self, run_dir: Path, run: str, pipe: int, heartbeat: float) -> None:
        self._journal = run_dir / "journal.jsonl"
        self._log = (run_dir / "watchdog.log").open("a", encoding="utf-8", buffering=1)
        self._run = run
        self._pipe = pipe
        self._heartbeat = heartbeat
        self._ending = False

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk must not keep an undo from being carried out
            self._log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} {text}\n")

    def watch(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminate)
        self.say(f"watching run {self._run} as process {os.getpid()}")
        last = time.monotonic()
        while True:
            ready, _, _ = select.select([self._pipe], [], [], 0.5)
            if ready:
                data = os.read(self._pipe, 4096)
                if not data:
                    return self._undo_all("the run's process is gone")
                if QUIT in data:
                    return self._end()
                last = time.monotonic()
            if self._ending:
                return self._undo_all("asked to end")
            if time.monotonic() - last > self._heartbeat:
                return self._undo_all(f"no sign of life for {self._heartbeat:.0f} s")
            self._undo_late()

    def _terminate(self, *_: object) -> None:
        self._ending = True

    def _end(self) -> None:
        """The run is over; what it could not prove to be gone is left to us, as nobody else will come."""
        left = read_journal(self._journal).intents
        if left:
            self._undo_all(f"the run ended with {len(left)} step(s) not taken back")
        else:
            self.say("the run ended in order")

    def _undo_late(self) -> None:
        """Undo what should have been undone by now, while the run itself goes on."""
        late = [
            intent
            for intent in read_journal(self._journal).intents
            if intent.deadline is not None and time.time() > intent.deadline + DEADLINE_GRACE
        ]
        for intent in late:
            try:
                self.say(f"late: {intent.what}: {carry_out(intent.undo, self._engine())}")
                append_strike(self._journal, intent.id)
            except (GuardError, OSError) as error:
                self.say(f"late: {intent.what}: {error}")

    def _engine(self) -> "DockerClient | None":
        try:
            return find_engine(timeout=20)
        except EngineError as error:
            self.say(str(error))
            return None

    def _undo_all(self, reason: str) -> None:
        self.say(f"{reason}: taking everything back")
        until = time.monotonic() + PATIENCE
        wait = 0.5
        while True:
            report = CleanupReport()
            client = self._engine()
            try:
                undo_open(self._journal, client, report)
                if client is not None:
                    remove_labelled(client, report, run=self._run, force=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else is left who would try again
                report.failed.append(repr(error))
            for line in report.done:
                self.say(line)
            for line in report.failed:
                self.say(f"failed: {line}")
            left = read_journal(self._journal).intents
            if (client is not None and not report.failed and not left) or time.monotonic() > until:
                break
            time.sleep(wait)
            wait = min(wait * 2, 10.0)
        self.say(f"{len(left)} intents are left open" if left else "nothing is left")


def _detach() -> None:
    """Become a process of its own: no parent that waits, no terminal, no process group of the run."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whoever waits for the end of our output must not wait for the whole run
        os.dup2(nothing, stream)


def main() -> None:
    """Run as the detached process: `watchdog RUN_DIR RUN PIPE HEARTBEAT`."""
    run_dir, run, pipe, heartbeat = sys.argv[1:]
    dog = _Dog(Path(run_dir), run, int(pipe), float(heartbeat))
    _detach()
    try:
        dog.watch()
    except Exception as error:  # the last resort must leave a word of why it ended
        dog.say(f"ended by {error!r}")
        raise


if __name__ == "__main__":
    main()
