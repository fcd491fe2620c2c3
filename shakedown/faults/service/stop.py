"""service-stop: an orderly stop, and a start at the end of the hold time."""

from shakedown.faults.service.whole import Downed
from shakedown.plan.faults.service import ServiceStop
from shakedown.units import format_duration

__all__ = ["StopFault"]


class StopFault(Downed[ServiceStop]):
    """The fault."""

    mechanism = "SIGTERM, then SIGKILL: to a container by Docker's stop, to the whole tree of a program"
    docker_mechanism = "Docker: stop (SIGTERM, then SIGKILL); no restart policy applies to that"
    program_mechanism = "SIGTERM, then SIGKILL, to every process of the program's tree"

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"grace {format_duration(self.plan.grace)}"

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Stop it; returns when it has ended."""
        self.target.stop(self.plan.grace)
