"""network-data-limit: a connection carries so many bytes in one direction, then it ends in good order, in mid-answer."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkDataLimit
from shakedown.records.experiment import Proof
from shakedown.units import format_size

__all__ = ["DataLimitFault"]


class DataLimitFault(ProxiedFault[NetworkDataLimit]):
    """The fault."""

    kind = "data-limit"
    proof = "connections cut at the limit, counted"

    @property
    def shows(self) -> str:
        """For the report."""
        return f"cut after {format_size(self.plan.bytes)}"

    def options(self) -> dict[str, Any]:
        """How many bytes."""
        return {"bytes": self.plan.bytes}

    def effect(self) -> Proof:
        """Some were cut."""
        stats = self.stats()
        number = int(stats["cut"])
        evidence = f"{self.met(stats)}; {number} cut after exactly {format_size(self.plan.bytes)}"
        return Proof(held=number > 0, evidence=evidence, measured=number, unit="connections")
