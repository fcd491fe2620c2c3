"""What a plan may say about a fault; shakedown.faults has one module for each of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shakedown.plan.values import Duration, Port

__all__ = [
    "FaultPlan",
    "NetworkLatency",
    "NetworkPartition",
    "ServiceKill",
    "ServicePause",
    "ServiceStop",
]


class FaultModel(BaseModel):
    """The base of every fault: where it acts."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    target: str  # a service of the plan


class ServiceKill(FaultModel):
    """The service's main process gets a signal (SIGKILL by default) and stays down for the hold time."""

    type: Literal["service-kill"]
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] = "SIGKILL"


class ServiceStop(FaultModel):
    """An orderly stop (SIGTERM, then SIGKILL after `grace`), and a start at the end of the hold time."""

    type: Literal["service-stop"]
    grace: Duration = 5.0


class ServicePause(FaultModel):
    """Every process of the service is frozen: connections stay open, nothing answers."""

    type: Literal["service-pause"]


class NetworkLatency(FaultModel):
    """Every byte to the service's ports arrives later by `latency`, through a transparent proxy in its network."""

    type: Literal["network-latency"]
    latency: Duration = Field(gt=0)
    jitter: Duration = 0.0
    ports: list[Port] = []  # default: all ports of the plan's service, and its health port


class NetworkPartition(FaultModel):
    """No packet passes between the service and `peers` (default: every other service of the run), either way."""

    type: Literal["network-partition"]
    peers: list[str] = []


FaultPlan = Annotated[
    ServiceKill | ServiceStop | ServicePause | NetworkLatency | NetworkPartition, Field(discriminator="type")
]
