"""dns-slow: the real answers, later. What waits when the fault ends is answered at once.

A client that has given up meanwhile does not see the late answer; that it asks again before the first answer is told.
"""

from typing import Any

from shakedown.faults.dns.lookups import LookUpFault
from shakedown.plan.faults.dns import DnsSlow
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["SlowFault"]

ENOUGH = 0.8  # of the asked latency must be measured


class SlowFault(LookUpFault[DnsSlow]):
    """The fault."""

    kind = "dns-slow"
    proof = "delay of real answers measured: at least 80 % of what was asked"

    @property
    def shows(self) -> str:
        """For the report."""
        jitter = f" ± {format_duration(self.plan.jitter)}" if self.plan.jitter else ""
        return f"{format_duration(self.plan.latency)}{jitter} later"

    def options(self) -> dict[str, Any]:
        """How long, and how it varies."""
        return {"latency": self.plan.latency, "jitter": self.plan.jitter}

    def effect(self) -> Proof:
        """Answers came later by what was asked."""
        stats = self.stats()
        number, delay = int(stats["hit"]), float(stats["delay"])
        evidence = f"answers later by {format_duration(delay)} (asked {format_duration(self.plan.latency)}); "
        if stats["again"]:
            evidence += f"{stats['again']} queries repeated before the answer came; "
        if stats["unanswered"]:
            evidence += f"{stats['unanswered']} that no nameserver answered at all; "
        if not number and stats["waiting"]:
            evidence = f"{stats['waiting']} queries wait for their answers; "
        return Proof(
            held=number > 0 and delay >= ENOUGH * self.plan.latency,
            evidence=(evidence if number or stats["waiting"] else "") + self.answered(stats),
            asked=self.plan.latency, measured=delay, unit="s",
        )  # fmt: skip
