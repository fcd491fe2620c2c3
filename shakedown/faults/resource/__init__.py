"""Faults of what a service may use.

===============  ==================================================================
memory_limit     the container's memory limit lowered
cpu_limit        its CPU limit lowered
pids             its limit of processes lowered
memory_pressure  memory held inside its own limits
cpu_hog          busy processes inside its own limits
oom_kill         memory beyond the limit, until the kernel kills for it
disk_full        a tmpfs or volume filled with a file
open_files       no more open files for the running processes
slow_disk        reads and writes throttled
limits           what the faults that lower a limit have in common
helper           what the faults that are processes of ours have in common
inside           processes of ours inside a container
rlimits          limits of running processes, lowered and set back
cgroup           what the kernel says of a container's resources, in both layouts
tools/           the image of a static shell, for containers that have none
===============  ==================================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.resource.cpu_hog import CpuHogFault
from shakedown.faults.resource.cpu_limit import CpuLimitFault
from shakedown.faults.resource.disk_full import DiskFullFault
from shakedown.faults.resource.memory_limit import MemoryLimitFault
from shakedown.faults.resource.memory_pressure import MemoryPressureFault
from shakedown.faults.resource.oom_kill import OomKillFault
from shakedown.faults.resource.open_files import OpenFilesFault
from shakedown.faults.resource.pids import PidsFault
from shakedown.faults.resource.slow_disk import SlowDiskFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "resource-memory-limit": MemoryLimitFault,
    "resource-cpu-limit": CpuLimitFault,
    "resource-pids": PidsFault,
    "resource-memory-pressure": MemoryPressureFault,
    "resource-cpu-hog": CpuHogFault,
    "resource-oom-kill": OomKillFault,
    "resource-disk-full": DiskFullFault,
    "resource-open-files": OpenFilesFault,
    "resource-slow-disk": SlowDiskFault,
}
