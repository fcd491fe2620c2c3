"""http-abort: the connection ends instead of an answer."""

from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpAbort

__all__ = ["AbortFault"]


class AbortFault(HttpProxyFault[HttpAbort]):
    """The fault."""

    act = "abort"

    @property
    def does(self) -> str:
        """For the report."""
        after = " after the service had the request" if self.plan.forward else ""
        return f"connection {'reset' if self.plan.how == 'reset' else 'closed'}{after}"

    def act_parameters(self) -> dict[str, Any]:
        """How."""
        return {"how": self.plan.how, "forward": self.plan.forward}
