"""network-blackhole: bytes vanish in both directions while connections stay open.

A connection through the proxy that lost bytes has a gap that neither side could make sense of: it is reset when the fault
ends. Of connections that a container had open before, the kernel drops every packet; when the fault ends, TCP sends again
what was lost, and they go on.
"""

from shakedown.faults.network.proxied import IN_FRONT, REDIRECTED, ProxiedFault
from shakedown.plan.faults.network import NetworkBlackhole
from shakedown.records.experiment import Proof
from shakedown.units import format_size

__all__ = ["BlackholeFault"]


class BlackholeFault(ProxiedFault[NetworkBlackhole]):
    """The fault."""

    kind = "blackhole"
    mechanism = f"{REDIRECTED}; packets of open connections dropped. Processes and outside URLs: {IN_FRONT}"
    proof = "bytes and packets that vanished, counted"

    def effect(self) -> Proof:
        """Bytes vanished in the proxy, or packets of connections that go round it."""
        stats = self.stats()
        number, dropped = int(stats["bytes"]), int(stats["dropped"])
        evidence = f"{self.met(stats)}; {format_size(number)} vanished on {stats['gaps']} of them"
        if dropped:
            evidence += f", and {dropped} packets of connections that were open before"
        return Proof(held=number > 0 or dropped > 0, evidence=evidence, measured=number, unit="B")
