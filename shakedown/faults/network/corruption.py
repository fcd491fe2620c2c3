"""network-corruption: a share of the packets has one bit flipped.

What the receiver sees: TCP and UDP find the wrong checksum and drop the packet, so that it is lost; TCP sends it again,
UDP does not. netem flips a bit anywhere in the frame (in a header, too); the queue of the agent flips one beyond the
headers. With `undetected` the agent makes the checksum fit, and the application gets the wrong byte.
"""

from shakedown.faults.network.packets import Treated, judge_share
from shakedown.plan.faults.packets import NetworkCorruption
from shakedown.records.experiment import Proof
from shakedown.units import format_share

__all__ = ["CorruptionFault"]


class CorruptionFault(Treated[NetworkCorruption]):
    """The fault."""

    kind = "corruption"
    proof = "packets considered and packets changed, counted; the asked share within the interval of 99 %"

    @property
    def parameters(self) -> str:
        """For the report."""
        how = ", with a checksum that fits" if self.plan.undetected else ""
        return f"{format_share(self.plan.share)} of the packets{how}{self.selection}"

    def netem_can(self) -> bool:
        """It does not know checksums."""
        return not self.plan.undetected

    def details(self) -> dict[str, object]:
        """The share, and whether the checksum is to fit."""
        return {"share": self.plan.share, "fitting": self.plan.undetected}

    def effect(self) -> Proof:
        """The counters; with `undetected`, of all packets those with a payload can be changed."""
        stats = self.stats()
        fine, words = self.through(stats)
        if self.plan.undetected:
            chosen = judge_share(self.counted(stats), self.plan.share, "chosen")
            changed = sum(int(stats[way].get("done", 0)) for way in self.ways)
            return Proof(
                held=chosen.held and fine and changed > 0,
                evidence=f"{chosen.evidence}; {changed:,} of them had a payload and were changed{words}",
                asked=chosen.asked, measured=chosen.measured, unit=chosen.unit,
            )  # fmt: skip
        proof = judge_share(self.counted(stats, "done"), self.plan.share, "changed")
        return Proof(proof.held and fine, proof.evidence + words, proof.asked, proof.measured, proof.unit)
