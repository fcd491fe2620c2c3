"""Process trees and the host, by psutil."""

import os
from typing import Any

import psutil

__all__ = ["HostReader", "TreeReader", "whole_machine"]


class TreeReader:
    """One process and all its children, added up; CPU is the use since the last reading."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._root: psutil.Process | None = None
        self._known: dict[int, psutil.Process] = {}

    def read(self) -> dict[str, float]:
        """Series and values; empty when the process is gone."""
        first = self._root is None  # the use of CPU since the last reading is not known yet
        try:
            self._root = self._root or psutil.Process(self._pid)
            family = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return {}
        values = dict.fromkeys(("memory", "cpu", "threads", "open_files", "pids"), 0.0)
        current: dict[int, psutil.Process] = {}
        for member in family:
            known = self._known.get(member.pid)
            process = current[member.pid] = known if known is not None and known == member else member
            try:
                with process.oneshot():
                    values["memory"] += process.memory_info().rss
                    values["cpu"] += process.cpu_percent() / 100
                    values["threads"] += process.num_threads()
                    if hasattr(process, "num_fds"):  # not on Windows
                        values["open_files"] += process.num_fds()
                    values["pids"] += 1
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self._known = current
        if first:
            del values["cpu"]
        if not hasattr(psutil.Process, "num_fds"):
            del values["open_files"]
        return values if values["pids"] else {}


class HostReader:
    """The whole machine; CPU is the use since the last reading."""

    def __init__(self) -> None:
        # Not psutil.cpu_percent(): it remembers per thread, and readings come from any thread of a pool.
        self._last = psutil.cpu_times()

    def read(self) -> dict[str, float]:
        """Cores in use, bytes of memory in use."""
        now, last = psutil.cpu_times(), self._last
        values = {"memory": float(psutil.virtual_memory().used)}
        spent = _total(now) - _total(last)
        if spent > 0:
            self._last = now
            share = 1 - (_idle(now) - _idle(last)) / spent
            values["cpu"] = min(max(share, 0.0), 1.0) * (os.cpu_count() or 1)
        return values


def whole_machine(series: str) -> float:
    """How much there is of a series of `host`: cores, bytes of memory."""
    return float(psutil.virtual_memory().total) if series == "memory" else float(os.cpu_count() or 1)


def _total(times: Any) -> float:
    # Linux counts guests' time in `user` and `nice` as well.
    return float(sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def _idle(times: Any) -> float:
    return float(times.idle + getattr(times, "iowait", 0.0))
