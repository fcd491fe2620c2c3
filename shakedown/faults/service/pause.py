"""service-pause: every process of the service is frozen; connections stay open and nothing answers."""

import time

from shakedown.faults.base import Fault
from shakedown.guard.undo import ContainerUnpause, Undo, carry_out
from shakedown.plan.faults.service import ServicePause
from shakedown.records.experiment import Proof

__all__ = ["PauseFault"]

ATTEMPTS = 10


class PauseFault(Fault[ServicePause]):
    """The fault."""

    mechanism = "Docker: pause (cgroup freezer)"
    proof = "freezer state, and no answer to a look at its health"
    reversal = "thawed"

    def check(self) -> None:
        """The container runs."""
        self.context.running(self.plan.target)

    def undo(self) -> Undo:
        """Thaw it."""
        return ContainerUnpause(container=str(self.context.system.handle(self.plan.target).container))

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Freeze it."""
        from docker.errors import APIError  # noqa: PLC0415 - see engine.find_engine

        container = self.context.running(self.plan.target)
        for _ in range(ATTEMPTS):
            try:
                container.pause()
            except APIError as error:
                # A cgroup cannot be frozen at once while its processes change; runc gives up early.
                if "unable to freeze" not in str(error):
                    raise
                time.sleep(0.1)
            else:
                return
        container.pause()

    def effect(self) -> Proof:
        """It is frozen, and a look at its health gets no answer."""
        state = self.context.container(self.plan.target).attrs["State"]
        if not state["Paused"]:
            return Proof(held=False, evidence=f"the container is {state['Status']}, not paused")
        health = self.context.system.health_of(self.plan.target)
        if health is None or health.http is None:
            return Proof(held=True, evidence="Docker reports every process of the container frozen")
        look = self.context.system.check_health(self.plan.target)
        if look.healthy:
            return Proof(held=False, evidence="paused, yet its health still answers")
        return Proof(held=True, evidence=f"every process frozen; its health gives no answer ({look.detail})")

    def revert(self) -> None:
        """Thaw it."""
        carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """It runs."""
        state = self.context.container(self.plan.target).attrs["State"]
        running = bool(state["Running"]) and not state["Paused"]
        return Proof(held=running, evidence=f"the container is {state['Status']}")
