"""Faults of the network around a service.

==========  ===================================================
rules       what they have in common
latency     every byte later, through a transparent proxy
partition   no packet between a service and others
==========  ===================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.network.latency import LatencyFault
from shakedown.faults.network.partition import PartitionFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {"network-latency": LatencyFault, "network-partition": PartitionFault}
