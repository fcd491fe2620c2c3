"""Faults of the network around a service."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shakedown.plan.faults.base import FaultProblem, OnService, no_such
from shakedown.plan.services import listening_ports
from shakedown.plan.values import Duration, Name, Port

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = ["NetworkLatency", "NetworkPartition", "OnNetwork", "OnPorts"]


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


class NetworkLatency(OnPorts):
    """Every byte to and from the service's ports arrives later."""

    type: Literal["network-latency"] = "network-latency"
    latency: Duration = Field(gt=0, description="what a round trip takes longer")
    jitter: Duration = Field(default=0.0, ge=0, description="how far the latency may be off, either way; uniform")


class NetworkPartition(OnNetwork):
    """No packet passes between the service and its peers, either way; others still reach both."""

    type: Literal["network-partition"] = "network-partition"
    peers: list[Name] = Field(
        default=[], description="services to cut it off from; default: every other one of the run"
    )

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The peers are other services."""
        yield from super().problems(plan)
        for index, peer in enumerate(self.peers):
            if peer not in plan.services or peer == self.target:
                others = [name for name in plan.services if name != self.target]
                yield ("peers", index), *no_such("other service", peer, others)
