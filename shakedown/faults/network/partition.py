"""network-partition: no packet passes between the target and its peers, either way; the host still reaches both."""

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.network.rules import NetworkFault
from shakedown.plan.faults.network import NetworkPartition
from shakedown.plan.services import listening_ports
from shakedown.records.experiment import Proof

__all__ = ["PartitionFault"]

PROBE_WITHIN = 0.5


class PartitionFault(NetworkFault[NetworkPartition]):
    """The fault."""

    mechanism = "iptables DROP of the peers' addresses in the target's network namespace"
    proof = "dropped packets counted, and a peer that answered before is silent"

    def __init__(self, plan: NetworkPartition, context: FaultContext) -> None:
        super().__init__(plan, context)
        services = context.system.plan.services
        others = [name for name in services if name != plan.target and context.system.is_container(name)]
        self._peers = list(plan.peers) or others
        self._addresses: dict[str, str] = {}
        self._probe: tuple[str, int] | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"from {', '.join(self._peers)}"

    def check(self) -> None:
        """As every network fault; the peers have addresses, and one of them answers, so that its silence means something."""
        network = self.context.system.network
        for peer in self._peers:
            settings = self.context.container(peer).attrs["NetworkSettings"]["Networks"]
            address = settings.get(network, {}).get("IPAddress") if network else None
            if address:
                self._addresses[peer] = str(address)
        if not self._addresses:
            raise FaultRefusedError(f"none of {', '.join(self._peers)} has an address to cut off")
        super().check()
        for peer, address in self._addresses.items():
            for port in listening_ports(self.context.system.plan.services[peer]):
                if self._reaches(address, port):
                    self._probe = (address, port)
                    return

    def inject(self, deadline: float) -> None:
        """Drop."""
        self.order("partition", deadline, addresses=list(self._addresses.values()))

    def effect(self) -> Proof:
        """Packets met the rules, and a peer that answered before does not any more."""
        silent = self._probe is None or not self._reaches(*self._probe)
        packets = int(self.stats()["packets"])
        probed = (
            f"; {self._probe[0]}:{self._probe[1]}, which answered before, is {'silent' if silent else 'still there'}"
            if self._probe
            else ""
        )
        return Proof(held=packets > 0 and silent, evidence=f"{packets} packets dropped{probed}")

    def gone(self) -> Proof:
        """No rule is left, and the peer answers again."""
        proof = super().gone()
        if not proof.held or self._probe is None or self.restarted():
            return proof
        back = self._reaches(*self._probe)
        return Proof(held=back, evidence=f"{proof.evidence}; the peer {'answers again' if back else 'is still silent'}")

    def _reaches(self, host: str, port: int) -> bool:
        return bool(self.agent.ask("connect", host=host, port=port, within=PROBE_WITHIN)["connected"])
