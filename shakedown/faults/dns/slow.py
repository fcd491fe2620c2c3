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
        words = []
        if number:
            words.append(f"answers later by {format_duration(delay)} (asked {format_duration(self.plan.latency)})")
        elif stats["waiting"]:
            words.append(f"queries that wait for their answers: {stats['waiting']}")
        if stats["again"]:
            words.append(f"asked again before the answer came: {stats['again']}")
        if stats["unanswered"]:
            words.append(f"answered by no nameserver at all: {stats['unanswered']}")
        return Proof(
            held=number > 0 and delay >= ENOUGH * self.plan.latency,
            evidence=", ".join([*words, self.answered(stats)]),
            asked=self.plan.latency, measured=delay, unit="s",
        )  # fmt: skip
