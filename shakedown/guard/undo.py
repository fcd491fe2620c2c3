"""The operations that take something back.

Each is data alone, so that it can be written down before the thing is done and carried out by another process later.
Each may run twice, by two processes at once, or after its target has gone. None touches what does not carry our label
or our mark.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field

from shakedown.errors import GuardError
from shakedown.guard.labels import RUN

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = [
    "PROCESS_MARK",
    "CommandRun",
    "ContainerExec",
    "ContainerRemove",
    "ContainerStart",
    "ContainerUnpause",
    "ContainerUpdate",
    "NetworkRemove",
    "ProcessContinue",
    "ProcessKill",
    "RulesRemove",
    "Undo",
    "VolumeRemove",
    "carry_out",
]

PROCESS_MARK = "SHAKEDOWN_PROCESS"  # variable of the environment of each process that we start, and of its children
PROCESS_GRACE = 3.0
REMOVAL_LIMIT = 20.0
SETTLES_WITHIN = 2.0  # the engine takes note that a container ended
SAME_PROCESS = 0.5  # seconds between two readings of when a process began


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
    """End a process, all its children, and whatever else carries its mark: orphans whose parent has gone.

    Attributes:
        pid: its number; 0 while it is not known yet, which leaves the mark.
        created: its creation time, which guards against a reused number.
        mark: the value of `PROCESS_MARK` in its environment; unique to it.
        grace: seconds between being asked to end and being made to.
    """

    op: Literal["process-kill"] = "process-kill"
    pid: int = 0
    created: float = 0.0
    mark: str = ""
    grace: float = PROCESS_GRACE


class ProcessContinue(_Undo):
    """Let a stopped process (SIGSTOP) and all its children go on.

    Attributes:
        created: its creation time, which guards against a reused number.
    """

    op: Literal["process-continue"] = "process-continue"
    pid: int
    created: float


class ContainerExec(_Undo):
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
    environment: dict[str, str] = {}
    workdir: str = ""
    lasting: bool = False
    start: bool = False
    tool: str = ""


class ContainerUpdate(_Undo):
    """Set a container's limits to what they were.

    Attributes:
        limits: the engine's own names (`Memory`, `MemorySwap`, `CpuQuota`, `CpuPeriod`, `NanoCpus`, `PidsLimit`, …).
    """

    op: Literal["container-update"] = "container-update"
    container: str
    limits: dict[str, int]


class CommandRun(_Undo):
    """Run a program of the user's on this machine.

    Attributes:
        command: must end with exit code 0, also when it runs a second time.
        environment: in addition to that of whoever runs it; no secrets, as the journal is a file.
    """

    op: Literal["command-run"] = "command-run"
    command: list[str]
    cwd: str
    environment: dict[str, str] = {}
    timeout: float = 30.0


class RulesRemove(_Undo):
    """Delete the packet rules that carry a tag, inside a container's network namespace.

    Attributes:
        others: more containers, with the same tag.
        qdisc: the handle of a queueing discipline of ours (`5d17:`) at the root of interfaces; one with another handle
            is somebody else's.
    """

    op: Literal["rules-remove"] = "rules-remove"
    container: str
    tag: str
    image: str
    others: list[str] = []
    qdisc: str = ""


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

# Lists every rule whose comment is the tag and deletes it by its own text: nothing else is touched, nothing is flushed.
# Then the discipline with our handle, if there is one: `del` with a handle fails where the root has another.
# Ends with 1 when one is left, and with 3 when no table could be looked at.
_REMOVE_RULES = r"""
tag="$1"; handle="$2"; left=0; looked=0
ours() { "$1-save" -t "$2" 2>/dev/null | grep '^-A' | sed 's/$/ /' |
         grep -F -e " --comment $tag " -e " --comment \"$tag\" "; }
for family in iptables ip6tables; do for flavour in legacy nft; do
  tool="$family-$flavour"
  for table in raw mangle nat filter; do
    "$tool-save" -t "$table" >/dev/null 2>&1 || continue
    looked=1
    ours "$tool" "$table" | sed 's/^-A/-D/' |
      while IFS= read -r rule; do printf '%s\n' "$rule" | xargs "$tool" -w -t "$table" 2>/dev/null; done
    ours "$tool" "$table" >/dev/null && left=1
  done
done; done
if [ -n "$handle" ]; then
  for device in $(ip -o link show | sed 's/^[0-9]*: *\([^:@]*\).*/\1/'); do
    root() { tc qdisc show dev "$device" 2>/dev/null | grep -q "^qdisc [a-z]* $handle root"; }
    root && tc qdisc del dev "$device" root handle "$handle" 2>/dev/null
    root && left=1
  done
fi
[ "$looked" = 1 ] || exit 3
exit "$left"
"""
_NOT_LOOKED = (3, 126, 127)
_NO_SUCH_PROGRAM = (126, 127)


def carry_out(undo: Undo, client: "DockerClient | None") -> str:
    """Take something back, and say what was done.

    Raises:
        GuardError: it could not be done, and the target is still there.
    """
    if isinstance(undo, ProcessKill):
        return _kill(undo)
    if isinstance(undo, ProcessContinue):
        return _continue(undo)
    if isinstance(undo, CommandRun):
        return _run(undo)
    if client is None:
        raise GuardError(f"{undo.op} needs a Docker engine, and none answers")
    if isinstance(undo, RulesRemove) and undo.others:
        return _remove_rules_of_all(undo, client)
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

    try:
        if isinstance(undo, NetworkRemove):
            return _remove_network(undo.network, client)
        if isinstance(undo, VolumeRemove):
            volume = client.volumes.get(undo.volume)
            if RUN not in (volume.attrs.get("Labels") or {}):
                return f"volume {undo.volume} is not ours"
            volume.remove(force=True)
            return f"volume {undo.volume} removed"
        return _on_container(undo, client.containers.get(undo.container), client)
    except NotFound:
        return f"{undo.op}: the target is gone"
    except APIError as error:
        raise GuardError(f"{undo.op} failed: {error.explanation or error}") from error


def _on_container(undo: Undo, container: "Container", client: "DockerClient") -> str:
    if RUN not in container.labels:
        return f"container {container.name} is not ours"
    if isinstance(undo, ContainerRemove):
        return _remove_container(container)
    if isinstance(undo, ContainerUnpause):
        return _bring_to(container, "running", "paused", container.unpause, "unpaused")
    if isinstance(undo, ContainerStart):
        return _bring_to(container, "running", "exited", container.start, "started")
    if isinstance(undo, RulesRemove):
        return _remove_rules(undo, container, client)
    if isinstance(undo, ContainerExec):
        return _exec(undo, container)
    if isinstance(undo, ContainerUpdate):
        api: Any = client.api  # the SDK's own update knows only some of the limits
        api._raise_for_status(  # noqa: SLF001
            api._post_json(api._url("/containers/{0}/update", container.id), data=undo.limits)  # noqa: SLF001
        )
        return f"limits of {container.name} as before"
    raise GuardError(f"{undo.op} does not act on a container")


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


def _remove_container(container: "Container") -> str:
    """Remove it, or wait for whoever is at it already: when this returns it is gone."""
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

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


def _remove_rules(undo: RulesRemove, container: "Container", client: "DockerClient") -> str:
    if container.status not in ("running", "paused"):
        return f"container {container.name} has no network namespace: its rules are gone with it"
    from docker.errors import APIError, ContainerError, ImageNotFound  # noqa: PLC0415 - see engine.find_engine

    try:
        client.images.get(undo.image)  # or `run` would go looking for it in a registry
        client.containers.run(
            undo.image,
            entrypoint=["sh", "-c", _REMOVE_RULES, "rules"],
            command=[undo.tag, undo.qdisc],
            network_mode=f"container:{container.id}",
            cap_add=["NET_ADMIN", "NET_RAW"],
            labels={key: value for key, value in container.labels.items() if key.startswith("shakedown.")},
            remove=True,
        )
    except ImageNotFound as error:
        raise GuardError(f"rules in {container.name}: the image {undo.image} that would remove them is gone") from error
    except ContainerError as error:
        if error.exit_status in _NOT_LOOKED:
            raise GuardError(f"rules in {container.name} could not be looked at with {undo.image}") from error
        raise GuardError(f"rules tagged {undo.tag} are still in {container.name}: {error}") from error
    except APIError:
        container.reload()
        if container.status not in ("running", "paused"):
            return f"container {container.name} ended: its rules are gone with it"
        raise
    return f"rules tagged {undo.tag} removed from {container.name}"


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


def _remove_network(name: str, client: "DockerClient") -> str:
    """Remove a network, also while the containers on it are being removed by somebody else."""
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

    until = time.monotonic() + REMOVAL_LIMIT
    while True:
        network = client.networks.get(name)
        if RUN not in (network.attrs.get("Labels") or {}):
            return f"network {name} is not ours"
        try:
            for container in network.attrs.get("Containers") or {}:
                network.disconnect(container, force=True)
            network.remove()
        except NotFound:  # the network, or a container on it
            if time.monotonic() > until:
                raise
        except APIError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return f"network {name} removed"


def _exec(undo: ContainerExec, container: "Container", attempts: int = 3) -> str:
    from docker.errors import APIError  # noqa: PLC0415 - see engine.find_engine

    if container.status == "paused":
        container.unpause()
    elif container.status != "running":
        if undo.lasting:
            raise GuardError(f"container {container.name} is {container.status}: the undo waits until it runs again")
        if undo.start:
            return _bring_to(container, "running", "exited", container.start, "started")
        return f"container {container.name} is {container.status}: nothing in it runs"
    if undo.started and str(container.attrs["State"]["StartedAt"]) != undo.started:
        return f"container {container.name} was started anew: there is nothing left to undo"
    try:
        code, output = container.exec_run(
            undo.command, user=undo.user, environment=undo.environment, workdir=undo.workdir or None, stream=False
        )
    except OSError as error:  # the engine's client gave up waiting
        raise GuardError(f"in {container.name}: `{_words(undo.command)}` does not end: {error}") from error
    except APIError as error:
        code, output = 126, str(error.explanation).encode()
    if not code:
        return f"undone in {container.name}"
    if attempts > 1 and _moved_on(container):
        return _exec(undo, container, attempts - 1)
    said = (output if isinstance(output, bytes) else b"".join(output)).decode(errors="replace").strip()[-300:]
    if undo.tool and code in _NO_SUCH_PROGRAM and re.search(r"no such file|not found", said, re.IGNORECASE):
        return f"undone in {container.name} before"
    raise GuardError(f"in {container.name}: `{_words(undo.command)}` ended with {code}: {said}")


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


def _run(undo: CommandRun) -> str:
    words = _words(undo.command)
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


def _words(command: list[str]) -> str:
    """A command as it is shown; a script's first line stands for all of it."""
    return " ".join(part.strip().partition("\n")[0][:80] for part in command)


def _continue(undo: ProcessContinue) -> str:
    try:
        process = psutil.Process(undo.pid)
        if abs(process.create_time() - undo.created) > SAME_PROCESS:
            return f"process {undo.pid} is another one by now"
        for member in (process, *process.children(recursive=True)):
            _quietly(member.resume)
    except psutil.NoSuchProcess:
        return f"process {undo.pid} is gone"
    return f"process {undo.pid} goes on"


def _kill(undo: ProcessKill) -> str:
    family, word = _family(undo)
    if family:
        for member in family:
            _quietly(member.terminate)
        _, alive = psutil.wait_procs(family, timeout=undo.grace)
        for member in alive:
            _quietly(member.kill)
        _, alive = psutil.wait_procs(alive, timeout=PROCESS_GRACE)
        if alive:
            raise GuardError(f"process {undo.pid or ''} does not end: {[member.pid for member in alive]} still run")
    return word


def _family(undo: ProcessKill) -> tuple[list[psutil.Process], str]:
    """What is to be ended, and the words for it."""
    family: list[psutil.Process] = []
    name = f"process {undo.pid}" if undo.pid else "the process"
    word = f"{name} is gone"
    try:
        process = psutil.Process(undo.pid) if undo.pid else None
        if process is not None and abs(process.create_time() - undo.created) > SAME_PROCESS:
            word, process = f"{name} is another one by now", None
        if process is not None:
            family = [*process.children(recursive=True), process]
            word = f"{name} ended with {len(family) - 1} children"
    except psutil.NoSuchProcess:
        pass
    orphans = [member for member in _marked(undo.mark) if member not in family] if undo.mark else []
    if orphans:
        word += f", {len(orphans)} left behind ended"
    return [*family, *orphans], word


def _marked(mark: str) -> list[psutil.Process]:
    """Every process whose environment carries the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(PROCESS_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):  # not ours to read, so not ours
            continue
    return found


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return
