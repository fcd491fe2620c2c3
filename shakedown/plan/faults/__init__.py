"""What a plan may say about faults; shakedown.faults has one module for each of them.

=========  ==================================================
base       what every fault has in common; what goes together
service    whole services: killed, stopped, frozen, replaced …
network    the network around a service: its connections
packets    the network around a service: single packets, partitions
http       answers to HTTP requests
tls        how the proxy reads requests on connections that speak TLS
dns        a service's look-ups of names
resource   what a service may use: memory, CPU, processes, files, disk
databases  PostgreSQL and Redis
custom     the user's own: commands, or a Python class
=========  ==================================================
"""

from typing import Annotated

from pydantic import Field

from shakedown.plan.faults.base import FaultModel, OnService, conflict
from shakedown.plan.faults.custom import CustomCommand, CustomPython
from shakedown.plan.faults.databases import DatabaseFault
from shakedown.plan.faults.dns import DnsFault
from shakedown.plan.faults.http import HttpFault
from shakedown.plan.faults.network import ConnectionFault, fronted
from shakedown.plan.faults.packets import (
    NetworkCorruption,
    NetworkDelay,
    NetworkDuplication,
    NetworkLoss,
    NetworkPartition,
    NetworkReordering,
)  # fmt: skip
from shakedown.plan.faults.resource import ResourceFault
from shakedown.plan.faults.service import ServiceFault

__all__ = ["FaultModel", "FaultPlan", "OnService", "conflict", "fronted"]

FaultPlan = Annotated[
    ServiceFault
    | ConnectionFault
    | NetworkPartition
    | NetworkLoss
    | NetworkCorruption
    | NetworkDuplication
    | NetworkReordering
    | NetworkDelay
    | HttpFault
    | DnsFault
    | ResourceFault
    | DatabaseFault
    | CustomCommand
    | CustomPython,
    Field(discriminator="type"),
]
