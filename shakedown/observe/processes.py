"""Process trees and the host, by psutil."""

import os
from collections.abc import Callable
from typing import Any

import psutil

__all__ = ["HostReader", "TreeReader", "whole_machine"]

SOCKETS = {
    psutil.CONN_ESTABLISHED: "sockets_established", psutil.CONN_CLOSE_WAIT: "sockets_close_wait",
    psutil.CONN_TIME_WAIT: "sockets_time_wait",
}  # fmt: skip


class TreeReader:
    """One process and all its children, added up; CPU is the use since the last reading.

    Args:
        pid: its number at the time of asking: a program that is started again has another one.
    """

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self._pid = pid
        self._root: psutil.Process | None = None
        self._known: dict[int, psutil.Process] = {}

    def read(self) -> dict[str, float]:
        """Series and values; empty when the process is gone."""
        pid = self._pid()
        if pid is None:
            return {}
        first = self._root is None or self._root.pid != pid  # the use of CPU since the last reading is not known yet
        try:
            if self._root is None or first:
                self._root = psutil.Process(pid)
            family = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return {}
        values: dict[str, float] = {}
        current: dict[int, psutil.Process] = {}
        for member in family:
            known = self._known.get(member.pid)
            process = current[member.pid] = known if known is not None and known == member else member
            try:
                figures = _figures(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            for series, value in figures.items():
                values[series] = values.get(series, 0.0) + value
        self._known = current
        if first:
            values.pop("cpu", None)
        return values


def _figures(process: psutil.Process) -> dict[str, float]:
    """What this system tells of one process. Counters that go on (switches, bytes) fall when a child of it ends."""
    with process.oneshot():
        full = process.memory_full_info()
        switches = process.num_ctx_switches()
        values = {
            "memory": float(full.rss), "memory_uss": float(full.uss), "cpu": process.cpu_percent() / 100, "pids": 1.0,
            "threads": float(process.num_threads()), "context_switches": float(switches.voluntary + switches.involuntary),
        }  # fmt: skip
        if hasattr(full, "pss"):  # Linux: shared pages counted by halves, thirds …
            values["memory_pss"] = float(full.pss)
        if hasattr(process, "num_fds"):  # not on Windows
            values["open_files"] = float(process.num_fds())
        if hasattr(process, "io_counters"):  # not on macOS
            done = process.io_counters()
            values |= {"block_read": float(done.read_bytes), "block_write": float(done.write_bytes)}
    values |= dict.fromkeys(SOCKETS.values(), 0.0)
    for connection in process.net_connections("tcp"):
        if connection.status in SOCKETS:
            values[SOCKETS[connection.status]] += 1
    return values


class HostReader:
    """The whole machine; CPU is the use since the last reading."""

    def __init__(self) -> None:
        # Not psutil.cpu_percent(): it remembers per thread, and readings come from any thread of a pool.
        self._last = psutil.cpu_times()

    def read(self) -> dict[str, float]:
        """Cores in use, bytes of memory in use, bytes that went over network and disks so far."""
        now, last = psutil.cpu_times(), self._last
        values = {"memory": float(psutil.virtual_memory().used)}
        # Without the ends of containers' links: they come and go, and what went over them is counted elsewhere too.
        links = [link for name, link in psutil.net_io_counters(pernic=True).items() if not name.startswith("veth")]
        if links:
            values["network_rx"] = float(sum(link.bytes_recv for link in links))
            values["network_tx"] = float(sum(link.bytes_sent for link in links))
        if (disks := psutil.disk_io_counters()) is not None:
            values |= {"block_read": float(disks.read_bytes), "block_write": float(disks.write_bytes)}
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
