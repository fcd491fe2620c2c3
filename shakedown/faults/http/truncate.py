"""http-truncate: bodies end too early."""

from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpTruncate
from shakedown.units import format_size

__all__ = ["TruncateFault"]


class TruncateFault(HttpProxyFault[HttpTruncate]):
    """The fault."""

    act = "truncate"

    @property
    def does(self) -> str:
        """For the report."""
        return f"body cut {f'after {format_size(self.plan.keep)}' if self.plan.keep is not None else 'short'}"

    def act_parameters(self) -> dict[str, Any]:
        """What is kept."""
        return {"keep": self.plan.keep}
