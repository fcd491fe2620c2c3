"""http-slow-drip: bodies arrive in drips."""

from typing import Any

from shakedown.faults.http.counts import ENOUGH, RequestCounts
from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpSlowDrip
from shakedown.units import format_duration, format_size

__all__ = ["SlowDripFault"]


class SlowDripFault(HttpProxyFault[HttpSlowDrip]):
    """The fault."""

    act = "drip"
    proof = "requests that matched, counted; the mean pause before a drip: at least 80 % of what was asked"

    @property
    def does(self) -> str:
        """For the report."""
        return f"{format_size(self.plan.drip)} every {format_duration(self.plan.pause)}"

    def act_parameters(self) -> dict[str, Any]:
        """How much at a time, and the pause."""
        return {"drip": self.plan.drip, "pause": self.plan.pause}

    def strength(self, counts: RequestCounts) -> tuple[float | None, float | None, str]:
        """The pause."""
        return self.plan.pause, counts.wait if counts.waits else None, "s"

    def weakness(self, counts: RequestCounts) -> str | None:
        """Too short, or none is over yet."""
        if counts.waits and counts.wait < ENOUGH * self.plan.pause:
            return f"drips came {format_duration(counts.wait)} apart"
        return None if counts.waits else "no second drip has come yet"
