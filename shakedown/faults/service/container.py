"""A container as a whole service."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shakedown.errors import FaultError
from shakedown.faults.base import FaultContext
from shakedown.faults.service.crash import Crasher
from shakedown.faults.service.host import began, process_of
from shakedown.faults.service.target import PATIENCE, Call, State, Target, wait_for
from shakedown.guard.undo import ContainerStart, ContainerUnpause, Undo, carry_out

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["ContainerTarget"]

FREEZE_ATTEMPTS = 10
CALL_LIMIT = 12.0  # seconds that the engine may take beyond what it was asked to wait
REMOTE_LOOK = 0.02
_LIMITS = (
    "Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod", "CpuShares", "PidsLimit", "BlkioWeight", "CpusetCpus",
    "Ulimits",
)  # fmt: skip


class ContainerTarget(Target):
    """A container of the run; looked up by its id, so that another one of the same name is never taken for it."""

    engine = "Docker"
    down_layers = ("journal", "watchdog")
    pause_layers = ("journal", "watchdog")

    def __init__(self, context: FaultContext, name: str) -> None:
        super().__init__(context, name)
        self._made_of: dict[str, object] = {}
        self._call: Call | None = None
        self._crasher: Crasher | None = None

    @property
    def container(self) -> "Container":
        """As it is now."""
        return self.context.container(self.name)

    @property
    def restart_policy(self) -> str:
        """The engine's."""
        return str(self.container.attrs["HostConfig"]["RestartPolicy"]["Name"] or "no")

    # ------------------------------------------------------------------------------------------------- looking at it
    def require(self) -> None:
        """It runs; what it is made of is noted."""
        self._made_of = _made_of(self.context.running(self.name).attrs)

    def look(self) -> State:
        """As the engine says."""
        state = self.container.attrs["State"]
        life, status = str(state["StartedAt"]), str(state["Status"])
        if status in ("running", "paused"):
            return State(status, life, f"container {status} since {life[11:23]} UTC")  # type: ignore[arg-type]
        if status == "restarting":
            return State("restarting", life, f"container restarting after exit code {state['ExitCode']}")
        return State("down", life, f"container {status} with exit code {state['ExitCode']}")

    def outage(self) -> float | None:
        """By the engine's own clock: from the end of the last life to the begin of this one."""
        state = self.container.attrs["State"]
        ended, begun = _time(state["FinishedAt"]), _time(state["StartedAt"])
        return begun - ended if ended is not None and begun is not None and begun >= ended else None

    def changes(self) -> list[str]:
        """Image, environment, command, limits, network names and ports, compared one by one."""
        now = _made_of(self.container.attrs)
        return [
            f"{key} is another one" if key == "environment" else f"{key} was {value}, is {now.get(key)}"
            for key, value in self._made_of.items()
            if now.get(key) != value
        ]

    # ------------------------------------------------------------------------------------------------ what is done to it
    def kill(self, signal: str, *, crash: bool = False) -> bool:
        """Through the engine, or behind its back."""
        container = self.context.running(self.name)
        ended = self._watch(container)
        if crash:
            if self._crasher is None:
                raise FaultError("nothing was made ready to kill it behind the engine's back")
            self._call = Call("the kill", lambda: self._crash(container, signal))
        else:
            self._call = Call("docker kill", lambda: container.kill(signal=signal))
        over = wait_for(ended, PATIENCE, self._call)
        self._call.check()
        return over

    def _crash(self, container: "Container", signal: str) -> None:
        if self._crasher is not None:
            self._crasher.kill(container, signal)

    def stop(self, grace: float) -> None:
        """The engine's own stop."""
        container = self.context.running(self.name)
        ended = self._watch(container)
        self._call = Call("docker stop", lambda: container.stop(timeout=round(grace)))
        if not wait_for(ended, grace + CALL_LIMIT, self._call):
            raise FaultError(f"`{self.name}` did not stop within {grace + CALL_LIMIT:g} s")

    def start(self) -> None:
        """The engine's own start; after whatever is still going on, or that would win."""
        self.settle()
        try:
            container = self.container
        except FaultError:  # gone: there is nothing to start, and the proof of absence says so
            return
        if container.status == "restarting":  # the engine waits longer before each restart: up to a minute
            container.stop(timeout=0)
        carry_out(self.undo_down(), self.context.client)

    def settle(self) -> None:
        """Wait until the engine has done what it was asked for: a port is given back a little after the process's end.

        Raises:
            FaultError: it does not end.
        """
        if self._call is not None and not self._call.join(CALL_LIMIT):
            raise FaultError(f"the engine is still busy with `{self.name}`")
        self._call = None

    def pause(self) -> None:
        """The engine's own pause."""
        from docker.errors import APIError  # noqa: PLC0415 - see engine.find_engine

        container = self.context.running(self.name)
        for attempt in range(FREEZE_ATTEMPTS):
            try:
                container.pause()
            except APIError as error:
                # A cgroup cannot be frozen at once while its processes change; runc gives up early.
                if "unable to freeze" not in str(error) or attempt == FREEZE_ATTEMPTS - 1:
                    raise
                time.sleep(0.1)
            else:
                return

    def resume(self) -> None:
        """Thaw it."""
        carry_out(self.undo_pause(), self.context.client)

    def undo_down(self) -> Undo:
        """A start; harmless when it runs."""
        return ContainerStart(container=str(self.context.system.handle(self.name).container))

    def undo_pause(self) -> Undo:
        """A thaw; harmless when it is not frozen."""
        return ContainerUnpause(container=str(self.context.system.handle(self.name).container))

    def prepare_crash(self) -> str:
        """See whether we can do it ourselves, or get a helper ready."""
        self._crasher = Crasher(self.context, self.name)
        return self._crasher.prepare(self.context.running(self.name))

    def close(self) -> None:
        """Remove the helper."""
        if self._crasher is not None:
            self._crasher.close()

    def _watch(self, container: "Container") -> "_Watch":
        return _Watch(self, container)


class _Watch:
    """Tells when a container's first process has ended: at once where it can be seen, else when the engine says so."""

    def __init__(self, target: ContainerTarget, container: "Container") -> None:
        self._target = target
        self._life = str(container.attrs["State"]["StartedAt"])
        self._pid = int(container.attrs["State"]["Pid"])
        self._seen = process_of(container) is not None
        self._began = began(self._pid) if self._seen else None

    def __call__(self) -> bool:
        if self._seen:
            return began(self._pid) != self._began
        time.sleep(REMOTE_LOOK)
        state = self._target.look()
        return state.status in ("down", "restarting") or state.life != self._life


def _time(text: str) -> float | None:
    """The engine's time as seconds since the epoch; it drops a fraction's trailing zeros."""
    if text.startswith("0001"):  # never
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _made_of(attrs: dict[str, Any]) -> dict[str, object]:
    host, config = attrs["HostConfig"], attrs["Config"]
    networks = attrs["NetworkSettings"]["Networks"]
    return {
        "image": attrs["Image"],
        "environment": sorted(config["Env"] or []),
        "command": [*(config["Entrypoint"] or []), *(config["Cmd"] or [])],
        "restart policy": host["RestartPolicy"]["Name"],
        "ports": host["PortBindings"],
        # The engine adds the container's id to the names by itself.
        "names": {key: sorted(set(value["Aliases"] or []) - {attrs["Id"][:12]}) for key, value in networks.items()},
        **{f"limit {key}": host.get(key) for key in _LIMITS},
    }
