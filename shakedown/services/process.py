"""Programs on this machine as services."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from shakedown.errors import ServiceError
from shakedown.guard.identity import is_same
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.process import start_program
from shakedown.guard.undo import PROCESS_MARK, ProcessKill, carry_out
from shakedown.plan.services import ProcessService, Secret
from shakedown.services.handle import Address, Handle
from shakedown.services.ports import free_port

__all__ = ["ProcessRunner"]

_PORT = re.compile(r"\{port\.([A-Za-z][\w-]*)\}")


class ProcessRunner:
    """One process service: started in a session of its own, its output kept."""

    def __init__(self, name: str, service: ProcessService, base: Path, log: Path, journal: Journal) -> None:
        self.service = service
        self.handle = Handle(name, "process")
        self._base = base
        self._log = log
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None
        self._intent: Intent | None = None
        self._command: list[str] = []
        self._environment: dict[str, str] = {}
        self._launched: tuple[list[str], dict[str, str]] = ([], {})

    def start(self, addresses: Mapping[str, str]) -> None:
        """Start the program.

        Args:
            addresses: SHAKEDOWN_<SERVICE>_<PORT> of the services that are there already.

        Raises:
            ServiceError: there is no such program, or it cannot be started.
        """
        ports = {name: port or free_port() for name, port in self.service.ports.items()}
        self.handle.addresses = {name: Address("127.0.0.1", port) for name, port in ports.items()}
        self._command = [self._fill(part) for part in self.service.process]
        self._environment = {**os.environ, **addresses}
        for key, value in self.service.environment.items():
            self._environment[key] = self._fill(value.value if isinstance(value, Secret) else str(value))
        self._launch(self._command, self._environment)

    def restart(self, *, command: Sequence[str] | None = None, environment: Mapping[str, object] | None = None) -> None:
        """Start it again: at the same ports, with the same log, and its undo in the journal anew.

        What is left of the one before is ended first. `handle.pid` is another one afterwards.

        Args:
            command: another one for this time; `{port.NAME}` is filled in.
            environment: variables that are different this time; None takes one away.

        Raises:
            ServiceError: there is no such program, or it cannot be started.
            GuardError: the one before does not end, or the journal cannot be written.
        """
        if self._process is None:
            raise ServiceError(f"service {self.handle.name} was never started")
        self.stop()
        merged = dict(self._environment)
        for key, value in (environment or {}).items():
            merged.pop(key, None)
            if value is not None:
                merged[key] = self._fill(str(value).lower() if isinstance(value, bool) else str(value))
        self._launch([self._fill(part) for part in command] if command is not None else self._command, merged)

    def _fill(self, text: str) -> str:
        def port(match: re.Match[str]) -> str:
            address = self.handle.addresses.get(match[1])
            return str(address.port) if address else match[0]

        return _PORT.sub(port, text)

    def _launch(self, command: list[str], environment: Mapping[str, str]) -> None:
        folder = self._base / self.service.cwd
        if shutil.which(command[0], path=environment.get("PATH")) is None and not (folder / command[0]).exists():
            raise ServiceError(f"service {self.handle.name}: no such program: {command[0]}")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            try:
                self._process, self._intent = start_program(
                    self._journal,
                    f"service {self.handle.name}",
                    command,
                    cwd=folder,
                    environment=environment,
                    output=output,
                    grace=self.service.stop_grace,
                )
            except OSError as error:
                raise ServiceError(f"service {self.handle.name}: {command[0]} cannot be started: {error}") from error
        self._launched = (command, dict(environment))
        self.handle.pid = self._process.pid
        assert isinstance(self._intent.undo, ProcessKill)  # noqa: S101 - for the type checker
        self.handle.created = self._intent.undo.created

    def members(self, *, orphans: bool = True) -> list[psutil.Process]:
        """Every process of it that lives: the first, all below it, and what it started that has lost its parent.

        Args:
            orphans: look for those too, among all processes of this machine, which takes longer.
        """
        undo = self._intent.undo if self._intent is not None else None
        if self._process is None or not isinstance(undo, ProcessKill):
            return []
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(undo.pid)
            if is_same(undo.pid, undo.created):
                found = [first, *first.children(recursive=True)]
        if orphans:
            found += [member for member in _marked(undo.mark) if member not in found]
        return [member for member in found if _lives(member)]

    def made_of(self) -> tuple[list[str], dict[str, str]]:
        """The command and the environment of its latest start."""
        return self._launched

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def tail(self, lines: int) -> list[str]:
        """The last lines of its output."""
        if not self._log.is_file():
            return []
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]

    def stop(self) -> None:
        """End it and all its children.

        Raises:
            GuardError: it does not end.
        """
        if self._intent is None or self._process is None:
            return
        self._process.poll()  # its exit code, before somebody else waits for it
        carry_out(self._intent.undo, None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        self._journal.strike(self._intent.id)


def _marked(mark: str) -> list[psutil.Process]:
    """Every process whose environment carries the mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # not ours to read, so not ours
            if process.environ().get(PROCESS_MARK) == mark:
                found.append(process)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
