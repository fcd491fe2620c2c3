"""Process trees and the host, by psutil."""

import os

import psutil

__all__ = ["TreeReader", "read_host"]


class TreeReader:
    """One process and all its children, added up; CPU is the use since the last reading."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._known: dict[int, psutil.Process] = {}

    def read(self) -> dict[str, float]:
        """Series and values; empty when the process is gone."""
        try:
            family = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return {}
        values = dict.fromkeys(("memory", "cpu", "threads", "open_files", "pids"), 0.0)
        current: dict[int, psutil.Process] = {}
        for member in family:
            process = current[member.pid] = self._known.get(member.pid, member)
            try:
                with process.oneshot():
                    values["memory"] += process.memory_info().rss
                    values["cpu"] += process.cpu_percent() / 100
                    values["threads"] += process.num_threads()
                    if hasattr(process, "num_fds"):
                        values["open_files"] += process.num_fds()
                    values["pids"] += 1
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self._known = current
        return values if values["pids"] else {}


def read_host() -> dict[str, float]:
    """The whole machine: cores in use since the last call, bytes of memory in use."""
    cores = os.cpu_count() or 1
    return {"cpu": psutil.cpu_percent() / 100 * cores, "memory": float(psutil.virtual_memory().used)}
