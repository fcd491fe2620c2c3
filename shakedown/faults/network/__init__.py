"""Faults of the network around a service.

================  ===================================================
rules             what they have in common
proxied           what those of them have in common that the proxy makes
latency           every byte later
bandwidth         so many bytes a second
slicing           small pieces
reset             connections reset
refused           connections refused
blackhole         bytes vanish
half_open         one side sees the end, the other nothing
slow_close        the end comes late
connection_limit  so many connections at once
data_limit        so many bytes, then the end
packets           what those of them have in common that act on single packets
addresses         whose packets they are
shares            whether the share that was counted is the one that was asked for
loss              packets vanish
corruption        packets with a bit flipped
duplication       packets twice
reordering        packets overtaken
delay             packets late
partition         no packet between services
================  ===================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.network.bandwidth import BandwidthFault
from shakedown.faults.network.blackhole import BlackholeFault
from shakedown.faults.network.connection_limit import ConnectionLimitFault
from shakedown.faults.network.corruption import CorruptionFault
from shakedown.faults.network.data_limit import DataLimitFault
from shakedown.faults.network.delay import DelayFault
from shakedown.faults.network.duplication import DuplicationFault
from shakedown.faults.network.half_open import HalfOpenFault
from shakedown.faults.network.latency import LatencyFault
from shakedown.faults.network.loss import LossFault
from shakedown.faults.network.partition import PartitionFault
from shakedown.faults.network.refused import RefusedFault
from shakedown.faults.network.reordering import ReorderingFault
from shakedown.faults.network.reset import ResetFault
from shakedown.faults.network.slicing import SlicingFault
from shakedown.faults.network.slow_close import SlowCloseFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "network-latency": LatencyFault,
    "network-bandwidth": BandwidthFault,
    "network-slicing": SlicingFault,
    "network-reset": ResetFault,
    "network-refused": RefusedFault,
    "network-blackhole": BlackholeFault,
    "network-half-open": HalfOpenFault,
    "network-slow-close": SlowCloseFault,
    "network-connection-limit": ConnectionLimitFault,
    "network-data-limit": DataLimitFault,
    "network-loss": LossFault,
    "network-corruption": CorruptionFault,
    "network-duplication": DuplicationFault,
    "network-reordering": ReorderingFault,
    "network-delay": DelayFault,
    "network-partition": PartitionFault,
}
