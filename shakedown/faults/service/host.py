"""A container's first process as this machine sees it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["began", "process_of"]


def process_of(container: "Container") -> int | None:
    """The number of a container's first process on this machine; None when the engine is on another one."""
    pid = int(container.attrs["State"]["Pid"])
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and str(container.id) in groups else None


def began(pid: int) -> str | None:
    """When a process that runs began, in the kernel's ticks; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
