"""Networks and volumes."""

import time
from typing import TYPE_CHECKING, Literal

from shakedown.guard.labels import RUN
from shakedown.guard.undo.base import Operation
from shakedown.guard.undo.containers import REMOVAL_LIMIT

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["NetworkRemove", "VolumeRemove", "remove_network", "remove_volume"]


class NetworkRemove(Operation):
    """Remove a network of ours."""

    op: Literal["network-remove"] = "network-remove"
    network: str


class VolumeRemove(Operation):
    """Remove a named volume of ours."""

    op: Literal["volume-remove"] = "volume-remove"
    volume: str


def remove_network(name: str, client: "DockerClient") -> str:
    """Remove a network, also while the containers on it are being removed by somebody else."""
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see engine.find_engine

    until = time.monotonic() + REMOVAL_LIMIT
    while True:
        network = client.networks.get(name)
        if RUN not in (network.attrs.get("Labels") or {}):
            return f"network {name} is not ours"
        try:
            for container in network.attrs.get("Containers") or {}:
                network.disconnect(container, force=True)
            network.remove()
        except NotFound:  # the network, or a container on it
            if time.monotonic() > until:
                raise
        except APIError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return f"network {name} removed"


def remove_volume(name: str, client: "DockerClient") -> str:
    """Remove a volume."""
    volume = client.volumes.get(name)
    if RUN not in (volume.attrs.get("Labels") or {}):
        return f"volume {name} is not ours"
    volume.remove(force=True)
    return f"volume {name} removed"
