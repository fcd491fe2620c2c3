"""network-latency: every byte to and from the target's ports comes later, through a transparent proxy.

New connections are redirected to the agent's proxy inside the target's own network namespace, which hands each chunk
on after half the latency in each direction. Connections that were open already are reset once, because otherwise they
would go round the proxy. When the fault ends, connections through the proxy go on without delay.
"""

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.network.rules import NetworkFault
from shakedown.plan.faults.network import NetworkLatency
from shakedown.plan.services import listening_ports
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["LatencyFault"]

ENOUGH = 0.8  # of the asked latency must be measured


class LatencyFault(NetworkFault[NetworkLatency]):
    """The fault."""

    mechanism = (
        "iptables REDIRECT to a transparent proxy in the target's network namespace; open connections reset once"
    )
    proof = "delay of real chunks measured: at least 80 % of what was asked"

    def __init__(self, plan: NetworkLatency, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._ports = plan.ports or listening_ports(context.system.plan.services[plan.target])

    @property
    def parameters(self) -> str:
        """For the report."""
        jitter = f" ± {format_duration(self.plan.jitter)}" if self.plan.jitter else ""
        return f"{format_duration(self.plan.latency)}{jitter} on ports {', '.join(map(str, self._ports))}"

    def check(self) -> None:
        """As every network fault, and there are ports."""
        if not self._ports:
            raise FaultRefusedError(f"`{self.plan.target}` has no known port: give `ports`")
        super().check()

    def inject(self, deadline: float) -> None:
        """Redirect."""
        self.order(
            "latency", deadline, connections=[{"direction": "in", "ports": self._ports}], latency=self.plan.latency,
            jitter=self.plan.jitter,
        )  # fmt: skip

    def effect(self) -> Proof:
        """Chunks of real connections were held back by what was asked (half of it in each direction)."""
        stats = self.stats()
        added = 2 * float(stats["delay"])
        evidence = (
            f"{stats['connections']} connections redirected, {stats['chunks']} chunks delayed, "
            f"round trip longer by {format_duration(added)} (asked {format_duration(self.plan.latency)})"
        )
        held = stats["connections"] > 0 and stats["chunks"] > 0 and added >= ENOUGH * self.plan.latency
        return Proof(held=held, evidence=evidence, asked=self.plan.latency, measured=added, unit="s")
