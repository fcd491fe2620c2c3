"""network-partition: no packet passes between the target and its peers, or between groups; the host still reaches all.

::

    target: a, peers: [b, c]          rules in a's namespace
    between: [[a, b], [c], [d, e]]    rules in the namespaces of a and b (against c, d, e) and of c (against d, e)

Packets on the way in are dropped before anything else sees them; those on the way out go to a queue that nobody listens
to, where the kernel has queues, so that the sender learns nothing, as with a cut cable.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.agents import AgentLink
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.network.addresses import addresses_of
from shakedown.guard.undo import RulesRemove, Undo, carry_out
from shakedown.plan.faults.packets import NetworkPartition
from shakedown.plan.services import listening_ports
from shakedown.records.experiment import Proof

__all__ = ["PartitionFault"]

PROBE_WITHIN = 0.3
PROBES = 6  # peers that are asked for a sign of life, at most


@dataclass(slots=True)
class _Post:
    """One namespace in which packets are dropped.

    Attributes:
        peers: who is on the other side.
        addresses: theirs, as they were when the fault began.
        probes: how those were reached that answered before: (peer, order to the agent).
    """

    service: str
    peers: list[str]
    agent: AgentLink
    addresses: dict[str, list[str]] = field(default_factory=dict)
    probes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answers(self, probe: dict[str, Any]) -> bool:
        """Whether a peer shows a sign of life."""
        answer = self.agent.ask(**probe)
        return bool(answer["connected"] if probe["do"] == "connect" else answer["seconds"])


class PartitionFault(Fault[NetworkPartition]):
    """The fault."""

    mechanism = "iptables: DROP of the peers' packets on the way in, a queue with no listener (or DROP) on the way out"
    proof = "dropped packets counted, and every peer that answered before is silent"
    reversal = "the agents' tagged rules deleted, and nothing else"
    needs = ("iptables",)
    layers: tuple[str, ...] = ("journal", "watchdog", "agent deadline", "kernel deadline where there is `-m time`")

    def __init__(self, plan: NetworkPartition, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.layers = ("journal", "watchdog", "agent deadline")
        self._tag = f"shakedown:{secrets.token_hex(6)}"
        self._posts: list[_Post] = []
        self._loud: list[str] | None = None  # who answered when the effect was last looked for

    @property
    def agent(self) -> AgentLink:
        """The agent of the target, or of the first group's first member, once it is there."""
        if not self._posts:
            raise FaultError("the agent was never started")
        return self._posts[0].agent

    @property
    def parameters(self) -> str:
        """For the report."""
        words = {"in": ", packets to it only", "out": ", packets from it only", "both": ""}[self.plan.direction]
        if self.plan.target:
            return f"from {', '.join(self._sides()[0][1])}{words}"
        return f"{self.plan.where}{words.replace('it', 'the first group')}"

    def _sides(self) -> list[tuple[str, list[str]]]:
        """Each service whose namespace gets rules, and whom it is cut off from."""
        if self.plan.target:
            system = self.context.system
            others = [name for name in system.plan.services if name != self.plan.target and system.lasts(name)]
            return [(self.plan.target, list(self.plan.peers) or others)]
        groups = self.plan.between
        return [
            (name, [other for later in groups[number + 1 :] for other in later])
            for number, group in enumerate(groups[:-1])
            for name in group
        ]

    def check(self) -> None:
        """Everyone has addresses, an agent answers on one side; who answers before is noted: silence must mean something."""
        self._posts = []
        for service, peers in self._sides():
            addresses = {peer: addresses_of(self.context, peer) for peer in peers}
            if not addresses:
                raise FaultRefusedError(f"`{service}` has nobody to be cut off from")
            agent = self.context.agents.beside(service, self.context.running(service))
            self._posts.append(_Post(service, peers, agent, addresses))
        silent = self.agent.abilities["queue"]
        out = "NFQUEUE with no listener, which is silent," if silent else "DROP, which UDP senders are told,"
        ways = {"in": "DROP on the way in", "out": f"{out} on the way out"}
        wanted = ("in", "out") if self.plan.direction == "both" else (self.plan.direction,)
        self.mechanism = f"iptables, by the peers' addresses: {'; '.join(ways[way] for way in wanted)}"
        for post in self._posts:
            self._find_probes(post)

    def _find_probes(self, post: _Post) -> None:
        """A port that accepts a connection, or else an echo, of each peer."""
        for peer, addresses in post.addresses.items():
            for probe in self._ways_to_ask(peer, addresses):
                if len(post.probes) < PROBES and post.answers(probe):
                    post.probes.append((peer, probe))
                    break

    def _ways_to_ask(self, peer: str, addresses: list[str]) -> list[dict[str, Any]]:
        ports = listening_ports(self.context.system.plan.services[peer])
        ways: list[dict[str, Any]] = [
            {"do": "connect", "host": addresses[0], "port": port, "within": PROBE_WITHIN} for port in ports if port
        ]
        if ":" not in addresses[0]:
            ways.append(
                {"do": "echo", "host": addresses[0], "count": 1, "within": PROBE_WITHIN, "patience": PROBE_WITHIN}
            )
        return ways

    def undo(self) -> Undo:
        """Remove the tagged rules from every namespace, through fresh helpers if need be."""
        first, *others = [str(self.context.system.handle(post.service).container) for post in self._posts]
        return RulesRemove(container=first, others=others, tag=self._tag, image=self.agent.image)

    def inject(self, deadline: float) -> None:
        """Drop."""
        for post in self._posts:
            post.agent.ask(
                "inject", kind="partition", tag=self._tag, deadline=deadline, direction=self.plan.direction,
                addresses=[one for addresses in post.addresses.values() for one in addresses],
            )  # fmt: skip
        if self.agent.abilities["time"]:
            self.layers = ("journal", "watchdog", "agent deadline", "kernel deadline")

    def effect(self) -> Proof:
        """Those who answered before do not any more, and packets met the rules in every namespace."""
        self._loud = [
            f"{post.service} → {peer}" for post in self._posts for peer, probe in post.probes if post.answers(probe)
        ]
        return self._cut(self._loud)

    def still(self) -> Proof | None:
        """No rule was removed and nobody moved; who was silent is not waited for again."""
        return self.effect() if self._loud is None else self._cut(self._loud)

    def _cut(self, loud: list[str]) -> Proof:
        """What the rules say, and who was heard although they stand."""
        asked = sum(len(post.probes) for post in self._posts)
        packets: dict[str, int] = {}
        removed = 0
        for post in self._posts:
            stats = post.agent.ask("stats", tag=self._tag)
            packets[post.service] = sum(int(stats[way]["hit"]) for way in ("in", "out") if way in stats)
            removed += max(int(stats["placed"]) - int(stats["rules"]), 0)
        if loud:
            probed = f"still answering: {', '.join(loud)}"
        elif asked:
            probed = f"all {asked} peers that answered before are silent"
        else:
            probed = "no peer answered before, so that silence says nothing"
        moved = self._moved()
        return Proof(
            held=not loud and not moved and not removed and all(packets.values()),
            evidence=f"{', '.join(f'{count:,} packets dropped at {name}' for name, count in packets.items())}; {probed}"
            + (f"; {', '.join(moved)} came back with another address: the cut did not last" if moved else "")
            + (f"; {removed} of our rules were removed by somebody else" if removed else ""),
        )

    def _moved(self) -> list[str]:
        """Peers that were started anew and have other addresses by now: nothing keeps them away any more."""
        return [
            peer
            for post in self._posts
            for peer, addresses in post.addresses.items()
            if self.context.system.is_container(peer)
            and (now := _addresses_now(self.context, peer))
            and now != addresses
        ]

    def revert(self) -> None:
        """Ask the agents; where one is gone, remove the rules from outside."""
        mute: list[str] = []
        for post in self._posts:  # the agents first, and nobody before them: the engine may take its time
            try:
                post.agent.ask("revert", tag=self._tag)
            except FaultError:
                mute.append(post.service)
        if mute and not set(mute) <= set(self._restarted()):
            carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """No rule with our tag is left anywhere, and the peers that still run answer again."""
        rules = 0
        words: list[str] = []
        there: list[_Post] = []
        restarted = self._restarted()
        for post in self._posts:
            if post.service in restarted:
                words.append(f"the namespace of {post.service}, and every rule in it, is gone")
                continue
            try:
                rules += int(post.agent.ask("stats", tag=self._tag)["rules"])
                there.append(post)
            except FaultError:
                words.append(carry_out(self.undo(), self.context.client))
        if rules:
            return Proof(held=False, evidence=f"{rules} rules of ours are still there")
        moved = self._moved()
        probes = [
            (post, peer, probe)
            for post in there
            for peer, probe in post.probes
            if self._runs(peer) and peer not in moved
        ]
        mute = [f"{post.service} → {peer}" for post, peer, probe in probes if not post.answers(probe)]
        if mute:
            return Proof(held=False, evidence=f"no rule of ours is left, but still silent: {', '.join(mute)}")
        if there:
            words.append("no rule of ours is left" + (f", and {len(probes)} peers answer again" if probes else ""))
        return Proof(held=True, evidence="; ".join(words))

    def _runs(self, peer: str) -> bool:
        try:
            return not self.context.system.is_container(peer) or self.context.container(peer).status == "running"
        except FaultError:
            return False

    def _restarted(self) -> list[str]:
        """Services whose namespaces, with our rules, are gone."""
        found: list[str] = []
        for post in self._posts:
            try:
                state = self.context.container(post.service).attrs["State"]
            except FaultError:
                found.append(post.service)
                continue
            if not state["Running"] or str(state["StartedAt"]) != post.agent.namespace:
                found.append(post.service)
        return found


def _addresses_now(context: FaultContext, peer: str) -> list[str]:
    """A container's addresses as they are; none while it is down or gone."""
    try:
        return addresses_of(context, peer)
    except FaultError:
        return []
