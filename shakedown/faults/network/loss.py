"""network-loss: a share of the packets vanishes in the target's network namespace.

On the way in they are dropped before anything else sees them. On the way out a plain DROP would be told to the sender
(`sendto` fails with EPERM, and TCP does not count the packet as sent), which no network does; so there they go to a
queue that nobody listens to. What the kernel sends as one large segment is lost as one.
"""

from typing import Any

from shakedown.faults.network.packets import PacketFault, judge_share
from shakedown.plan.faults.packets import NetworkLoss
from shakedown.records.experiment import Proof
from shakedown.units import format_share

__all__ = ["LossFault"]

SILENT = "NFQUEUE with no listener, which is silent,"
TOLD = "DROP, which UDP senders are told,"


class LossFault(PacketFault[NetworkLoss]):
    """The fault."""

    kind = "loss"
    needs = ("iptables with `statistic`",)
    mechanism = "iptables `statistic`: DROP on the way in; on the way out a queue with no listener, else DROP"
    proof = "the rules' packet counters: considered and dropped, the asked share within the interval of 99 %"

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{format_share(self.plan.share)} of the packets{self.selection}"

    def check(self) -> None:
        """As every fault of packets."""
        super().check()
        out = SILENT if self.agent.abilities["queue"] else TOLD
        ways = {"in": "DROP on the way in", "out": f"{out} on the way out"}
        self.mechanism = f"iptables `statistic`: {'; '.join(ways[way] for way in self.ways)}"

    def details(self) -> dict[str, object]:
        """The share."""
        return {"share": self.plan.share}

    def effect(self) -> Proof:
        """The counters."""
        stats: dict[str, Any] = self.stats()
        return judge_share(self.counted(stats), self.plan.share, "dropped")
