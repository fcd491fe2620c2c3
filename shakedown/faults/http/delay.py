"""http-delay: answers come later, before their headers or in the middle of their bodies."""

from typing import Any

from shakedown.faults.http.counts import ENOUGH, RequestCounts
from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpDelay
from shakedown.units import format_duration

__all__ = ["DelayFault"]


class DelayFault(HttpProxyFault[HttpDelay]):
    """The fault."""

    act = "delay"
    proof = "requests that matched, counted; the mean time for which answers were kept: at least 80 % of what was asked"

    @property
    def does(self) -> str:
        """For the report."""
        jitter = f" ± {format_duration(self.plan.jitter)}" if self.plan.jitter else ""
        place = "later" if self.plan.at == "headers" else "later in mid-body"
        return f"{format_duration(self.plan.delay)}{jitter} {place}"

    def act_parameters(self) -> dict[str, Any]:
        """How long, and where."""
        return self.plan.model_dump(include={"delay", "jitter", "at"})

    def strength(self, counts: RequestCounts) -> tuple[float | None, float | None, str]:
        """The delay."""
        return self.plan.delay, counts.wait if counts.waits else None, "s"

    def weakness(self, counts: RequestCounts) -> str | None:
        """Too short; or none is over yet, and nobody gave up waiting either."""
        if counts.waits and counts.wait < ENOUGH * self.plan.delay:
            return f"answers came only {format_duration(counts.wait)} later"
        if not counts.waits and not counts.gave_up:
            return "no answer has been kept for as long as was asked yet"
        return None
