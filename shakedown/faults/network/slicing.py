"""network-slicing: bytes arrive in small pieces with pauses in between."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkSlicing
from shakedown.records.experiment import Proof
from shakedown.units import format_duration, format_size

__all__ = ["SlicingFault"]


class SlicingFault(ProxiedFault[NetworkSlicing]):
    """The fault."""

    kind = "slicing"
    proof = "pieces counted, and their mean size at most what was asked"

    @property
    def shows(self) -> str:
        """For the report."""
        return f"pieces of {format_size(self.plan.size)}, {format_duration(self.plan.pause)} apart"

    def options(self) -> dict[str, Any]:
        """Which pieces, how far apart."""
        return {"size": self.plan.size, "pause": self.plan.pause}

    def effect(self) -> Proof:
        """Bytes went in pieces; chunks that were small anyway are not cut, so there must be more pieces than chunks."""
        stats = self.stats()
        pieces, chunks = int(stats["pieces"]), int(stats["chunks"])
        mean = int(stats["bytes"]) / pieces if pieces else 0.0
        evidence = f"{self.met(stats)}; {chunks} chunks became {pieces} pieces of {mean:.0f} B"
        return Proof(held=pieces > chunks, evidence=evidence, asked=self.plan.size, measured=mean, unit="B")
