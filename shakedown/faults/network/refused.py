"""network-refused: whoever wants to connect is answered by RST; connections that are open go on.

In a container's namespace the kernel answers (REJECT): a connection that the proxy accepted first would not be *refused* any
more. So it is the kernel that draws the lot of a `share` (`-m statistic --mode random`), and nothing can give it a seed; its
other mode, every n-th, would beat time with clients that connect in turns. What came of it is counted. Before a process or an
outside URL the proxy draws, from the run's seed. Through a published port, the engine's own forwarder accepts first and then
closes.
"""

from shakedown.faults.network.proxied import ProxiedFault
from shakedown.faults.network.shares import Counted
from shakedown.plan.faults.network import NetworkRefused
from shakedown.records.experiment import Proof
from shakedown.units import format_share

__all__ = ["RefusedFault"]


class RefusedFault(ProxiedFault[NetworkRefused]):
    """The fault."""

    kind = "refused"
    kind_in_front = "refused-here"
    mechanism = (
        "iptables REJECT --reject-with tcp-reset of new connections in the target's network namespace. "
        "Processes and outside URLs: the proxy in the foreground resets new connections"
    )
    proof = "attempts to connect, and those refused, counted by rules; a share as asked within the interval of 99 %"
    needs = ("iptables with REJECT (containers)",)

    def check(self) -> None:
        """As all of them; the words differ."""
        super().check()
        if self._front is None:
            lot = "; the kernel draws the lot" if self.plan.share < 1 else ""
            self.mechanism = f"iptables REJECT --reject-with tcp-reset in the target's network namespace{lot}"

    def effect(self) -> Proof:
        """Somebody tried and was refused; of a share, as many as it says."""
        stats, share = self.stats(), self.plan.share
        came, number = int(stats["came"]), int(stats["packets"])
        evidence = f"{number} of {came} attempts to connect refused" if came else "nobody tried to connect"
        if stats["uncovered"]:
            evidence += f"; {stats['uncovered']}"
        if share >= 1:
            return Proof(held=number > 0, evidence=evidence, measured=number, unit="connections")
        counted = Counted(came, number)
        other = counted.enough(share) and not counted.agrees(share)
        evidence = f"{'another share than was asked for: ' if other else ''}{evidence}, asked {format_share(share)}"
        return Proof(held=number > 0 and not other, evidence=evidence, asked=share, measured=counted.share, unit="%")
