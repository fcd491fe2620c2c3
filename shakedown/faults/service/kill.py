"""service-kill: the service gets a signal, and stays down for the hold time.

What is killed through the engine stays down: the engine takes it as stopped by hand, whatever the restart policy. With
`crash` the policy applies: the outage is then the restart itself, and where there is no policy the service stays down.
"""

from shakedown.faults.service.target import State
from shakedown.faults.service.whole import Downed
from shakedown.plan.faults.service import ServiceKill
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["KillFault"]


class KillFault(Downed[ServiceKill]):
    """The fault."""

    mechanism = (
        "Docker: signal to the container's first process; with `crash` from the host's process namespace, behind the "
        "engine's back; programs: signal to the whole tree"
    )
    docker_mechanism = "Docker: signal to the container's first process; no restart policy applies to that"
    program_mechanism = "signal to every process of the program's tree"

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.signal}, as a crash" if self.plan.crash else self.plan.signal

    def check(self) -> None:
        """It runs; for a crash, there is a way."""
        super().check()
        if self.plan.crash:
            way = self.target.prepare_crash()
            policy = self.target.restart_policy
            self.mechanism = f"{way}; restart policy: {policy}"

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Send the signal; returns when the process has ended, or after a while if it does not."""
        self.target.kill(self.plan.signal, crash=self.plan.crash)

    def _look(self) -> Proof:
        state = self.target.look()
        if state.life == self._life and state.status == "running":
            return Proof(
                held=False,
                evidence=f"it still runs after {self.plan.signal}: {state.words}; a container's first process does not "
                "even feel a signal that it does not handle, except SIGKILL",
            )
        if self._restarted(state):
            outage = self.target.outage() if state.status != "restarting" else None
            lasted = f", {format_duration(outage)} later" if outage is not None else ""
            return Proof(
                held=True,
                evidence=f"its first process was ended; up again{lasted} by its restart policy "
                f"`{self.target.restart_policy}`: {state.words}",
            )
        return super()._look()

    def _restarted(self, state: State) -> bool:
        """Whether its restart policy has brought it up again, as is expected of a crash."""
        return (
            self.plan.crash
            and self.target.restart_policy != "no"
            and (state.status == "restarting" or state.life != self._life)
        )

    def _early(self, state: State) -> str | None:
        return None if self._restarted(state) else super()._early(state)
