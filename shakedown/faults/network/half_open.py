"""network-half-open: one side sees the end of a connection, the other nothing; it is reset when the fault ends."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkHalfOpen
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["HalfOpenFault"]


class HalfOpenFault(ProxiedFault[NetworkHalfOpen]):
    """The fault."""

    kind = "half-open"
    proof = "connections left half open, counted"

    @property
    def shows(self) -> str:
        """For the report."""
        after = f" after {format_duration(self.plan.after)}" if self.plan.after else ""
        return f"the {self.plan.seen_by} sees the end{after}"

    def options(self) -> dict[str, Any]:
        """Who sees it, and when."""
        return self.plan.model_dump(include={"after", "seen_by"})

    def effect(self) -> Proof:
        """Some are half open."""
        stats = self.stats()
        number = int(stats["acted"])
        evidence = f"{self.met(stats)}; {number} left half open"
        return Proof(held=number > 0, evidence=evidence, measured=number, unit="connections")
