"""Containers: started, thawed, removed, and their limits set back."""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from shakedown.guard.undo.base import Operation

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = [
    "REMOVAL_LIMIT", "ContainerRemove", "ContainerStart", "ContainerUnpause", "ContainerUpdate", "remove", "set_limits", "start",
    "unpause",
]  # fmt: skip

REMOVAL_LIMIT = 20.0  # seconds in which somebody else who removes the same thing must be done


class ContainerStart(Operation):
    """Start a container that was killed or stopped."""

    op: Literal["container-start"] = "container-start"
    container: str


class ContainerUnpause(Operation):
    """Thaw a frozen container."""

    op: Literal["container-unpause"] = "container-unpause"
    container: str


class ContainerRemove(Operation):
    """Remove a container, running or not, with its anonymous volumes."""

    op: Literal["container-remove"] = "container-remove"
    container: str


class ContainerUpdate(Operation):
    """Set a container's limits to what they were.

    Attributes:
        limits: the engine's own names (`Memory`, `MemorySwap`, `CpuQuota`, `CpuPeriod`, `NanoCpus`, `PidsLimit`, …).
    """

    op: Literal["container-update"] = "container-update"
    container: str
    limits: dict[str, int]


def start(container: "Container") -> str:
    """Start it, if it has ended."""
    return _bring_to(container, "running", "exited", container.start, "started")


def unpause(container: "Container") -> str:
    """Thaw it, if it is frozen."""
    return _bring_to(container, "running", "paused", container.unpause, "unpaused")


def set_limits(undo: ContainerUpdate, container: "Container", client: "DockerClient") -> str:
    """Give it the limits that it had."""
    api: Any = client.api  # the SDK's own update knows only some of the limits
    api._raise_for_status(  # noqa: SLF001
        api._post_json(api._url("/containers/{0}/update", container.id), data=undo.limits)  # noqa: SLF001
    )
    return f"limits of {container.name} as before"


def _bring_to(container: "Container", wanted: str, needed: str, act: Callable[[], object], done: str) -> str:
    """Act on a container unless it is as wanted; when somebody else was quicker, that is as good."""
    from docker.errors import APIError  # noqa: PLC0415 - see engine.find_engine

    if container.status == wanted or (needed == "paused" and container.status != needed):
        return f"container {container.name} is {container.status}"
    try:
        act()
    except APIError:
        container.reload()
        if container.status != wanted:
            raise
    return f"container {container.name} {done}"


def remove(container: "Container") -> str:
    """Remove it, or wait for whoever is at it already: when this returns it is gone.

    A frozen one is thawed first: an old engine that is busy can wait for ever for the end of what cannot run.
    """
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

    if container.status == "paused":
        with contextlib.suppress(APIError):  # somebody was quicker, or it is gone
            container.unpause()
    until = time.monotonic() + REMOVAL_LIMIT
    while True:
        try:
            container.remove(force=True, v=True)
        except NotFound:
            break
        except APIError as error:
            if "already in progress" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            break
    return f"container {container.name} removed"
