"""One whole service, and the ways to take it down and bring it back: alike for a container and a program."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shakedown.errors import FaultError
from shakedown.faults.base import FaultContext, accepts
from shakedown.guard.undo import Undo
from shakedown.plan.services import Health
from shakedown.records.experiment import Proof

__all__ = ["PATIENCE", "Call", "State", "Target", "wait_for"]

PATIENCE = 5.0  # seconds that a service may take to end by a signal, before the fault goes on without
LOOK = 0.002


@dataclass(frozen=True, slots=True)
class State:
    """A service as it is now.

    Attributes:
        status: `partly`: its first process has ended, and others of it live.
        life: which of its lives it is: another one means that it was started anew.
        words: for the report.
    """

    status: Literal["running", "paused", "restarting", "partly", "down"]
    life: str
    words: str


class Target(ABC):
    """One service.

    Attributes:
        engine: what brings faults about here: `Docker`, or the signals of this machine.
        down_layers, pause_layers: what brings the service back when it is down, or frozen, and all else is dead.
    """

    engine: str
    down_layers: tuple[str, ...]
    pause_layers: tuple[str, ...]

    def __init__(self, context: FaultContext, name: str) -> None:
        self.context = context
        self.name = name

    # ------------------------------------------------------------------------------------------------- looking at it
    @abstractmethod
    def require(self) -> None:
        """It runs; what it is made of is noted, to compare with later.

        Raises:
            FaultRefusedError: it does not run.
        """

    @abstractmethod
    def look(self) -> State:
        """How it is.

        Raises:
            FaultError: it is gone.
        """

    @abstractmethod
    def changes(self) -> list[str]:
        """What is different from when `require` was called: image, environment, limits."""

    @property
    def restart_policy(self) -> str:
        """What brings it up again when it ends by itself; `no` for nothing."""
        return "no"

    def outage(self) -> float | None:
        """Seconds between the end of its latest life but one and the begin of the latest; None when nobody knows."""
        return None

    # ------------------------------------------------------------------------------------------------ what is done to it
    @abstractmethod
    def kill(self, signal: str, *, crash: bool = False) -> bool:
        """Send a signal that ends it; returns when it has ended, or after a while if it does not: whether it did."""

    @abstractmethod
    def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; returns when it has ended."""

    @abstractmethod
    def start(self) -> None:
        """Start it, unless it runs."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze every process of it."""

    @abstractmethod
    def resume(self) -> None:
        """Thaw it, if it is frozen."""

    @abstractmethod
    def undo_down(self) -> Undo:
        """What brings it back after it was ended."""

    @abstractmethod
    def undo_pause(self) -> Undo:
        """What brings it back after it was frozen."""

    def prepare_crash(self) -> str:
        """Get ready to kill it behind the engine's back; the way in words.

        Raises:
            FaultRefusedError: there is no way.
        """
        return "signal to the whole tree"

    def close(self) -> None:
        """Let go of what was made ready."""
        return

    # -------------------------------------------------------------------------------------------------------- proofs
    def unanswered(self, *, ports_only: bool = False) -> Proof:
        """Nobody answers for it: its ports refuse, or, where it has none, its health gives no answer."""
        runner = self.context.system.runner(self.name)
        addresses = runner.handle.addresses if runner is not None else {}  # its own, not those of a proxy before it
        for name, address in addresses.items():
            if accepts(address.host, address.port):
                return Proof(held=False, evidence=f"somebody still answers at port {name}")
        if addresses:
            return Proof(held=True, evidence=f"nobody answers at {_ports(len(addresses))}")
        if ports_only:
            return Proof(held=True, evidence="it has no ports to look at")
        if self.health() is None:
            return Proof(held=True, evidence="it has neither ports nor health to look at")
        look = self.context.system.check_health(self.name)
        return Proof(held=not look.healthy, evidence=f"its health says: {look.detail}")

    def health(self) -> Health | None:
        """How its health is seen."""
        return self.context.system.health_of(self.name)

    def down(self) -> Proof:
        """It does not run, and nobody answers for it."""
        state = self.look()
        if state.status != "down":
            return Proof(held=False, evidence=f"it still runs: {state.words}")
        silence = self.unanswered()
        return Proof(held=silence.held, evidence=f"{state.words}; {silence.evidence}")

    def restored(self) -> Proof:
        """It runs, made of what it was made of before."""
        state = self.look()
        if state.status != "running":
            return Proof(held=False, evidence=f"it does not run: {state.words}")
        changes = self.changes()
        if changes:
            return Proof(held=False, evidence=f"not as before: {'; '.join(changes)}")
        return Proof(held=True, evidence=f"{state.words}; made of what it was made of before")

    def await_health(self, given_up: threading.Event) -> bool:
        """Wait until it is healthy; whether it was, within what its health allows."""
        health = self.health()
        until = time.monotonic() + (health.within if health else PATIENCE)
        while not given_up.is_set():
            if self.context.system.check_health(self.name).healthy and self.look().status == "running":
                return True
            if time.monotonic() > until:
                return False
            given_up.wait(health.interval if health else 0.05)
        return False


def wait_for(ended: Callable[[], bool], within: float, call: "Call | None" = None, look: float = LOOK) -> bool:
    """Look until something has ended; whether it has.

    Args:
        within: seconds, at most.
        call: what is to end it; when that fails, so does this.
    """
    until = time.monotonic() + within
    while not ended():
        if call is not None:
            call.check()
        if time.monotonic() > until:
            return False
        time.sleep(look)
    return True


class Call:
    """A call that takes longer than what it brings about: made in a thread of its own."""

    def __init__(self, what: str, act: Callable[[], object]) -> None:
        self._what = what
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(act,), name=f"call-{what}", daemon=True)
        self._thread.start()

    def _run(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - told by `check`, to whoever asks
            self._error = error

    def check(self) -> None:
        """Tell of its failure.

        Raises:
            FaultError: it failed.
        """
        if self._error is not None:
            raise FaultError(f"{self._what} failed: {getattr(self._error, 'explanation', None) or self._error}")

    @property
    def done(self) -> bool:
        """Whether it has returned."""
        return not self._thread.is_alive()

    def join(self, within: float) -> bool:
        """Wait for its end; whether it came."""
        self._thread.join(within)
        return self.done


def _ports(count: int) -> str:
    return "its port" if count == 1 else f"its {count} ports"
