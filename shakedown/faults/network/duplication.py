"""network-duplication: a share of the packets arrives twice."""

from shakedown.faults.network.packets import Treated, judge_share
from shakedown.plan.faults.packets import NetworkDuplication
from shakedown.records.experiment import Proof
from shakedown.units import format_share

__all__ = ["DuplicationFault"]


class DuplicationFault(Treated[NetworkDuplication]):
    """The fault."""

    kind = "duplication"
    proof = "packets considered and copies sent, counted; the asked share within the interval of 99 %"

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{format_share(self.plan.share)} of the packets{self.selection}"

    def details(self) -> dict[str, object]:
        """The share."""
        return {"share": self.plan.share}

    def effect(self) -> Proof:
        """The counters; of netem also that twice as many left it as came."""
        stats = self.stats()
        fine, words = self.through(stats)
        out = stats.get("out", {})
        if out.get("means") == "netem" and int(out["netem"]["packets"]) < 1.5 * int(out["hit"]):
            fine = False
        proof = judge_share(self.counted(stats, "done"), self.plan.share, "doubled")
        return Proof(proof.held and fine, proof.evidence + words, proof.asked, proof.measured, proof.unit)
