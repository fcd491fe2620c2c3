"""http-header: answers' headers set or removed."""

from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpHeader

__all__ = ["HeaderFault"]


class HeaderFault(HttpProxyFault[HttpHeader]):
    """The fault."""

    act = "header"

    @property
    def does(self) -> str:
        """For the report."""
        given = [f"{name} {value!r}" for name, value in self.plan.set.items()]
        return ", ".join([*given, *(f"no {name}" for name in self.plan.remove)])

    def act_parameters(self) -> dict[str, Any]:
        """Which."""
        return {"values": self.plan.set, "drop": self.plan.remove}
