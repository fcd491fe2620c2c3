"""network-refused: whoever wants to connect is answered by RST; connections that are open go on.

In a container's namespace the kernel answers (REJECT), and draws the lot of a `share` by itself: not from the run's seed.
Through a published port, the engine's own forwarder accepts first and then closes.
"""

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults.network import NetworkRefused
from shakedown.records.experiment import Proof

__all__ = ["RefusedFault"]


class RefusedFault(ProxiedFault[NetworkRefused]):
    """The fault."""

    kind = "refused"
    kind_in_front = "refused-here"
    mechanism = (
        "iptables REJECT --reject-with tcp-reset of new connections in the target's network namespace. "
        "Processes and outside URLs: the proxy in the foreground resets new connections"
    )
    proof = "refused connections counted by the rule"
    needs = ("iptables with REJECT (containers)",)

    def check(self) -> None:
        """As all of them; the words differ."""
        super().check()
        if self._front is None:
            lot = "; the kernel draws the lot" if self.plan.share < 1 else ""
            self.mechanism = f"iptables REJECT --reject-with tcp-reset in the target's network namespace{lot}"

    def effect(self) -> Proof:
        """Somebody tried and was refused."""
        stats = self.stats()
        number = int(stats["packets"])
        evidence = f"{number} attempts to connect refused" if number else "nobody tried to connect"
        if stats["uncovered"]:
            evidence += f"; {stats['uncovered']}"
        return Proof(held=number > 0, evidence=evidence, measured=number, unit="connections")
