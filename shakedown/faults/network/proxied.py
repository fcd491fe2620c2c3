"""What the faults made by the proxy have in common: which connections, through which proxy, and what the proxy itself costs.

Before a container, the agent in its network namespace redirects connections to its own proxy. Before a process or an
outside URL, the proxy stands in the foreground from the run's start on.
"""

import ipaddress
import socket
from typing import Any, ClassVar, TypeVar

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.network.rules import NetworkFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.network import OnConnections
from shakedown.plan.services import ExternalService, listening_ports
from shakedown.records.experiment import Proof
from shakedown.services.foreground import ForegroundProxy
from shakedown.units import format_duration, format_share

__all__ = ["ProxiedFault"]

P = TypeVar("P", bound=OnConnections)

REDIRECTED = "iptables REDIRECT to a transparent proxy in the target's network namespace"
_EXISTING = {
    "reset": "open connections reset once",
    "keep": "connections that are open already are left alone",
    "vanish": "packets of open connections dropped",
}
IN_FRONT = "the proxy in the foreground, which stands before the service from the run's start on"


class ProxiedFault(NetworkFault[P]):
    """A fault of connections through the proxy; a subclass says its `kind`, its `options`, what it `shows` and what proves it."""

    kind: ClassVar[str]
    kind_in_front: ClassVar[str | None] = None  # where the proxy in the foreground does it differently
    mechanism = f"{REDIRECTED}; open connections reset once. Processes and outside URLs: {IN_FRONT}"
    reversal = "the proxy hands every byte on again; its tagged rules deleted, and nothing else"
    needs = ("iptables with nat and REDIRECT (containers)",)

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._front: ForegroundProxy | None = None
        self._connections: list[dict[str, Any]] = []
        self._own_cost: float | None = None

    # ---------------------------------------------------------------------------------------------- what subclasses say
    @property
    def shows(self) -> str:
        """Its own parameters, for the report."""
        return ""

    def options(self) -> dict[str, Any]:
        """Its own part of the order."""
        return {}

    # -------------------------------------------------------------------------------------------------------- the steps
    @property
    def parameters(self) -> str:
        """For the report: `200 ms, connections to port 8000 from api, 30 % of them`."""
        plan = self.plan
        ports = plan.ports or (
            listening_ports(self.context.system.plan.services[plan.target]) if plan.direction == "in" else []
        )
        ways = {"in": "connections to", "out": "connections it makes to", "both": "connections to and from"}
        words = f"{ways[plan.direction]} {'port ' + ', '.join(map(str, ports)) if ports else 'known ports'}"
        if plan.peers:
            words += f" ({'of' if plan.direction == 'out' else 'with'} {', '.join(plan.peers)})"
        share = [f"{format_share(plan.share)} of them"] if plan.share < 1 else []
        return ", ".join([*([self.shows] if self.shows else []), words, *share])

    def check(self) -> None:
        """The proxy is there and answers; what it costs by itself is measured."""
        system = self.context.system
        if system.is_container(self.plan.target):
            super().check()
            self._connections = list(self._in_namespace())
            if not self._connections:
                raise FaultRefusedError(
                    f"none of {', '.join(self.plan.peers) or 'the services'} has an address to look for"
                )
            self.mechanism = f"{REDIRECTED}; {_EXISTING[self.plan.existing]}"
        else:
            self._front = system.front(self.plan.target)
            if self._front is None:
                raise FaultRefusedError(
                    f"no proxy stands before `{self.plan.target}`: nothing that a fault could act on"
                )
            self.mechanism, self.layers = IN_FRONT, ("journal", "watchdog", "the proxy's deadline")
        try:
            self._own_cost = float(self._ask("calibrate")["p50"])
        except FaultError:  # it costs what it costs; the proof will say that it is not known
            self._own_cost = None

    def _in_namespace(self) -> list[dict[str, Any]]:
        """The connections meant, as the agent knows them."""
        plan, services = self.plan, self.context.system.plan.services
        found: list[dict[str, Any]] = []
        if plan.direction in ("in", "both"):
            addresses = [address for peer in plan.peers for address in self._addresses(peer)]
            if addresses or not plan.peers:
                ports = plan.ports or listening_ports(services[plan.target])
                found.append({"direction": "in", "ports": ports, "addresses": addresses})
        if plan.direction in ("out", "both"):
            if plan.ports and not plan.peers:
                return [*found, {"direction": "out", "ports": plan.ports, "addresses": []}]
            for peer in plan.peers or [name for name in services if name != plan.target]:
                ports, addresses = plan.ports or listening_ports(services[peer]), self._addresses(peer)
                if ports and addresses:
                    found.append({"direction": "out", "ports": ports, "addresses": addresses})
        return found

    def _addresses(self, peer: str) -> list[str]:
        """Where a service is, as the target sees it."""
        system = self.context.system
        service = system.plan.services[peer]
        if isinstance(service, ExternalService):
            host = system.handle(peer).addresses["http"].host
            try:
                infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except OSError as error:
                raise FaultRefusedError(f"`{peer}`: {host} has no address: {error}") from error
            return sorted({str(info[4][0]) for info in infos if not ipaddress.ip_address(info[4][0]).is_loopback})
        if not system.is_container(peer) or system.network is None:
            return []
        networks = self.context.container(peer).attrs["NetworkSettings"]["Networks"].values()  # the target may know any
        return [str(one[key]) for one in networks for key in ("IPAddress", "GlobalIPv6Address") if one.get(key)]

    def _ask(self, do: str, **order: object) -> dict[str, Any]:
        return self._front.ask(do, **order) if self._front is not None else self.agent.ask(do, **order)

    def undo(self) -> Undo:
        """As every network fault; of the proxy in the foreground, its end."""
        return self._front.undo if self._front is not None else super().undo()

    def inject(self, deadline: float) -> None:
        """Give the order to whichever proxy it is."""
        seed = f"{self.context.seed}:{self.plan.target}"
        if self._front is not None:
            kind, order = self.order_in_front(seed)
            self._front.ask("inject", kind=kind, tag=self._tag, deadline=deadline, **order)
            return
        self.order(
            self.kind, deadline, connections=self._connections, share=self.plan.share, existing=self.plan.existing,
            seed=seed, **self.options(),
        )  # fmt: skip

    def order_in_front(self, seed: object) -> tuple[str, dict[str, Any]]:
        """Kind and order for a proxy that stands before a service, whatever connection comes."""
        everything = [{"direction": "in", "ports": self.plan.ports}]
        return self.kind_in_front or self.kind, {
            "connections": everything, "share": self.plan.share, "seed": str(seed), **self.options()
        }  # fmt: skip

    def stats(self) -> dict[str, Any]:
        """What the proxy counted so far, of this fault."""
        return self._ask("stats", tag=self._tag)

    def revert(self) -> None:
        """Ask the proxy; connections through it go on."""
        if self._front is None:
            super().revert()
        elif self._front.alive:
            self._front.ask("revert", tag=self._tag)

    def gone(self) -> Proof:
        """No rule of ours is left, or the proxy in the foreground does nothing any more."""
        if self._front is None:
            return super().gone()
        if not self._front.alive:
            return Proof(
                held=False, evidence="the proxy in the foreground has ended, and with it the way to the service"
            )
        left = int(self.stats()["rules"])
        return Proof(
            held=left == 0, evidence=f"the proxy {'still disturbs connections' if left else 'hands every byte on'}"
        )

    # ------------------------------------------------------------------------------------------------- words of a proof
    def met(self, stats: dict[str, Any]) -> str:
        """Which connections it met, for the evidence."""
        number, seen, closed = int(stats["connections"]), int(stats["seen"]), int(stats["reset"])
        words = [
            f"{number} of {seen} connections through the proxy"
            if number != seen
            else f"{number} connections through the proxy"
        ]
        if closed:
            words.append(f"{closed} that were open before reset once")
        if stats["broken"]:
            words.append(f"{stats['broken']} broken by an error of the proxy ({stats['last_error']})")
        if stats["uncovered"]:
            words.append(str(stats["uncovered"]))
        return ", ".join(words)

    def own_cost(self) -> str:
        """What the proxy itself adds, for the evidence."""
        if self._own_cost is None:
            return "the proxy's own cost could not be measured"
        return f"the proxy itself adds {format_duration(self._own_cost)} (p50), which is not counted"
