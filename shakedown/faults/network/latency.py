"""network-latency: every byte comes later, through the proxy: half of the latency in each direction.

The connection itself is accepted at once: the latency is felt from the first byte on. When the fault ends, what is on its
way arrives at once, and connections go on without delay.
"""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkLatency
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["LatencyFault"]

ENOUGH = 0.8  # of the asked latency must be measured


class LatencyFault(ProxiedFault[NetworkLatency]):
    """The fault."""

    kind = "latency"
    proof = "delay of real chunks measured: at least 80 % of what was asked"

    @property
    def shows(self) -> str:
        """For the report."""
        jitter = f" ± {format_duration(self.plan.jitter)} ({self.plan.distribution})" if self.plan.jitter else ""
        return f"{format_duration(self.plan.latency)}{jitter}"

    def options(self) -> dict[str, Any]:
        """How long, and how it varies."""
        return self.plan.model_dump(include={"latency", "jitter", "distribution"})

    def effect(self) -> Proof:
        """Chunks of real connections were held back by what was asked (half of it in each direction)."""
        stats = self.stats()
        added = 2 * float(stats["delay"])
        spread = f", give or take {format_duration(2 * float(stats['spread']))}" if self.plan.jitter else ""
        evidence = (
            f"{self.met(stats)}; {stats['chunks']} chunks delayed, round trip longer by {format_duration(added)}{spread} "
            f"(asked {format_duration(self.plan.latency)}); {self.own_cost()}"
        )
        held = stats["chunks"] > 0 and added >= ENOUGH * self.plan.latency
        return Proof(held=held, evidence=evidence, asked=self.plan.latency, measured=added, unit="s")
