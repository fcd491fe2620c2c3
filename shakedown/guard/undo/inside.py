"""Commands inside containers."""

import re
import time
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shakedown.errors import GuardError
from shakedown.guard.undo.base import Operation, shown
from shakedown.guard.undo.containers import start

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["ContainerExec", "run_inside"]

SETTLES_WITHIN = 2.0  # the engine takes note that a container ended
_NO_SUCH_PROGRAM = (126, 127)


class ContainerExec(Operation):
    """Run a command inside a container.

    Attributes:
        command: must end with exit code 0, also when it runs a second time.
        started: when the container was started (`State.StartedAt`); if it was started anew since, there is nothing to
            undo any more. Empty: the command is needed whatever happened.
        environment: in addition to the container's own; no secrets, as the journal is a file.
        workdir: where it runs; empty: the image's own.
        lasting: what it takes back lies on the container's disk. While the container does not run the undo has failed,
            and is to be tried again, rather than being needless.
        start: a container that has ended is started instead.
        tool: a program of ours inside the container that the command runs, and removes as its last step: where it is
            gone, everything was taken back already.
    """

    op: Literal["container-exec"] = "container-exec"
    container: str
    command: list[str]
    user: str = ""
    started: str = ""
    environment: dict[str, str] = Field(default={})
    workdir: str = ""
    lasting: bool = False
    start: bool = False
    tool: str = ""


def run_inside(undo: ContainerExec, container: "Container", attempts: int = 3) -> str:
    """Run the command, unless there is nothing left that it could undo."""
    from docker.errors import APIError  # noqa: PLC0415 - see engine.find_engine

    if container.status == "paused":
        container.unpause()
    elif container.status != "running":
        if undo.lasting:
            raise GuardError(f"container {container.name} is {container.status}: the undo waits until it runs again")
        if undo.start:
            return start(container)
        return f"container {container.name} is {container.status}: nothing in it runs"
    if undo.started and str(container.attrs["State"]["StartedAt"]) != undo.started:
        return f"container {container.name} was started anew: there is nothing left to undo"
    try:
        code, output = container.exec_run(
            undo.command, user=undo.user, environment=undo.environment, workdir=undo.workdir or None, stream=False
        )
    except OSError as error:  # the engine's client gave up waiting
        raise GuardError(f"in {container.name}: `{shown(undo.command)}` does not end: {error}") from error
    except APIError as error:
        code, output = 126, str(error.explanation).encode()
    if not code:
        return f"undone in {container.name}"
    if attempts > 1 and _moved_on(container):
        return run_inside(undo, container, attempts - 1)
    said = (output if isinstance(output, bytes) else b"".join(output)).decode(errors="replace").strip()[-300:]
    if undo.tool and code in _NO_SUCH_PROGRAM and re.search(r"no such file|not found", said, re.IGNORECASE):
        return f"undone in {container.name} before"
    raise GuardError(f"in {container.name}: `{shown(undo.command)}` ended with {code}: {said}")


def _moved_on(container: "Container") -> bool:
    """Whether a container in which a command failed was just ending, or starting anew: the engine says so a little later."""
    started = container.attrs["State"]["StartedAt"]
    until = time.monotonic() + SETTLES_WITHIN
    while True:
        container.reload()
        if container.status not in ("running", "paused") or container.attrs["State"]["StartedAt"] != started:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
