"""What the faults of single packets have in common.

Packets are chosen by iptables alone, and its counters say how many were considered and how many were hit. What happens
to them then is done by the kernel's netem where it can be had (on the way out, and nobody else's queueing discipline is
at the interface), else in a queue of the agent's; loss needs neither.
"""

import time
from typing import Any, ClassVar, TypeVar

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.network.addresses import addresses_of
from shakedown.faults.network.rules import NetworkFault
from shakedown.faults.network.shares import Counted
from shakedown.guard.undo import RulesRemove, Undo
from shakedown.plan.faults.packets import OnPackets
from shakedown.records.experiment import Proof

__all__ = ["HANDLES", "PacketFault", "Treated", "judge_share"]

P = TypeVar("P", bound=OnPackets)

HANDLES = 0x5D00  # the first of the 256 handles of queueing disciplines that are ours
WORDS = {"in": "to the target", "out": "from the target"}


class PacketFault(NetworkFault[P]):
    """A fault of some packets of one target."""

    kind: ClassVar[str]  # for the agent

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.addresses: list[str] = []

    @property
    def ways(self) -> tuple[str, ...]:
        """The directions it acts in."""
        return ("in", "out") if self.plan.direction == "both" else (self.plan.direction,)

    @property
    def selection(self) -> str:
        """Which packets, in words."""
        words = [] if self.plan.direction == "both" else [WORDS[self.plan.direction]]
        if self.plan.peers:
            words.append(f"peers {', '.join(self.plan.peers)}")
        if self.plan.ports:
            words.append(f"ports {', '.join(map(str, self.plan.ports))}")
        return f" ({'; '.join(words)})" if words else ""

    def check(self) -> None:
        """As every network fault; the peers have addresses, and the kernel chooses packets at random."""
        self.addresses = [one for peer in self.plan.peers for one in addresses_of(self.context, peer)]
        super().check()
        if not self.agent.abilities["statistic"]:
            raise FaultRefusedError(
                "this kernel's iptables has no `statistic` match: no share of packets can be chosen"
            )

    def inject(self, deadline: float) -> None:
        """Give the order."""
        self.order(
            self.kind, deadline, direction=self.plan.direction, addresses=self.addresses, ports=self.plan.ports,
            **self.details(),
        )  # fmt: skip

    def details(self) -> dict[str, object]:
        """The rest of the order."""
        raise NotImplementedError

    def counted(self, stats: dict[str, Any], hit: str = "hit") -> dict[str, Counted]:
        """Packets of each direction; `hit` names the figure."""
        return {way: Counted(int(stats[way]["seen"]), int(stats[way].get(hit, stats[way]["hit"]))) for way in self.ways}


def judge_share(counted: dict[str, Counted], asked: float, what: str) -> Proof:
    """Whether the share of all packets is as asked, and that of either direction is not otherwise."""
    total = sum(counted.values(), Counted(0, 0))
    held = total.agrees(asked) and all(one.agrees(asked) for one in counted.values() if one.enough(asked))
    each = "; ".join(f"{way}: {one.words(asked)}" for way, one in counted.items()) if len(counted) > 1 else ""
    evidence = f"{total.words(asked)} {what}, asked {asked:.2%}" + (f" ({each})" if each else "")
    return Proof(held=held, evidence=evidence, asked=asked, measured=total.share, unit="%")


class Treated(PacketFault[P]):
    """A fault whose packets are not dropped, but treated by netem or in a queue."""

    reversal = "the agent's tagged rules and its own queueing discipline deleted, and nothing else; held packets let go"
    needs = ("iptables; netem or NFQUEUE",)
    mechanism = (
        "iptables choose the packets; netem treats those on the way out, where the kernel has it; "
        "else, and on the way in, the agent does, in an NFQUEUE that lets packets pass when nobody listens"
    )
    netem: ClassVar[bool] = True  # whether netem can do it

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._handle = HANDLES + int(self._tag[-2:], 16)
        self._since = 0.0
        self.means: dict[str, str] = {}

    def check(self) -> None:
        """As every fault of packets; and there is a way to treat them."""
        super().check()
        abilities = self.agent.abilities
        foreign: dict[str, str] = self.agent.ask("ground")["foreign"] if abilities["netem"] else {}
        for way in self.ways:
            if way == "out" and self.netem and self.netem_can() and abilities["netem"] and not foreign:
                self.means[way] = "netem"
            elif abilities["queue"]:
                self.means[way] = "queue"
            else:
                raise FaultRefusedError(self._why_not(way, foreign))
        words = {"netem": "the kernel's netem", "queue": "an NFQUEUE of the agent"}
        self.mechanism = "iptables choose the packets; " + "; ".join(
            f"{words[means]} treats those {WORDS[way]}" for way, means in self.means.items()
        )

    def netem_can(self) -> bool:
        """Whether netem can do what this entry of a plan asks."""
        return True

    def _why_not(self, way: str, foreign: dict[str, str]) -> str:
        if foreign:
            device, kind = next(iter(foreign.items()))
            return f"this kernel has no NFQUEUE, and {device} has a queueing discipline of somebody else's ({kind}), which is let alone"
        netem = ", nor netem" if way == "out" else "; netem acts only on packets that leave"
        return f"this kernel has no NFQUEUE{netem}: packets {WORDS[way]} cannot be treated"

    def undo(self) -> Undo:
        """Remove the rules, and the discipline with our handle, through a fresh helper if need be."""
        container = str(self.context.system.handle(self.plan.target).container)
        qdisc = f"{self._handle:x}:" if "netem" in self.means.values() else ""
        return RulesRemove(container=container, tag=self._tag, image=self.agent.image, qdisc=qdisc)

    def inject(self, deadline: float) -> None:
        """Give the order."""
        super().inject(deadline)
        self._since = time.monotonic()

    def order(self, kind: str, deadline: float, **order: object) -> None:
        """Say how, too."""
        super().order(kind, deadline, means=self.means, handle=self._handle, **order)

    def through(self, stats: dict[str, Any]) -> tuple[bool, str]:
        """Whether the packets did go where the rules sent them, with a word of it.

        What netem was given, it treated; where a queue was full or nobody listened, packets passed untreated.
        """
        words: list[str] = []
        fine = True
        for way in self.ways:
            figures = stats[way]
            if figures["means"] == "netem":
                packets = int(figures["netem"]["packets"]) + int(figures["netem"]["qlen"])
                fine = fine and packets > 0
                words.append(f"{packets:,} packets left netem")
            elif int(figures["hit"]) and int(figures["came"]) < int(figures["hit"]) * 0.9:
                fine = False
                words.append(f"only {int(figures['came']):,} of {int(figures['hit']):,} packets came to the queue")
        return fine, "".join(f"; {word}" for word in words)
