"""The memory of a process and of everything that it started, looked at again and again until it ends."""

import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = ["PeakMemory", "waiter"]

FIRST_LOOK, LONGEST_LOOK, SLOWER = 0.02, 0.25, 1.4  # a short program is looked at, too, and a long one costs little
PROC = Path("/proc")


class PeakMemory:
    """The most that a process tree held at once.

    It is the sum of resident memory at the worst look, or the high-water mark that the kernel keeps of a single process,
    where that is more. Pages that processes share are counted for each of them. A process that left the tree (a daemon)
    is not seen.

    Attributes:
        bytes: 0 while nothing was seen.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._pause = FIRST_LOOK

    def pause(self) -> float:
        """How long to wait before the next look, seconds; longer each time."""
        pause, self._pause = self._pause, min(self._pause * SLOWER, LONGEST_LOOK)
        return pause

    def look(self, pid: int) -> None:
        """Look at a process and all its children."""
        resident, highest = _of_tree(pid) if PROC.joinpath("self/task").exists() else (_of_tree_by_psutil(pid), 0)
        self.bytes = max(self.bytes, resident, highest)

    def at_least(self, size: int) -> None:
        """Something else measured so much."""
        self.bytes = max(self.bytes, size)


def _of_tree(pid: int) -> tuple[int, int]:
    """Resident memory of all, and the highest mark of one of them, bytes; as Linux tells it (proc_pid_status(5))."""
    resident = highest = 0
    seen: set[int] = set()
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        home = PROC / str(one)
        with suppress(OSError, ValueError):
            for line in (home / "status").read_text(encoding="ascii", errors="replace").splitlines():
                if line.startswith("VmHWM:"):
                    highest = max(highest, int(line.split()[1]) * 1024)
                elif line.startswith("VmRSS:"):
                    resident += int(line.split()[1]) * 1024
                    break
        with suppress(OSError, ValueError):
            for task in (home / "task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
    return resident, highest


def _of_tree_by_psutil(pid: int) -> int:
    total = 0
    try:
        tree = psutil.Process(pid)
        family = [tree, *tree.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += int(member.memory_info().rss)
    return total


def waiter(pid: int, wait: Callable[[float], bool]) -> tuple[Callable[[float], bool], Callable[[], None]]:
    """A way to wait for a process for some seconds at most, which says whether it ended; and what to call at last.

    The kernel tells at once (pidfd_open(2)); where it cannot, `wait` is asked.
    """
    try:
        import os  # noqa: PLC0415 - only Linux has what is used of it

        handle = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return wait, lambda: None
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return lambda seconds: bool(poll.poll(seconds * 1000)), lambda: os.close(handle)
