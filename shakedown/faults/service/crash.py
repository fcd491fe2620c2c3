"""Killing a container's first process behind the engine's back, as an error of its own would end it.

What is killed through the engine counts as stopped by hand, and no restart policy applies. No process inside the
container can do it either: the kernel keeps a namespace's first process from SIGKILL out of that namespace. So it is
done from the machine's own process namespace: by ourselves where we are on that machine and may, else by a helper
container that shares it.
"""

import itertools
import os
import signal as signals
from typing import TYPE_CHECKING

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.agents import agent_image
from shakedown.faults.base import FaultContext
from shakedown.faults.service.host import process_of
from shakedown.guard.journal import Intent
from shakedown.guard.undo import ContainerRemove, carry_out

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["Crasher"]

BY_OURSELVES = "signal to the container's first process from the host, behind the engine's back"
BY_HELPER = "signal to the container's first process from a helper in the host's process namespace"
# The number may be another process's by now: its cgroup tells whose it is.
_STRIKE = 'grep -q "$1" "/proc/$2/cgroup" && kill -s "$3" "$2"'
_numbers = itertools.count(1)


class Crasher:
    """Kills the first process of one service's container.

    Args:
        helper: use a helper container even where we could do it ourselves.
    """

    def __init__(self, context: FaultContext, service: str, *, helper: bool = False) -> None:
        self._context = context
        self._service = service
        self._wanted = helper
        self._helper: Container | None = None
        self._intent: Intent | None = None

    def prepare(self, container: "Container") -> str:
        """Find the way, and get it ready; the way in words.

        Raises:
            FaultRefusedError: there is none.
        """
        pid = process_of(container)
        if pid is not None and not self._wanted and _may(pid):
            return BY_OURSELVES
        self._start_helper(container)
        return BY_HELPER

    def kill(self, container: "Container", signal: str) -> None:
        """Strike.

        Raises:
            FaultError: the process is not there, or cannot be reached.
        """
        pid = int(container.attrs["State"]["Pid"])
        if self._helper is not None:
            result = self._helper.exec_run(
                ["sh", "-c", _STRIKE, "strike", str(container.id), str(pid), signal.removeprefix("SIG")]
            )
            if result.exit_code:
                raise FaultError(f"the helper could not signal process {pid} of `{self._service}`")
            return
        try:
            handle = os.pidfd_open(pid)
        except OSError as error:
            raise FaultError(f"process {pid} of `{self._service}` is not there: {error.strerror}") from error
        try:
            if process_of(container) is None:  # looked at with the handle open: the number cannot be another's now
                raise FaultError(f"process {pid} is not `{self._service}`'s any more")
            signals.pidfd_send_signal(handle, signals.Signals[signal])
        except OSError as error:
            raise FaultError(f"process {pid} of `{self._service}` cannot be signalled: {error.strerror}") from error
        finally:
            os.close(handle)

    def _start_helper(self, container: "Container") -> None:
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        context = self._context
        name = f"shakedown-{context.system.run}-crash-{next(_numbers)}"
        image = agent_image(context.client)
        self._intent = context.journal.intend("agent", f"helper {name}", ContainerRemove(container=name))
        try:
            self._helper = context.client.containers.run(
                image,
                entrypoint=["sleep", "infinity"],
                command=[],
                name=name,
                detach=True,
                init=True,
                pid_mode="host",
                userns_mode="host",
                network_mode="none",
                cap_drop=["ALL"],
                cap_add=["KILL", "SYS_PTRACE"],
                labels={**context.system.labels.of(), "shakedown.agent": self._service},
                mem_limit="64m",
            )
            seen = self._helper.exec_run(
                ["grep", "-q", str(container.id), f"/proc/{container.attrs['State']['Pid']}/cgroup"]
            )
        except APIError as error:
            raise FaultRefusedError(
                f"`{self._service}` cannot be killed behind the engine's back: we are not on its machine (or may not), "
                f"and a helper there cannot be started: {error.explanation}"
            ) from error
        if seen.exit_code:
            raise FaultRefusedError(
                f"`{self._service}` cannot be killed behind the engine's back: its process is seen neither from here nor "
                "from the engine's own process namespace"
            )

    def close(self) -> None:
        """Remove the helper; safe to call twice.

        Raises:
            GuardError: the engine refuses.
        """
        if self._intent is not None:
            carry_out(self._intent.undo, self._context.client)
            self._context.journal.strike(self._intent.id)
            self._intent = self._helper = None


def _may(pid: int) -> bool:
    """Whether this system lets us signal a process."""
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
