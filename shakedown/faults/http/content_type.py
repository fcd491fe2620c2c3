"""http-content-type: answers say that their body is of another type."""

from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpContentType

__all__ = ["ContentTypeFault"]


class ContentTypeFault(HttpProxyFault[HttpContentType]):
    """The fault."""

    act = "header"

    @property
    def does(self) -> str:
        """For the report."""
        return f"Content-Type {self.plan.content_type!r}"

    def act_parameters(self) -> dict[str, Any]:
        """The one header."""
        return {"values": {"Content-Type": self.plan.content_type}, "drop": []}
