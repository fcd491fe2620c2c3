"""The intent journal: what is about to be done, with its undo, on disk before it is done.

One JSON line each: a header (who owns the run), then `intend` and `strike`. A torn line, as a crash or a full disk
leaves it, counts as never written, which is right: what follows an intent only happens after its line was synced. Each
line begins with a line break of its own, so that none is lost behind a torn one.
"""

import functools
import json
import os
import platform
import threading
import time
import uuid
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from shakedown.errors import GuardError
from shakedown.guard.identity import born, is_same
from shakedown.guard.undo import Undo

__all__ = ["Intent", "Journal", "Owner", "read_journal"]


@functools.cache
def _this_machine() -> str:
    """What tells machines apart that share a folder or an engine: the system's own id, or else the host's name."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or platform.node()
    except (OSError, ValueError):
        return platform.node()


class Owner(BaseModel):
    """The process that a run belongs to."""

    model_config = ConfigDict(frozen=True)
    pid: int
    created: float  # as `born` says: the same number later is another process
    machine: str = ""  # which machine: numbers of another one's processes mean nothing here

    @classmethod
    def current(cls) -> Self:
        """This process."""
        return cls.of(os.getpid(), born(os.getpid()))

    @classmethod
    def of(cls, pid: int, created: float) -> Self:
        """A process of this machine."""
        return cls(pid=pid, created=created, machine=_this_machine())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Back from `str`; None when the text names nobody."""
        pid, _, rest = text.partition(":")
        created, _, machine = rest.partition(":")
        try:
            return cls(pid=int(pid), created=float(created), machine=machine) if machine else None
        except ValueError:
            return None

    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == _this_machine()

    def alive(self) -> bool:
        """Whether that very process still runs; of another machine's nobody here can tell, so it counts as running."""
        if not self.here():
            return True
        try:
            return is_same(self.pid, self.created) and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def __str__(self) -> str:
        return f"{self.pid}:{self.created:.2f}:{self.machine}"


class Intent(BaseModel):
    """Something that is about to be done."""

    model_config = ConfigDict(frozen=True)
    id: str
    kind: str  # fault, agent, container, network, volume, process
    what: str
    undo: Undo
    deadline: float | None = None  # wall clock, seconds since the epoch: later than this, anyone may undo it


class _Header(BaseModel):
    run: str
    plan: str
    owner: Owner


class Journal:
    """The journal of one run; safe to use from several threads.

    Raises:
        GuardError: the file cannot be made or written.
    """

    def __init__(self, path: Path, *, run: str, plan: str) -> None:
        self.path = path
        self.owner = Owner.current()
        self._lock = threading.Lock()
        self._open: dict[str, Intent] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._write({"header": _Header(run=run, plan=plan, owner=self.owner).model_dump()})
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def intend(self, kind: str, what: str, undo: Undo, deadline: float | None = None) -> Intent:
        """Write down what is about to be done; only when this returns may it be done.

        Raises:
            GuardError: it could not be written, so it must not be done.
        """
        intent = Intent(id=uuid.uuid4().hex[:12], kind=kind, what=what, undo=undo, deadline=deadline)
        with self._lock:
            try:
                self._write({"intend": intent.model_dump()})
            except OSError as error:
                raise self._unwritable(error) from error
            self._open[intent.id] = intent
        return intent

    def strike(self, intent_id: str) -> None:
        """It was undone, or was never done. Safe to call twice.

        Raises:
            GuardError: it could not be written; the undo will run once more, which does no harm.
        """
        with self._lock:
            if self._open.pop(intent_id, None) is None:
                return
            try:
                self._write({"strike": intent_id})
            except OSError as error:
                raise self._unwritable(error) from error

    def open_intents(self) -> list[Intent]:
        """What is still to be undone, newest first."""
        with self._lock:
            return list(reversed(self._open.values()))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: dict[str, object]) -> None:
        data = _line(line)
        written = os.write(self._file, data)
        if written != len(data):
            raise OSError(f"only {written} of {len(data)} bytes were written")
        os.fsync(self._file)

    def _unwritable(self, error: OSError) -> GuardError:
        return GuardError(
            f"the journal {self.path} cannot be written: {error.strerror or error}",
            hint="without an undo on disk nothing is started and no fault injected: free some space, or check the folder's rights",
        )


class JournalContents(BaseModel):
    """A journal as another process reads it."""

    run: str = ""
    plan: str = ""
    owner: Owner | None = None
    intents: list[Intent] = []  # still open, newest first
    unreadable: int = 0


def read_journal(path: Path) -> JournalContents:
    """Read a journal, whoever writes it; lines that cannot be read are counted, not fatal.

    Raises:
        GuardError: the file itself cannot be read.
    """
    contents = JournalContents()
    still_open: dict[str, Intent] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise GuardError(f"the journal {path} cannot be read: {error.strerror}") from error
    for line in filter(None, lines):
        try:
            entry = json.loads(line)
            if "header" in entry:
                header = _Header.model_validate(entry["header"])
                contents.run, contents.plan, contents.owner = header.run, header.plan, header.owner
            elif "intend" in entry:
                intent = Intent.model_validate(entry["intend"])
                still_open[intent.id] = intent
            elif "strike" in entry:
                still_open.pop(entry["strike"], None)
        except (ValueError, ValidationError, TypeError):
            contents.unreadable += 1
    contents.intents = list(reversed(still_open.values()))
    return contents


def append_strike(path: Path, intent_id: str) -> None:
    """Note in somebody else's journal that an intent was undone (appends of one short line are atomic)."""
    with path.open("ab", buffering=0) as file:
        file.write(_line({"strike": intent_id}))
        os.fsync(file.fileno())


def _line(entry: dict[str, object]) -> bytes:
    return f"\n{json.dumps({'at': time.time(), **entry})}\n".encode()
