"""network-reordering: a share of the packets is held back for a moment, so that later ones overtake it.

A packet is only out of order if another of its stream passes meanwhile: where traffic is one request, one answer,
nothing overtakes, and the fault is not proved. The agent's queue counts overtaken packets stream by stream; netem tells
only how many were held, so there the packets that pass in the meantime are reckoned from their rate.
"""

import time

from shakedown.faults.network.packets import Treated, judge_share
from shakedown.faults.network.shares import Counted
from shakedown.plan.faults.packets import NetworkReordering
from shakedown.records.experiment import Proof
from shakedown.units import format_duration, format_share

__all__ = ["ReorderingFault"]

OVERTAKEN = 0.5  # of the packets held back must have been overtaken


class ReorderingFault(Treated[NetworkReordering]):
    """The fault."""

    kind = "reordering"
    proof = "packets considered, held back and overtaken, counted: the asked share held, half of it overtaken"

    @property
    def parameters(self) -> str:
        """For the report."""
        return (
            f"{format_share(self.plan.share)} of the packets held back {format_duration(self.plan.gap)}{self.selection}"
        )

    def details(self) -> dict[str, object]:
        """The share, and how long."""
        return {"share": self.plan.share, "gap": self.plan.gap}

    def effect(self) -> Proof:
        """The counters."""
        stats = self.stats()
        fine, words = self.through(stats)
        held: dict[str, Counted] = {}
        overtaken = 0.0
        for way in self.ways:
            figures = stats[way]
            if figures["means"] == "netem":
                held[way] = Counted(int(figures["seen"]), int(figures["hit"]))
                passing = (held[way].seen - held[way].hit) / max(time.monotonic() - self._since, 0.001) * self.plan.gap
                overtaken += held[way].hit * min(passing, 1.0)
            else:
                held[way] = Counted(int(figures["seen"]), int(figures["held"]))
                overtaken += int(figures["done"])
        proof = judge_share(held, self.plan.share, "held back")
        total = sum(held.values(), Counted(0, 0))
        enough = overtaken > 0 and overtaken >= OVERTAKEN * total.hit
        return Proof(
            held=proof.held and fine and enough,
            evidence=f"{proof.evidence}; {overtaken:,.0f} were overtaken{words}",
            asked=proof.asked,
            measured=overtaken / total.seen if total.seen else 0.0,
            unit="%",
        )
