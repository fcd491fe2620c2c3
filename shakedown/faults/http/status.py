"""http-status: requests are answered with a status, with or without the service having got them."""

from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpStatus

__all__ = ["StatusFault"]


class StatusFault(HttpProxyFault[HttpStatus]):
    """The fault."""

    act = "status"

    @property
    def does(self) -> str:
        """For the report."""
        return f"{self.plan.status} after the service had the request" if self.plan.forward else str(self.plan.status)

    def act_parameters(self) -> dict[str, Any]:
        """The answer."""
        plan = self.plan
        return {"status": plan.status, "headers": plan.answer_headers, "body": plan.body, "forward": plan.forward}
