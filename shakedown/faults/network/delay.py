"""network-delay: packets arrive later, of any protocol; open connections are delayed like new ones.

In the agent's queue every packet's own time is measured. Of netem the kernel tells no times: an ICMP echo of the
agent's own, which a rule sends through the same band, is timed before and during the fault.
"""

from statistics import mean, median
from typing import Any

from shakedown.faults.base import FaultContext
from shakedown.faults.network.addresses import gateway_of
from shakedown.faults.network.packets import WORDS, Treated, judge_share
from shakedown.plan.faults.packets import NetworkDelay
from shakedown.records.experiment import Proof
from shakedown.units import format_duration, format_share

__all__ = ["DelayFault"]

ENOUGH = 0.8  # of the asked delay …
TOO_MUCH, SLACK = 1.5, 0.02  # … and at most so many times as much, and seconds
PACKETS = 5
ECHOES = 5
ECHOES_WITHIN = 12.0


class DelayFault(Treated[NetworkDelay]):
    """The fault."""

    kind = "delay"
    proof = "each packet's time in the queue, or an echo's through netem: 80 to 150 % of what was asked"

    def __init__(self, plan: NetworkDelay, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._echo: tuple[str, float] | None = None  # who answers, and how quickly

    @property
    def parameters(self) -> str:
        """For the report."""
        jitter = f" ± {format_duration(self.plan.jitter)}" if self.plan.jitter else ""
        share = f", {format_share(self.plan.share)} of the packets" if self.plan.share < 1 else ""
        return f"{format_duration(self.plan.latency)}{jitter}{share}{self.selection}"

    def check(self) -> None:
        """As every fault of packets; and somebody answers an echo, where netem is to be timed."""
        super().check()
        if self.means.get("out") == "netem":
            hosts = [*(one for one in self.addresses if ":" not in one), gateway_of(self.context, self.plan.target)]
            for host in (one for one in hosts if one):
                trips = self.agent.ask("echo", host=host, count=ECHOES, within=1.0, patience=0.5)["seconds"]
                if trips:
                    self._echo = (host, median(trips))
                    return

    def details(self) -> dict[str, object]:
        """How much later."""
        return {"latency": self.plan.latency, "jitter": self.plan.jitter, "share": self.plan.share}

    def effect(self) -> Proof:
        """The times, and that packets of the right share were delayed."""
        stats = self.stats()
        fine, words = self.through(stats)
        share = judge_share(self.counted(stats), self.plan.share, "chosen")
        times: list[float] = []
        told: list[str] = []
        for way in self.ways:
            figures = stats[way]
            if figures["means"] == "netem":
                measured, said = self._timed()
                fine = fine and int(figures["hit"]) > 0
            else:
                done = int(figures["done"])
                measured = float(figures["delay"]) if done >= PACKETS else None
                said = f"{done:,} packets {WORDS[way]} waited {format_duration(float(figures['delay']))}"
            told.append(said)
            if measured is not None:
                times.append(measured)
        low, high = ENOUGH * self.plan.latency, TOO_MUCH * self.plan.latency + SLACK
        right = len(times) == len(self.ways) and all(low <= one <= high for one in times)
        return Proof(
            held=right and fine and share.held,
            evidence=f"{'; '.join(told)} (asked {format_duration(self.plan.latency)}); {share.evidence}{words}",
            asked=self.plan.latency,
            measured=mean(times) if times else None,
            unit="s",
        )

    def _timed(self) -> tuple[float | None, str]:
        """What an echo through the same band takes longer than before."""
        if self._echo is None:
            return None, "nobody answered an echo before the fault, so that netem's delay could not be measured"
        host, before = self._echo
        patience = TOO_MUCH * self.plan.latency + 1
        answer: dict[str, Any] = self.agent.ask(
            "echo", host=host, count=ECHOES, within=min(2 * patience, ECHOES_WITHIN), patience=patience, marked=True
        )
        if not answer["seconds"]:
            return None, f"no echo came back from {host}, which answered before"
        added = median(answer["seconds"]) - before
        return added, f"an echo from {host} took {format_duration(added)} longer"
