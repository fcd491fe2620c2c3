"""Types to faults, and the catalogue for the documentation and `doctor`."""

from dataclasses import dataclass

from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.network_latency import LatencyFault
from shakedown.faults.network_partition import PartitionFault
from shakedown.faults.service_kill import KillFault
from shakedown.faults.service_pause import PauseFault
from shakedown.faults.service_stop import StopFault
from shakedown.plan.faults import (
    FaultPlan,
    NetworkLatency,
    NetworkPartition,
    ServiceKill,
    ServicePause,
    ServiceStop,
)

__all__ = ["CATALOGUE", "CatalogueEntry", "build_fault"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One fault as the documentation shows it."""

    type: str
    what: str
    mechanism: str
    proof: str
    undo: str
    layers: tuple[str, ...]
    needs: tuple[str, ...] = ()


_DOCKER = ("journal", "watchdog")
_NETWORK = ("journal", "watchdog", "agent deadline", "kernel deadline where there is `-m time`")
CATALOGUE = (
    CatalogueEntry("service-kill", "the main process gets a signal", KillFault.mechanism,
                   "container down, its ports closed", "started again", _DOCKER),
    CatalogueEntry("service-stop", "an orderly stop", StopFault.mechanism,
                   "container down, its ports closed", "started again", _DOCKER),
    CatalogueEntry("service-pause", "every process frozen", PauseFault.mechanism,
                   "freezer state, and no answer to a health look", "thawed", _DOCKER),
    CatalogueEntry("network-latency", "every byte comes later", LatencyFault.mechanism,
                   "delay of real chunks measured: at least 80 % of what was asked", "tagged rules deleted", _NETWORK, ("iptables",)),
    CatalogueEntry("network-partition", "no packet between services", PartitionFault.mechanism,
                   "dropped packets counted, and a peer falls silent", "tagged rules deleted", _NETWORK, ("iptables",)),
)  # fmt: skip


def build_fault(plan: FaultPlan, context: FaultContext) -> Fault:
    """The fault of a plan's entry; nothing is touched yet."""
    match plan:
        case ServiceKill():
            return KillFault(plan, context)
        case ServiceStop():
            return StopFault(plan, context)
        case ServicePause():
            return PauseFault(plan, context)
        case NetworkLatency():
            return LatencyFault(plan, context)
        case NetworkPartition():
            return PartitionFault(plan, context)
