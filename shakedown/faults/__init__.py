"""Faults: injected, proved, held, reverted, and proved gone.

::

    check the ground → write the intent down → inject → prove it took effect → hold
                     → revert → prove it is gone → strike the intent out

=================  ============================================================
base               what every fault is, and what it is given
life               the life of a fault, whatever happens in it
registry           types to faults; the catalogue
link               orders to an agent inside a container's network namespace
agent/             the agent's image
service_kill       the main process gets a signal
service_stop       an orderly stop, and a start
service_pause      every process frozen
network_latency    every byte later, through a transparent proxy
network_partition  no packet between a service and others
=================  ============================================================
"""

from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.life import run_fault
from shakedown.faults.registry import CATALOGUE, CatalogueEntry, build_fault

__all__ = ["CATALOGUE", "CatalogueEntry", "Fault", "FaultContext", "build_fault", "run_fault"]
