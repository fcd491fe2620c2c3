"""Which process a number stands for: numbers are given again, the moment at which a process began is not.

That moment is told by a clock that nobody sets. The time of day does not serve: the kernel derives it from the time at which it
booted, in whole seconds, and that changes whenever the clock is corrected, so that a live process would look like another one.
"""

import os
import sys
from pathlib import Path

import psutil

__all__ = ["born", "is_same"]

SAME = 0.02  # seconds: two ticks of the kernel's
_BEGAN = 19  # place of `starttime` in /proc/PID/stat behind the name, proc(5)


def born(pid: int) -> float:
    """When a process began: seconds since this machine's boot on Linux, since the epoch elsewhere.

    Raises:
        psutil.NoSuchProcess: there is none.
        psutil.AccessDenied: it may not be looked at.
    """
    if sys.platform != "linux":
        return psutil.Process(pid).create_time()
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    return int(text.rpartition(")")[2].split()[_BEGAN]) / os.sysconf("SC_CLK_TCK")


def is_same(pid: int, created: float) -> bool:
    """Whether the process of that number is the one that began then.

    Raises:
        psutil.NoSuchProcess: there is none.
        psutil.AccessDenied: it may not be looked at.
    """
    return abs(born(pid) - created) <= SAME
