"""Which operations there are, and how each is carried out."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from shakedown.errors import GuardError
from shakedown.guard.labels import COMPOSE_PROJECT, RUN
from shakedown.guard.undo.commands import CommandRun, run_here
from shakedown.guard.undo.containers import (
    ContainerRemove,
    ContainerStart,
    ContainerUnpause,
    ContainerUpdate,
    remove,
    set_limits,
    start,
    unpause,
)
from shakedown.guard.undo.inside import ContainerExec, run_inside
from shakedown.guard.undo.networks import NetworkRemove, VolumeRemove, remove_network, remove_volume
from shakedown.guard.undo.processes import ProcessContinue, ProcessKill, end, let_go_on
from shakedown.guard.undo.rules import RulesRemove, remove_rules

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["Undo", "carry_out"]

Undo = Annotated[
    ContainerStart
    | ContainerUnpause
    | ContainerRemove
    | ContainerExec
    | ContainerUpdate
    | NetworkRemove
    | VolumeRemove
    | ProcessKill
    | ProcessContinue
    | CommandRun
    | RulesRemove,
    Field(discriminator="op"),
]


def carry_out(undo: Undo, client: "DockerClient | None") -> str:
    """Take something back, and say what was done.

    Raises:
        GuardError: it could not be done, and the target is still there.
    """
    if isinstance(undo, ProcessKill):
        return end(undo)
    if isinstance(undo, ProcessContinue):
        return let_go_on(undo)
    if isinstance(undo, CommandRun):
        return run_here(undo)
    if client is None:
        raise GuardError(f"{undo.op} needs a Docker engine, and none answers")
    if isinstance(undo, RulesRemove) and undo.others:
        return _remove_rules_of_all(undo, client)
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

    try:
        if isinstance(undo, NetworkRemove):
            return remove_network(undo.network, client)
        if isinstance(undo, VolumeRemove):
            return remove_volume(undo.volume, client)
        return _on_container(undo, client.containers.get(undo.container), client)
    except NotFound:
        return f"{undo.op}: the target is gone"
    except APIError as error:
        raise GuardError(f"{undo.op} failed: {error.explanation or error}") from error


def _lent(undo: Undo, container: "Container") -> bool:
    """A container of a user's Compose project that a run was attached to: faults on it are taken back, it is not removed.

    Such an undo names it by its whole id, which no other container ever gets.
    """
    named = getattr(undo, "container", "")
    return not isinstance(undo, ContainerRemove) and COMPOSE_PROJECT in container.labels and named == container.id


def _on_container(undo: Undo, container: "Container", client: "DockerClient") -> str:
    if RUN not in container.labels and not _lent(undo, container):
        return f"container {container.name} is not ours"
    if isinstance(undo, ContainerRemove):
        return remove(container)
    if isinstance(undo, ContainerUnpause):
        return unpause(container)
    if isinstance(undo, ContainerStart):
        return start(container)
    if isinstance(undo, RulesRemove):
        return remove_rules(undo, container, client)
    if isinstance(undo, ContainerExec):
        return run_inside(undo, container)
    if isinstance(undo, ContainerUpdate):
        return set_limits(undo, container, client)
    raise GuardError(f"{undo.op} does not act on a container")


def _remove_rules_of_all(undo: RulesRemove, client: "DockerClient") -> str:
    """Every container is tried, whatever becomes of the others."""
    done: list[str] = []
    failed: list[GuardError] = []
    for container in (undo.container, *undo.others):
        try:
            done.append(carry_out(undo.model_copy(update={"container": container, "others": []}), client))
        except GuardError as error:
            failed.append(error)
    if failed:
        raise GuardError("; ".join(error.message for error in failed)) from failed[0]
    return "; ".join(done)
