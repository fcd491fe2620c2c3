"""Faults of whole services."""

from typing import ClassVar, Literal

from pydantic import Field

from shakedown.plan.base import Kind
from shakedown.plan.faults.base import OnService
from shakedown.plan.values import Duration

__all__ = ["ServiceKill", "ServicePause", "ServiceStop"]


class _WholeService(OnService):
    """Nothing else may touch the service meanwhile."""

    def claims(self) -> frozenset[str]:
        """All of it."""
        return frozenset({self.target})


class ServiceKill(_WholeService):
    """The service's main process gets a signal and stays down for the hold time."""

    type: Literal["service-kill"] = "service-kill"
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] = Field(
        default="SIGKILL", description="the signal that its first process gets"
    )


class ServiceStop(_WholeService):
    """An orderly stop (SIGTERM, then SIGKILL after `grace`), and a start at the end of the hold time."""

    type: Literal["service-stop"] = "service-stop"
    grace: Duration = Field(default=5.0, ge=0, description="seconds between SIGTERM and SIGKILL")


class ServicePause(_WholeService):
    """Every process of the service is frozen: connections stay open, nothing answers."""

    works_on: ClassVar[frozenset[Kind]] = frozenset({"docker"})
    type: Literal["service-pause"] = "service-pause"
