"""network-bandwidth: a link of so many bytes a second in each direction, which all connections of the fault share."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkBandwidth
from shakedown.records.experiment import Proof
from shakedown.units import format_size

__all__ = ["BandwidthFault"]

BUSY = 0.05  # seconds that bytes waited for the link, at least: a limit that nobody met is none
TOO_FAST = 1.25  # times the rate


class BandwidthFault(ProxiedFault[NetworkBandwidth]):
    """The fault."""

    kind = "bandwidth"
    proof = "rate measured while bytes waited for the link: at most 125 % of what was asked"

    @property
    def shows(self) -> str:
        """For the report."""
        return f"{format_size(self.plan.rate)}/s each way"

    def options(self) -> dict[str, Any]:
        """The rate."""
        return {"rate": self.plan.rate}

    def effect(self) -> Proof:
        """In the busier direction, bytes that waited went at the rate."""
        stats = self.stats()
        way = max(("up", "down"), key=lambda one: float(stats["busy"][one]))
        number, busy = int(stats["bytes"][way]), float(stats["busy"][way])
        measured = number / busy if busy else 0.0
        held = number > 0 and busy >= BUSY and measured <= TOO_FAST * self.plan.rate
        words = (
            f"{format_size(number)} in {busy:.2f} s of waiting, {format_size(measured)}/s"
            if busy
            else "no byte had to wait"
        )
        evidence = f"{self.met(stats)}; {words} (asked {format_size(self.plan.rate)}/s); {self.own_cost()}"
        return Proof(held=held, evidence=evidence, asked=self.plan.rate, measured=measured, unit="B/s")
