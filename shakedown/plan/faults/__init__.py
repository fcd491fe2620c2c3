"""What a plan may say about faults; shakedown.faults has one module for each of them.

=========  ==================================================
base       what every fault has in common; what goes together
service    whole services: kill, stop, pause
network    the network around a service
=========  ==================================================
"""

from typing import Annotated

from pydantic import Field

from shakedown.plan.faults.base import FaultModel, OnService, conflict
from shakedown.plan.faults.network import NetworkLatency, NetworkPartition
from shakedown.plan.faults.service import ServiceKill, ServicePause, ServiceStop

__all__ = ["FaultModel", "FaultPlan", "OnService", "conflict"]

FaultPlan = Annotated[
    ServiceKill | ServiceStop | ServicePause | NetworkLatency | NetworkPartition,
    Field(discriminator="type"),
]
