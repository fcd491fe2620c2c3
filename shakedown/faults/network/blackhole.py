"""network-blackhole: bytes vanish in both directions while connections stay open.

A connection that lost bytes has a gap that neither side could make sense of: it is reset when the fault ends.
"""

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkBlackhole
from shakedown.records.experiment import Proof
from shakedown.units import format_size

__all__ = ["BlackholeFault"]


class BlackholeFault(ProxiedFault[NetworkBlackhole]):
    """The fault."""

    kind = "blackhole"
    proof = "bytes that vanished, counted"

    def effect(self) -> Proof:
        """Bytes vanished."""
        stats = self.stats()
        number = int(stats["bytes"])
        evidence = f"{self.met(stats)}; {format_size(number)} vanished on {stats['gaps']} of them"
        return Proof(held=number > 0, evidence=evidence, measured=number, unit="B")
