"""What every fault is, and what it is given."""

import random
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from shakedown.clock import RunClock
from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.agents import Agents
from shakedown.guard.journal import Journal
from shakedown.guard.undo import Undo
from shakedown.plan.faults import FaultModel
from shakedown.records.experiment import Proof
from shakedown.services import System

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["Fault", "FaultContext", "accepts"]

P = TypeVar("P", bound=FaultModel)


@dataclass(slots=True)
class FaultContext:
    """What a fault works with.

    Attributes:
        stop: set when everything is to end.
        agents: the agents of the run, one beside each target that needs one.
        seed: of what a fault does at random.
        halt: set when the experiment is to end early.
        redact: takes the plan's secrets out of what is kept and shown of a fault.
    """

    system: System
    journal: Journal
    clock: RunClock
    stop: threading.Event
    agents: Agents
    seed: int = 0
    halt: threading.Event = field(default_factory=threading.Event)
    redact: Callable[[str], str] = str

    @property
    def ending(self) -> bool:
        """Whether a fault under way is to be reverted now."""
        return self.stop.is_set() or self.halt.is_set()

    def random(self, salt: object) -> random.Random:
        """Randomness that the run's seed decides, apart for each `salt`."""
        return random.Random(f"{self.seed}:{salt}")  # noqa: S311 - a schedule, no secret

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


class Fault(ABC, Generic[P]):
    """One fault. Every step may raise FaultError; `revert` may be called twice, and after anything.

    Attributes:
        mechanism: how it is brought about. On the class: the ways there are; on an instance, from `check` on: the one
            that is used here.
        proof: by what its effect is proved, for the catalogue.
        reversal: how it is taken back, for the catalogue.
        needs: what the machine must have.
        layers: what guards it: each of them takes the fault back if all others are dead.
    """

    mechanism: str
    proof: ClassVar[str]
    reversal: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    layers: tuple[str, ...] = ("journal", "watchdog")

    def __init__(self, plan: P, context: FaultContext) -> None:
        self.plan = plan
        self.context = context

    @property
    def parameters(self) -> str:
        """For the report: `100 ms on ports 6379`."""
        return ""

    @abstractmethod
    def check(self) -> None:
        """Look whether the fault can work here, and get everything ready; nothing is disturbed yet.

        Raises:
            FaultRefusedError: it cannot.
        """

    @abstractmethod
    def undo(self) -> Undo:
        """What takes the fault back, for the journal; complete before `inject` is called."""

    @abstractmethod
    def inject(self, deadline: float) -> None:
        """Bring it about; nobody may let it last beyond `deadline` (seconds since the epoch)."""

    @abstractmethod
    def effect(self) -> Proof:
        """Look whether it took effect."""

    def still(self) -> Proof | None:
        """Look when the hold is nearly over: whether it lasted; None where the first look, or the revert, says all.

        What is counted goes on being counted meanwhile, so this is the better measure; and a fault that ended half-way
        (its rule removed, a setting set back by somebody else) is found here.
        """
        return None

    @abstractmethod
    def revert(self) -> None:
        """Take it back."""

    @abstractmethod
    def gone(self) -> Proof:
        """Look whether it is gone."""

    def close(self) -> None:
        """Let go of what it needed and nobody shares: called once, after all measuring."""
        return


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
