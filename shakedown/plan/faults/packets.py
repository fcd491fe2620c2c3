"""Faults of single packets: lost, corrupted, doubled, overtaken, late; and services cut off from each other."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shakedown.plan.base import Kind
from shakedown.plan.faults.base import FaultModel, FaultProblem, OnService, no_such
from shakedown.plan.values import Duration, Name, Port, Share

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = [
    "Direction",
    "NetworkCorruption",
    "NetworkDelay",
    "NetworkDuplication",
    "NetworkLoss",
    "NetworkPartition",
    "NetworkReordering",
    "OnPackets",
]

Direction = Literal["in", "out", "both"]
LONGEST = 10.0  # seconds that a packet may be held back


class OnPackets(OnService):
    """A fault of the packets that come to a service or leave it; those of its own loopback are let alone."""

    direction: Direction = Field(
        default="both", description="which packets: those that come to the target, those that leave it, or both"
    )
    peers: list[Name] = Field(
        default=[], description="only packets from or to these services; default: whoever is at the other end"
    )
    ports: list[Port] = Field(
        default=[],
        max_length=15,
        description="only TCP and UDP packets with one of these ports (at most 15) at either end; default: all packets",
    )

    def claims(self) -> frozenset[str]:
        """What a service's restart would take away; network faults of different kinds go together."""
        return frozenset({f"{self.target}:{self.type}"})

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The peers are other services, with addresses of their own."""
        yield from super().problems(plan)
        yield from _not_peers(plan, self.peers, {self.target}, ("peers",))
        if 0 in self.ports:
            yield ("ports",), "0 is no port that packets carry", None


class NetworkLoss(OnPackets):
    """A share of the packets is lost, each by its own roll of the dice; the sender is told nothing."""

    type: Literal["network-loss"] = "network-loss"
    share: Share = Field(gt=0, le=1, description="of the packets")


class NetworkCorruption(OnPackets):
    """A share of the packets has one bit flipped: the receiver's checksum finds it and drops the packet."""

    type: Literal["network-corruption"] = "network-corruption"
    share: Share = Field(gt=0, le=1, description="of the packets")
    undetected: bool = Field(
        default=False,
        description="the checksum is made to fit, so that the wrong byte reaches the application; packets without a payload are let alone",
    )


class NetworkDuplication(OnPackets):
    """A share of the packets arrives twice."""

    type: Literal["network-duplication"] = "network-duplication"
    share: Share = Field(gt=0, le=1, description="of the packets")


class NetworkReordering(OnPackets):
    """A share of the packets is held back, so that later ones of the same connection overtake it."""

    type: Literal["network-reordering"] = "network-reordering"
    share: Share = Field(gt=0, lt=1, description="of the packets")
    gap: Duration = Field(default=0.02, gt=0, le=LONGEST, description="how long a packet is held back")

    def claims(self) -> frozenset[str]:
        """A delay would change what overtakes what."""
        return super().claims() | {f"{self.target}:network-delay"}


class NetworkDelay(OnPackets):
    """Packets arrive later, of whatever protocol; connections that are open already are delayed as well."""

    type: Literal["network-delay"] = "network-delay"
    direction: Direction = Field(
        default="out",
        description="which packets: those that come to the target, those that leave it, or both (twice the delay for a round trip)",
    )
    latency: Duration = Field(gt=0, le=LONGEST, description="how much later")
    jitter: Duration = Field(
        default=0.0,
        ge=0,
        description="how far a packet's delay may be off, either way; uniform; at most `latency`. Packets may overtake each other",
    )
    share: Share = Field(default=1.0, gt=0, le=1, description="of the packets")

    @model_validator(mode="after")
    def _jitter(self) -> Self:
        if self.jitter > self.latency:
            raise ValueError("`jitter` is at most `latency`: no packet arrives before it was sent")
        return self


class NetworkPartition(FaultModel):
    """No packet passes between the service and its peers, or between groups of services; others still reach them all."""

    works_on: ClassVar[frozenset[Kind]] = frozenset({"docker"})
    type: Literal["network-partition"] = "network-partition"
    target: Name | None = Field(default=None, description="the service that is cut off; or else `between`")
    peers: list[Name] = Field(
        default=[], description="services to cut it off from; default: every other container of the run"
    )
    between: list[list[Name]] = Field(
        default=[],
        description="instead of `target`: groups of services; each is cut off from the others: `[[a, b], [c]]`",
    )
    direction: Direction = Field(
        default="both",
        description="what is dropped: packets that come to the target (or the first group), those that leave it, or both",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.target is None) == (not self.between):
            raise ValueError("a partition has a `target`, or groups: `between: [[a, b], [c]]`")
        if self.between:
            members = [name for group in self.between for name in group]
            if self.peers:
                raise ValueError("`peers` goes with `target`; `between` says it all")
            if len(self.between) < 2 or not all(self.between):
                raise ValueError("`between` has two groups or more, none of them empty: `[[a, b], [c]]`")
            if len(set(members)) < len(members):
                raise ValueError("no service is in two groups of `between`, nor twice in one")
            if self.direction != "both" and len(self.between) > 2:
                raise ValueError("a one-way partition is between two groups")
        return self

    @property
    def where(self) -> str:
        """The service, or the groups."""
        return self.target or " | ".join(", ".join(group) for group in self.between)

    def claims(self) -> frozenset[str]:
        """What a restart of the target, or of a group's member, would take away."""
        members = [self.target] if self.target else [name for group in self.between for name in group]
        return frozenset(f"{name}:{self.type}" for name in members)

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """Who is cut off from whom is known."""
        inside: list[tuple[tuple[str | int, ...], str]] = [(("target",), self.target)] if self.target else []
        inside += [
            (("between", number, index), name)
            for number, group in enumerate(self.between)
            for index, name in enumerate(group)
        ]
        for at, name in inside:
            service = plan.services.get(name)
            if service is None:
                yield at, *no_such("service", name, plan.services)
            elif service.kind not in self.works_on:
                yield at, f"{self.type} works on `docker` services; `{name}` is {service.kind}", None
        yield from _not_peers(plan, self.peers, {self.target or ""}, ("peers",))
        if self.target and not self.peers and sum(one.kind == "docker" for one in plan.services.values()) < 2:
            yield (), f"`{self.target}` has no other container to be cut off from", "name the others in `peers`"


def _not_peers(
    plan: "Plan", peers: Iterable[str], targets: set[str], at: tuple[str | int, ...]
) -> Iterator[FaultProblem]:
    """Peers that are none: not in the plan, the target itself, or without an address of their own."""
    for index, peer in enumerate(peers):
        if peer not in plan.services or peer in targets:
            yield (*at, index), *no_such("other service", peer, [name for name in plan.services if name not in targets])
        elif plan.services[peer].kind == "process":
            yield (
                (*at, index),
                f"`{peer}` is a process of this machine: its packets carry the machine's own address, as everybody's do",
                "leave it out, and choose the packets by `ports`",
            )
