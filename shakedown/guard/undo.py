"""The operations that take something back.

Each is data alone, so that it can be written down before the thing is done and carried out by another process later.
Each may run twice, by two processes at once, or after its target has gone.
"""

import time
from typing import TYPE_CHECKING, Annotated, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field

from shakedown.errors import GuardError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = [
    "ContainerRemove",
    "ContainerStart",
    "ContainerUnpause",
    "NetworkRemove",
    "ProcessKill",
    "RulesRemove",
    "Undo",
    "VolumeRemove",
    "carry_out",
]

PROCESS_GRACE = 3.0


class _Undo(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContainerStart(_Undo):
    """Start a container that was killed or stopped."""

    op: Literal["container-start"] = "container-start"
    container: str


class ContainerUnpause(_Undo):
    """Thaw a frozen container."""

    op: Literal["container-unpause"] = "container-unpause"
    container: str


class ContainerRemove(_Undo):
    """Remove a container, running or not, with its anonymous volumes."""

    op: Literal["container-remove"] = "container-remove"
    container: str


class NetworkRemove(_Undo):
    """Remove a network of ours."""

    op: Literal["network-remove"] = "network-remove"
    network: str


class VolumeRemove(_Undo):
    """Remove a named volume of ours."""

    op: Literal["volume-remove"] = "volume-remove"
    volume: str


class ProcessKill(_Undo):
    """End a process and all its children; its creation time guards against a reused number."""

    op: Literal["process-kill"] = "process-kill"
    pid: int
    created: float


class RulesRemove(_Undo):
    """Delete the packet rules that carry a tag, inside a container's network namespace."""

    op: Literal["rules-remove"] = "rules-remove"
    container: str
    tag: str
    image: str


Undo = Annotated[
    ContainerStart | ContainerUnpause | ContainerRemove | NetworkRemove | VolumeRemove | ProcessKill | RulesRemove,
    Field(discriminator="op"),
]

# Lists every rule that carries the tag and deletes it by its own text: nothing else is touched, nothing is flushed.
_REMOVE_RULES = r"""
set -u; tag="$1"; left=0
for family in iptables ip6tables; do for flavour in legacy nft; do
  tool="$family-$flavour"; command -v "$tool" >/dev/null 2>&1 || continue
  for table in raw mangle nat filter; do
    "$tool-save" -t "$table" 2>/dev/null | grep -F -- "$tag" | grep '^-A' | sed 's/^-A/-D/' |
      while IFS= read -r rule; do eval "$tool -w -t $table $rule" 2>/dev/null; done
    "$tool-save" -t "$table" 2>/dev/null | grep -qF -- "$tag" && left=1
  done
done; done
exit $left
"""


def carry_out(undo: Undo, client: "DockerClient | None") -> str:
    """Take something back, and say what was done.

    Raises:
        GuardError: it could not be done, and the target is still there.
    """
    if isinstance(undo, ProcessKill):
        return _kill(undo)
    if client is None:
        raise GuardError(f"{undo.op} needs a Docker engine, and none answers")
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

    try:
        if isinstance(undo, NetworkRemove):
            return _remove_network(undo.network, client)
        if isinstance(undo, VolumeRemove):
            client.volumes.get(undo.volume).remove(force=True)
            return f"volume {undo.volume} removed"
        return _on_container(undo, client.containers.get(undo.container), client)
    except NotFound:
        return f"{undo.op}: the target is gone"
    except APIError as error:
        if "is already in progress" in str(error) or "No such container" in str(error):
            return f"{undo.op}: somebody else is at it"
        raise GuardError(f"{undo.op} failed: {error.explanation or error}") from error


def _on_container(undo: Undo, container: "Container", client: "DockerClient") -> str:
    if isinstance(undo, ContainerRemove):
        container.remove(force=True, v=True)
        return f"container {container.name} removed"
    if isinstance(undo, ContainerUnpause):
        if container.status != "paused":
            return f"container {container.name} is not paused"
        container.unpause()
        return f"container {container.name} unpaused"
    if isinstance(undo, ContainerStart):
        if container.status == "running":
            return f"container {container.name} runs"
        container.start()
        return f"container {container.name} started"
    if isinstance(undo, RulesRemove):
        return _remove_rules(undo, container, client)
    raise GuardError(f"{undo.op} does not act on a container")


def _remove_rules(undo: RulesRemove, container: "Container", client: "DockerClient") -> str:
    if container.status not in ("running", "paused"):
        return f"container {container.name} has no network namespace: its rules are gone with it"
    from docker.errors import ContainerError  # noqa: PLC0415

    try:
        client.containers.run(
            undo.image,
            entrypoint=["sh", "-c", _REMOVE_RULES, "rules"],
            command=[undo.tag],
            network_mode=f"container:{container.id}",
            cap_add=["NET_ADMIN", "NET_RAW"],
            labels={key: value for key, value in container.labels.items() if key.startswith("shakedown.")},
            remove=True,
        )
    except ContainerError as error:
        raise GuardError(f"rules tagged {undo.tag} are still in {container.name}: {error}") from error
    return f"rules tagged {undo.tag} removed from {container.name}"


def _remove_network(name: str, client: "DockerClient") -> str:
    network = client.networks.get(name)
    for container in network.containers:
        network.disconnect(container, force=True)
    network.remove()
    return f"network {name} removed"


def _kill(undo: ProcessKill) -> str:
    try:
        process = psutil.Process(undo.pid)
        if abs(process.create_time() - undo.created) > 0.5:
            return f"process {undo.pid} is another one by now"
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return f"process {undo.pid} is gone"
    for member in family:
        _quietly(member.terminate)
    _, alive = psutil.wait_procs(family, timeout=PROCESS_GRACE)
    for member in alive:
        _quietly(member.kill)
    _, alive = psutil.wait_procs(alive, timeout=PROCESS_GRACE)
    if alive:
        raise GuardError(f"process {undo.pid} does not end: {[member.pid for member in alive]} still run")
    return f"process {undo.pid} ended with {len(family) - 1} children"


def _quietly(action: object) -> None:
    try:
        action()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return


def retry(undo: Undo, client: "DockerClient | None", *, attempts: int, wait: float) -> str:
    """`carry_out`, tried again when it fails.

    Raises:
        GuardError: the last attempt failed as well.
    """
    for attempt in range(attempts):
        try:
            return carry_out(undo, client)
        except (GuardError, OSError):
            if attempt == attempts - 1:
                raise
            time.sleep(wait)
    raise AssertionError("at least one attempt")
