"""service-stop: an orderly stop, and a start at the end of the hold time."""

from shakedown.faults.service.kill import Downed
from shakedown.plan.faults.service import ServiceStop
from shakedown.units import format_duration

__all__ = ["StopFault"]


class StopFault(Downed[ServiceStop]):
    """The fault."""

    mechanism = "Docker: stop (SIGTERM, then SIGKILL)"

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"grace {format_duration(self.plan.grace)}"

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Stop it; returns when it has ended."""
        self.context.running(self.plan.target).stop(timeout=max(round(self.plan.grace), 1))
