"""Programs on this machine as services."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from shakedown.errors import ServiceError
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.process import start_program
from shakedown.guard.undo import ProcessKill, carry_out
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

    def start(self, addresses: Mapping[str, str]) -> None:
        """Start the program.

        Args:
            addresses: SHAKEDOWN_<SERVICE>_<PORT> of the services that are there already.

        Raises:
            ServiceError: there is no such program, or it cannot be started.
        """
        ports = {name: port or free_port() for name, port in self.service.ports.items()}
        self.handle.addresses = {name: Address("127.0.0.1", port) for name, port in ports.items()}

        def fill(text: str) -> str:
            return _PORT.sub(lambda match: str(ports.get(match[1], match[0])), text)

        command = [fill(part) for part in self.service.process]
        environment = {**os.environ, **addresses}
        for key, value in self.service.environment.items():
            environment[key] = fill(value.value if isinstance(value, Secret) else str(value))
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
        self.handle.pid = self._process.pid
        assert isinstance(self._intent.undo, ProcessKill)  # noqa: S101 - for the type checker
        self.handle.created = self._intent.undo.created

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
        carry_out(self._intent.undo, None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        self._journal.strike(self._intent.id)
