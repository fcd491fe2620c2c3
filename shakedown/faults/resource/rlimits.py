"""Limits of open files of running processes, lowered from outside and set back.

Run as a program it is the undo: `python -m shakedown.faults.resource.rlimits '{"processes": […], …}'`.
"""

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from shakedown.guard.identity import born, is_same

__all__ = ["Lowered", "Scope", "lowest_free", "main", "soft_limit"]

PASSES = 50  # a process that forks meanwhile hands its limit on


class Scope(BaseModel):
    """Whose processes: a container's on this machine, or a process with all its children."""

    model_config = ConfigDict(frozen=True)
    container: str = ""
    pid: int = 0
    created: float = 0.0

    def members(self) -> Iterator[int]:
        """Their numbers on this machine, now; the first process of a container or family comes first."""
        if not self.container:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(self.pid)
                if is_same(self.pid, self.created):
                    yield from [root.pid, *(child.pid for child in root.children(recursive=True))]
            return
        for pid in psutil.pids():
            with contextlib.suppress(OSError):
                if self.container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
                    yield pid


class _Process(BaseModel):
    """One process, its limit before and meanwhile."""

    model_config = ConfigDict(frozen=True)
    pid: int
    created: float
    soft: int
    lowered: int


class Lowered(BaseModel):
    """Which limits were lowered, and what they were: all that is needed to set them back, in another process too."""

    model_config = ConfigDict(frozen=True)
    scope: Scope
    processes: tuple[_Process, ...]

    @classmethod
    def plan(cls, scope: Scope, leave: int) -> "Lowered":
        """What is to be lowered: each process may open `leave` files more than it has open.

        Raises:
            OSError: a process may not be looked at, or its limit not set.
        """
        found = []
        for pid in scope.members():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess):
                soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))  # changes nothing, and tells whether we may
                lowered = lowest_free(pid) + leave
                if soft == resource.RLIM_INFINITY or lowered < soft:
                    found.append(_Process(pid=pid, created=born(pid), soft=soft, lowered=lowered))
        return cls(scope=scope, processes=tuple(found))

    def alive(self) -> list[_Process]:
        """Those that are still there."""
        found = []
        for process in self.processes:
            with contextlib.suppress(psutil.Error):
                if is_same(process.pid, process.created):
                    found.append(process)
        return found

    def lower(self) -> None:
        """Lower them. The hard limits stay, so that no right is needed to go back."""
        for process in self.alive():
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (process.lowered, hard))

    def left(self) -> dict[int, int]:
        """Processes whose limit is still lowered, and what it is to be; children got theirs from a lowered one."""
        own = {process.pid: process for process in self.alive()}
        inherited = {process.lowered: process.soft for process in reversed(self.processes)}
        found = {}
        for pid in self.scope.members():
            with contextlib.suppress(OSError):
                soft = soft_limit(pid)
                if pid in own and soft == own[pid].lowered:
                    found[pid] = own[pid].soft
                elif pid not in own and soft in inherited:
                    found[pid] = inherited[soft]
        return found

    def restore(self) -> int:
        """Set them back; how many stay lowered all the same."""
        for _ in range(PASSES):
            left = self.left()
            if not left:
                return 0
            for pid, soft in left.items():
                with contextlib.suppress(ProcessLookupError):
                    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                    within = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, (within, hard))
        return len(self.left())


def soft_limit(pid: int) -> int:
    """How many files a process may have open.

    Raises:
        OSError: it is gone, or may not be looked at.
    """
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def lowest_free(pid: int) -> int:
    """The number that the next file would get: opening it fails when this is not below the limit.

    Raises:
        OSError: it is gone, or may not be looked at.
    """
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def main() -> int:
    """Set back what the first argument says; the exit code is 0 when nothing stays lowered."""
    left = Lowered.model_validate_json(sys.argv[1]).restore()
    if left:
        sys.stdout.write(f"{left} processes keep a lowered limit of open files\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
