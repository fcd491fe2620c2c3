"""Faults of the network around a service that the proxy makes; those of packets, and the partition, are in `packets`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shakedown.plan.base import Kind
from shakedown.plan.faults.base import FaultProblem, OnService, no_such
from shakedown.plan.faults.packets import NetworkPartition
from shakedown.plan.services import listening_ports
from shakedown.plan.values import Duration, Name, Port, Share, Size

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = [
    "ConnectionFault", "NetworkBandwidth", "NetworkBlackhole", "NetworkConnectionLimit", "NetworkDataLimit", "NetworkHalfOpen",
    "NetworkLatency", "NetworkPartition", "NetworkRefused", "NetworkReset", "NetworkSlicing", "NetworkSlowClose",
    "OnConnections", "OnNetwork", "OnPorts", "fronted",
]  # fmt: skip


class OnNetwork(OnService):
    """A fault in a service's network namespace."""

    def claims(self) -> frozenset[str]:
        """What a service's restart would take away; network faults of different kinds go together."""
        return frozenset({f"{self.target}:{self.type}"})


class OnPorts(OnNetwork):
    """A fault of the connections to some of a service's ports."""

    ports: list[Port] = Field(default=[], description="default: all ports of the plan's service, and its health port")

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """There are ports."""
        yield from super().problems(plan)
        service = plan.services.get(self.target)
        if service is not None and not (self.ports or listening_ports(service)):
            yield (), f"`{self.target}` has no known port", "give `ports: [5432]`"


class OnConnections(OnNetwork):
    """A fault of TCP connections, made by the proxy: in a container's namespace, or before a process or an outside URL."""

    works_on: ClassVar[frozenset[Kind]] = frozenset({"docker", "process", "external"})
    proxied: ClassVar[bool] = True  # before a process or an outside URL, the proxy stands from the run's start on
    ports: list[Port] = Field(
        default=[],
        description="of the server, 1 to 65535; default: all ports that the plan knows of the target, or of the peers "
        "(those that a process or an outside URL has by name)",
    )
    direction: Literal["in", "out", "both"] = Field(
        default="in", description="connections made to the target, connections that it makes (containers only), or both"
    )
    peers: list[Name] = Field(
        default=[],
        description="only connections with these services (containers only; outside URLs for `out`); default: with "
        "anybody, and of those that the target makes: with every other service of the plan",
    )
    share: Share = Field(
        default=1.0, gt=0, le=1, description="of the connections, 0 to 100%; drawn once for each from the run's seed"
    )
    existing: Literal["reset", "keep"] = Field(
        default="reset",
        description="connections that are open when the fault begins: reset once, so that they come back through the "
        "proxy (all of them, whatever the share), or left alone",
    )

    def claims(self) -> frozenset[str]:
        """Faults of one type go together where they differ in direction or peers."""
        names = {"in": [self.type], "out": [f"{self.type} (out)"], "both": [self.type, f"{self.type} (out)"]}
        bases = [f"{self.target}:{name}" for name in names[self.direction]]
        return frozenset(f"{base}:{peer}" if peer else base for base in bases for peer in self.peers or [""])

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The peers are there, and there are connections that the proxy can see."""
        yield from super().problems(plan)
        service = plan.services.get(self.target)
        if service is None:
            return
        if service.kind != "docker":
            named = listening_ports(service)
            if self.direction != "in" or self.peers:
                yield (
                    ("direction",) if self.direction != "in" else ("peers",),
                    f"`{self.target}` is {service.kind}: the proxy stands before it and sees only connections to it",
                    "leave out `direction` and `peers`",
                )
            elif not named:
                yield (), f"`{self.target}` has no port that a proxy could stand before", "give it `ports`"
            elif service.kind == "external" and service.url.startswith("https:"):
                yield (
                    ("target",),
                    f"`{self.target}` is reached by https: its certificate does not fit the proxy's address",
                    "put a `proxy` in its place, which is a container: docs/stubs.md",
                )
            for index, port in enumerate(self.ports):
                if port not in named:
                    yield ("ports", index), f"`{self.target}` has no port {port}", None
            return
        others = [name for name in plan.services if name != self.target]
        for index, peer in enumerate(self.peers):
            if peer not in others:
                yield ("peers", index), *no_such("other service", peer, others)
            elif plan.services[peer].kind == "process" or (
                plan.services[peer].kind == "external" and self.direction != "out"
            ):
                yield (
                    ("peers", index),
                    f"`{peer}` is {plan.services[peer].kind}: it has no address on the run's network",
                    None,
                )
        if self.direction in ("in", "both") and not (self.ports or listening_ports(service)):
            yield (), f"`{self.target}` has no known port", "give `ports: [5432]`"
        asked = [plan.services[name] for name in self.peers or others if name in plan.services]
        if self.direction in ("out", "both") and not self.ports and not any(map(listening_ports, asked)):
            yield (), "no other service has a known port", "give `ports: [5432]`"


class NetworkLatency(OnConnections):
    """Every byte arrives later: half of the latency in each direction."""

    type: Literal["network-latency"] = "network-latency"
    latency: Duration = Field(gt=0, le=600, description="what a round trip takes longer; from 1 ms to 10 minutes")
    jitter: Duration = Field(
        default=0.0, ge=0, le=600,
        description="how far the latency of a chunk may be off: at most (uniform), or as a standard deviation",
    )  # fmt: skip
    distribution: Literal["uniform", "normal", "pareto"] = Field(
        default="uniform", description="of the jitter; pareto has rare, large delays"
    )


class NetworkBandwidth(OnConnections):
    """A link of so many bytes a second in each direction, which all connections share."""

    type: Literal["network-bandwidth"] = "network-bandwidth"
    rate: Size = Field(ge=100, le=10**10, description="bytes a second in each direction: 64KB; 100 B to 10 GB")


class NetworkReset(OnConnections):
    """Connections are reset (RST to both sides) after a time, or after so many bytes."""

    type: Literal["network-reset"] = "network-reset"
    after: Duration = Field(default=0.0, ge=0, description="seconds after a connection was opened, or the fault began")
    bytes: Size | None = Field(
        default=None, gt=0, description="instead of a time: once so many have passed, both directions together"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.bytes is not None and self.after:
            raise ValueError("a connection is reset after a time or after so many bytes: give one of `after`, `bytes`")
        return self


class NetworkRefused(OnConnections):
    """New connections are refused (RST); those that are open go on."""

    type: Literal["network-refused"] = "network-refused"
    existing: Literal["keep"] = Field(default="keep", description="connections that are open are left alone")
    share: Share = Field(
        default=1.0,
        gt=0,
        le=1,
        description="of the attempts to connect, 0 to 100%; for a container drawn by the kernel, which takes no seed, else from "
        "the run's",
    )


class NetworkBlackhole(OnConnections):
    """Bytes vanish in both directions while connections stay open; one that lost any is reset when the fault ends."""

    type: Literal["network-blackhole"] = "network-blackhole"
    existing: Literal["vanish", "reset", "keep"] = Field(  # type: ignore[assignment] # one way more than the others have
        default="vanish",
        description="connections that are open when the fault begins: their packets vanish too, until it ends, or they "
        "are reset once, or left alone",
    )


class NetworkHalfOpen(OnConnections):
    """One side sees the end of the connection, the other nothing: it waits on, until it is reset when the fault ends."""

    type: Literal["network-half-open"] = "network-half-open"
    seen_by: Literal["client", "server"] = Field(default="client", description="the side that sees the end")
    after: Duration = Field(default=0.0, ge=0, description="seconds after a connection was opened, or the fault began")


class NetworkSlowClose(OnConnections):
    """Bytes pass at once, but the end of a connection arrives late."""

    type: Literal["network-slow-close"] = "network-slow-close"
    delay: Duration = Field(gt=0, le=600, description="how much later, in either direction; up to 10 minutes")


class NetworkConnectionLimit(OnConnections):
    """At most so many connections at once; any more are reset as soon as they are made."""

    type: Literal["network-connection-limit"] = "network-connection-limit"
    connections: int = Field(ge=0, le=1_000_000, description="at once, all together; 0 lets nobody in")


class NetworkDataLimit(OnConnections):
    """A connection carries so many bytes, then it ends in good order, in the middle of whatever was under way."""

    type: Literal["network-data-limit"] = "network-data-limit"
    bytes: Size = Field(gt=0, description="in either direction: whichever is first reaches exactly so many")


class NetworkSlicing(OnConnections):
    """Bytes arrive in small pieces with pauses in between."""

    type: Literal["network-slicing"] = "network-slicing"
    size: Size = Field(default=64, gt=0, le=65536, description="bytes of a piece; 1 B to 64 KiB")
    pause: Duration = Field(default=0.01, ge=0.001, le=60, description="between two pieces; from 1 ms to 1 minute")


def fronted(plan: "Plan") -> frozenset[str]:
    """The processes and outside URLs that a fault made by the proxy acts on: the proxy stands before them all the run."""
    found = set()
    for experiment in plan.experiments:
        for _, fault in experiment.faults_at():
            service = plan.services.get(fault.where) if getattr(fault, "proxied", False) else None
            if service is not None and service.kind != "docker":
                found.add(fault.where)
    return frozenset(found)


ConnectionFault = (
    NetworkLatency | NetworkBandwidth | NetworkReset | NetworkRefused | NetworkBlackhole | NetworkHalfOpen
    | NetworkSlowClose | NetworkConnectionLimit | NetworkDataLimit | NetworkSlicing
)  # fmt: skip
