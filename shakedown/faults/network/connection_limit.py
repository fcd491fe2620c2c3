"""network-connection-limit: at most so many connections at once; any more are reset as soon as they are made."""

from typing import Any

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkConnectionLimit
from shakedown.records.experiment import Proof

__all__ = ["ConnectionLimitFault"]


class ConnectionLimitFault(ProxiedFault[NetworkConnectionLimit]):
    """The fault."""

    kind = "connection-limit"
    proof = "connections beyond the limit counted, and never more than the limit at once"

    @property
    def shows(self) -> str:
        """For the report."""
        return f"at most {self.plan.connections}"

    def options(self) -> dict[str, Any]:
        """How many."""
        return {"limit": self.plan.connections}

    def effect(self) -> Proof:
        """Somebody met the limit."""
        stats = self.stats()
        refused, peak = int(stats["refused"]), int(stats["peak"])
        evidence = f"{self.met(stats)}; at most {peak} at once, {refused} beyond the limit reset"
        # Those that were open when the fault began may be more: they are not cut, but nobody else gets in.
        return Proof(
            held=refused > 0, evidence=evidence, asked=self.plan.connections, measured=peak, unit="connections"
        )
