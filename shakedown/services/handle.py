"""What the rest of the program knows of a service."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Address", "Handle"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a port of a service is reached from this machine."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:49152`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(slots=True)
class Handle:
    """One service of a run.

    Attributes:
        addresses: by port name, as reached from this machine.
        container: the container's id, which survives restarts.
        pid: of a process service, with the creation time that tells it from a later process of the same number.
        image: name and digest, for the report.
    """

    name: str
    kind: Literal["docker", "process", "external"]
    addresses: dict[str, Address] = field(default_factory=dict)
    container: str | None = None
    container_name: str | None = None
    pid: int | None = None
    created: float | None = None
    image: str = ""
