"""http-hang: no answer until the client gives up or the fault ends."""

from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpHang

__all__ = ["HangFault"]


class HangFault(HttpProxyFault[HttpHang]):
    """The fault."""

    act = "hang"

    @property
    def does(self) -> str:
        """For the report."""
        return f"no answer{', though the service had the request,' if self.plan.forward else ''}"

    def act_parameters(self) -> dict[str, Any]:
        """Whether the service gets it."""
        return {"forward": self.plan.forward}
