"""network-reset: connections end by RST, seen by both sides, after a time or after so many bytes."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkReset
from shakedown.records.experiment import Proof
from shakedown.units import format_duration, format_size

__all__ = ["ResetFault"]


class ResetFault(ProxiedFault[NetworkReset]):
    """The fault."""

    kind = "reset"
    proof = "connections that the fault reset, counted"

    @property
    def shows(self) -> str:
        """For the report."""
        if self.plan.bytes is not None:
            return f"after {format_size(self.plan.bytes)}"
        return f"after {format_duration(self.plan.after)}" if self.plan.after else "at once"

    def options(self) -> dict[str, Any]:
        """When."""
        return self.plan.model_dump(include={"after", "bytes"})

    def effect(self) -> Proof:
        """Some were reset; those that were open before count where that is the fault itself."""
        stats = self.stats()
        at_once = self.plan.bytes is None and not self.plan.after and self.plan.share == 1
        number = int(stats["acted"]) + (int(stats["reset"]) if at_once else 0)
        evidence = f"{self.met(stats)}; {number} reset by the fault"
        return Proof(held=number > 0, evidence=evidence, measured=number, unit="connections")
