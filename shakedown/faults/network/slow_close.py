"""network-slow-close: bytes pass at once, but the end of a connection arrives late."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkSlowClose
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["SlowCloseFault"]

ENOUGH = 0.8  # of the asked delay must be measured


class SlowCloseFault(ProxiedFault[NetworkSlowClose]):
    """The fault."""

    kind = "slow-close"
    proof = "delay of real ends measured: at least 80 % of what was asked"

    @property
    def shows(self) -> str:
        """For the report."""
        return format_duration(self.plan.delay)

    def options(self) -> dict[str, Any]:
        """How much later."""
        return {"delay": self.plan.delay}

    def effect(self) -> Proof:
        """Ends were held back."""
        stats = self.stats()
        ends, delay = int(stats["ends"]), float(stats["delay"])
        evidence = f"{self.met(stats)}; {ends} ends late by {format_duration(delay)} (asked {format_duration(self.plan.delay)})"
        held = ends > 0 and delay >= ENOUGH * self.plan.delay
        return Proof(held=held, evidence=evidence, asked=self.plan.delay, measured=delay, unit="s")
