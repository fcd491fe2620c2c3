"""service-kill: the main process gets a signal, and the service stays down for the hold time."""

from typing import TypeVar

from shakedown.faults.base import Fault, FaultContext, accepts
from shakedown.guard.undo import ContainerStart, Undo, carry_out
from shakedown.plan.faults.service import ServiceKill, ServiceStop
from shakedown.records.experiment import Proof

__all__ = ["Downed", "KillFault"]

P = TypeVar("P", bound=ServiceKill | ServiceStop)


class Downed(Fault[P]):
    """What kill and stop have in common: a container that does not run, and is started again."""

    proof = "the container does not run, and nobody answers at its ports"
    reversal = "started again"

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._started = ""

    def check(self) -> None:
        """The container runs; its start time is noted, by which a new start is told from the old one."""
        self._started = str(self.context.running(self.plan.target).attrs["State"]["StartedAt"])

    def undo(self) -> Undo:
        """A start; harmless when it runs."""
        return ContainerStart(container=str(self.context.system.handle(self.plan.target).container))

    def effect(self) -> Proof:
        """It does not run, and nobody answers at its ports."""
        state = self.context.container(self.plan.target).attrs["State"]
        if state["Running"]:
            return Proof(held=False, evidence=f"the container still runs (process {state['Pid']})")
        addresses = self.context.system.handle(self.plan.target).addresses
        answering = [name for name, address in addresses.items() if accepts(address.host, address.port)]
        if answering:
            return Proof(held=False, evidence=f"somebody still answers at port {answering[0]}")
        ports = f", {len(addresses)} ports closed" if addresses else ""
        return Proof(held=True, evidence=f"container {state['Status']} with exit code {state['ExitCode']}{ports}")

    def revert(self) -> None:
        """Start it again."""
        carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """It runs, under a new start time."""
        state = self.context.container(self.plan.target).attrs["State"]
        if not state["Running"]:
            return Proof(held=False, evidence=f"the container is {state['Status']}")
        if state["StartedAt"] == self._started:
            return Proof(held=True, evidence="the container was never down")
        return Proof(held=True, evidence=f"the container runs again since {state['StartedAt'][11:23]} UTC")


class KillFault(Downed[ServiceKill]):
    """The fault."""

    mechanism = "Docker: signal to the container's first process"

    @property
    def parameters(self) -> str:
        """For the report."""
        return self.plan.signal

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Send the signal. (The engine does not restart what was killed through it, whatever the restart policy.)."""
        self.context.running(self.plan.target).kill(signal=self.plan.signal)
