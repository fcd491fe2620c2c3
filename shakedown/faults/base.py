"""What every fault is, and what it is given."""

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shakedown.clock import RunClock
from shakedown.errors import FaultError, FaultRefusedError
from shakedown.guard.journal import Journal
from shakedown.guard.undo import Undo
from shakedown.records.experiment import Proof
from shakedown.services import System

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["Fault", "FaultContext", "accepts"]


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a fault works with.

    Attributes:
        stop: set when everything is to end.
    """

    system: System
    journal: Journal
    clock: RunClock
    stop: threading.Event

    @property
    def client(self) -> "DockerClient":
        """The engine.

        Raises:
            FaultRefusedError: the run has no containers.
        """
        if self.system.client is None:
            raise FaultRefusedError("this run has no containers: nothing that a fault could act on")
        return self.system.client

    def container(self, service: str) -> "Container":
        """A service's container, as it is now.

        Raises:
            FaultRefusedError: the service has none.
            FaultError: it is gone.
        """
        from docker.errors import NotFound  # noqa: PLC0415 - see guard.engine

        identity = self.system.handle(service).container
        if identity is None:
            raise FaultRefusedError(f"`{service}` is no container of this run")
        try:
            return self.client.containers.get(identity)
        except NotFound:
            raise FaultError(f"the container of `{service}` is gone") from None

    def running(self, service: str) -> "Container":
        """A service's container, which must run.

        Raises:
            FaultRefusedError: it does not run.
        """
        container = self.container(service)
        if container.status != "running":
            raise FaultRefusedError(f"`{service}` is {container.status}, not running: there is nothing to disturb")
        return container


class Fault(Protocol):
    """One fault on one target. Every step may raise FaultError; `revert` may be called twice, and after anything."""

    mechanism: str
    layers: tuple[str, ...]

    @property
    def parameters(self) -> str:
        """For the report: `100 ms on ports 6379`."""

    def check(self) -> None:
        """Look whether the fault can work here, and get everything ready; nothing is disturbed yet.

        Raises:
            FaultRefusedError: it cannot.
        """

    def undo(self) -> Undo:
        """What takes the fault back, for the journal."""

    def inject(self, deadline: float) -> None:
        """Bring it about; nobody may let it last beyond `deadline` (seconds since the epoch)."""

    def effect(self) -> Proof:
        """Look whether it took effect."""

    def revert(self) -> None:
        """Take it back."""

    def gone(self) -> Proof:
        """Look whether it is gone."""

    def close(self) -> None:
        """Let go of what it needed (an agent): called once, after all measuring."""


def accepts(host: str, port: int, within: float = 0.5) -> bool:
    """Whether somebody answers at a port: a connection is made, and not closed at once by a forwarder in between."""
    try:
        with socket.create_connection((host, port), timeout=within) as connection:
            connection.settimeout(0.05)
            try:
                return connection.recv(1) != b""
            except TimeoutError:
                return True
    except OSError:
        return False
