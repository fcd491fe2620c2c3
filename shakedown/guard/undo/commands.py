"""Programs of the user's on this machine."""

import contextlib
import os
import signal
import subprocess
import tempfile
from typing import Literal

from pydantic import Field

from shakedown.errors import GuardError
from shakedown.guard.undo.base import Operation, shown

__all__ = ["CommandRun", "run_here"]


class CommandRun(Operation):
    """Run a program of the user's on this machine.

    Attributes:
        command: must end with exit code 0, also when it runs a second time.
        environment: in addition to that of whoever runs it; no secrets, as the journal is a file.
    """

    op: Literal["command-run"] = "command-run"
    command: list[str]
    cwd: str
    environment: dict[str, str] = Field(default={})
    timeout: float = 30.0


def run_here(undo: CommandRun) -> str:
    """Run it, with an end in time."""
    words = shown(undo.command)
    with tempfile.TemporaryFile() as output:  # no pipe: a program that it leaves running would hold that open
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, from their plan
                undo.command, cwd=undo.cwd, env={**os.environ, **undo.environment}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise GuardError(f"`{words}` cannot be run: {error}") from error
        try:
            code = process.wait(undo.timeout)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it started
            process.wait()
            raise GuardError(f"`{words}` did not end within {undo.timeout:g} s") from error
        if code:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()[-300:]
            raise GuardError(f"`{words}` ended with {code}: {said}")
    return f"`{words}` ran"
