"""service-pause: every process of the service is frozen; connections stay open and nothing answers."""

from shakedown.faults.service.target import State
from shakedown.faults.service.whole import WholeServiceFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.service import ServicePause
from shakedown.records.experiment import Proof

__all__ = ["PauseFault"]


class PauseFault(WholeServiceFault[ServicePause]):
    """The fault."""

    mechanism = "containers: Docker's pause (cgroup freezer); programs: SIGSTOP to the whole tree"
    docker_mechanism = "Docker: pause (cgroup freezer)"
    program_mechanism = "SIGSTOP to every process of the program's tree"
    proof = "every process is frozen, and a look at its health gets no answer"
    reversal = "thawed (SIGCONT for programs); it runs, in the same life as before"

    def check(self) -> None:
        """It runs."""
        super().check()
        self.layers = self.target.pause_layers

    def undo(self) -> Undo:
        """Thaw it."""
        return self.target.undo_pause()

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Freeze it."""
        self.target.pause()

    def _look(self) -> Proof:
        state = self.target.look()
        if state.status != "paused":
            return Proof(held=False, evidence=f"it is not frozen: {state.words}")
        health = self.target.health()
        if health is None or health.http is None:
            return Proof(held=True, evidence=f"every process of it is frozen: {state.words}")
        look = self.context.system.check_health(self.plan.target)
        if look.healthy:
            return Proof(held=False, evidence=f"{state.words}, yet its health still answers")
        return Proof(held=True, evidence=f"{state.words}; its health gives no answer ({look.detail})")

    def _restore(self) -> None:
        self.target.resume()

    def _early(self, state: State) -> str | None:
        if state.life != self._life:
            return f"somebody restarted the service ({state.words})"
        return None if state.status == "paused" else f"somebody thawed or ended the service ({state.words})"
