"""The Docker engine: found, or its absence explained."""

import os
from typing import TYPE_CHECKING

from shakedown.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["find_engine"]


def find_engine(*, timeout: float = 60.0) -> "DockerClient":
    """A client of the engine that `DOCKER_HOST` names, or of the local one.

    Args:
        timeout: the longest that one call may take, seconds.

    Raises:
        EngineError: none answers, with the reason and what to do.
    """
    import docker  # noqa: PLC0415 - 0.15 s that only runs with containers pay
    from docker.errors import DockerException  # noqa: PLC0415

    host = os.environ.get("DOCKER_HOST", "the local socket")
    try:
        client = docker.from_env(timeout=int(timeout), max_pool_size=32)
        client.ping()
    except (DockerException, OSError) as error:
        text = str(error)
        if "Permission denied" in text or "PermissionError" in text:
            hint = "add your user to the group `docker`, or run as root"
        else:
            hint = "start Docker (as root on Debian: `dockerd &`), or point DOCKER_HOST at an engine"
        raise EngineError(f"no Docker engine answers at {host}: {text}", hint=hint) from None
    return client
