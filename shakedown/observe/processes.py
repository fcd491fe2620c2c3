"""Process trees and the host, by psutil; on Linux what costs most by the kernel's own lists."""

import os
import sys
from collections.abc import Callable
from typing import Any

import psutil

from shakedown.observe.family import family_of
from shakedown.observe.sockets import SHARE, sockets_of_processes
from shakedown.observe.sparing import Sparing

__all__ = ["HostReader", "TreeReader", "whole_machine"]

PAGES_SHARE = 0.003  # of a core, for walking through the pages of a tree: what is its own, what is shared
# A socket that waits out old packets belongs to no process any more.
SOCKETS = {psutil.CONN_ESTABLISHED: "sockets_established", psutil.CONN_CLOSE_WAIT: "sockets_close_wait"}


class TreeReader:
    """One process and all its children, added up; CPU is the use since the last reading.

    Args:
        pid: its number at the time of asking: a program that is started again has another one.
        light: leave out what costs most: pages, sockets.
    """

    def __init__(self, pid: Callable[[], int | None], *, light: bool = False) -> None:
        self._pid, self._light = pid, light
        self._root: psutil.Process | None = None
        self._known: dict[int, psutil.Process] = {}
        self._pages, self._sockets = Sparing(PAGES_SHARE), Sparing(SHARE)

    def read(self, *, whole: bool = False) -> dict[str, float]:
        """Series and values; empty when the process is gone.

        Args:
            whole: read also what is costly and not due yet.
        """
        pid = self._pid()
        if pid is None:
            return {}
        first = self._root is None or self._root.pid != pid  # the use of CPU since the last reading is not known yet
        try:
            if self._root is None or first:
                self._root = psutil.Process(pid)
                self._pages, self._sockets = Sparing(PAGES_SHARE), Sparing(SHARE)
            family = self._family(self._root)
        except psutil.NoSuchProcess:
            return {}
        values: dict[str, float] = {}
        self._known = {process.pid: process for process in family}
        for process in family:
            try:
                figures = _figures(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            _add(values, figures)
        if not self._light and values:
            values |= self._pages.read(lambda: _pages(family), whole=whole)
            values |= self._sockets.read(lambda: _sockets(family), whole=whole)
        if first:
            values.pop("cpu", None)
        return values

    def _family(self, root: psutil.Process) -> list[psutil.Process]:
        """The same objects as before for those that were there before: they know what CPU was used until then."""
        if not root.is_running():
            raise psutil.NoSuchProcess(root.pid)
        numbers = family_of(root.pid) if sys.platform == "linux" else None
        if numbers is None:
            found = [root, *root.children(recursive=True)]
            return [known if (known := self._known.get(one.pid)) == one and known is not None else one for one in found]
        family = [root]
        for number in numbers[1:]:
            known = self._known.get(number)
            if known is not None and known.is_running():
                family.append(known)
                continue
            try:
                family.append(psutil.Process(number))
            except psutil.NoSuchProcess:
                continue
        return family


def _add(values: dict[str, float], figures: dict[str, float]) -> None:
    for series, value in figures.items():
        values[series] = values.get(series, 0.0) + value


def _figures(process: psutil.Process) -> dict[str, float]:
    """What this system tells of one process. Counters that go on (switches, bytes) fall when a child of it ends."""
    with process.oneshot():
        switches = process.num_ctx_switches()
        values = {
            "memory": float(process.memory_info().rss), "cpu": process.cpu_percent() / 100, "pids": 1.0,
            "threads": float(process.num_threads()), "context_switches": float(switches.voluntary + switches.involuntary),
        }  # fmt: skip
        if hasattr(process, "num_fds"):  # not on Windows
            values["open_files"] = float(process.num_fds())
        if hasattr(process, "io_counters"):  # not on macOS
            done = process.io_counters()
            values |= {"block_read": float(done.read_bytes), "block_write": float(done.write_bytes)}
    return values


def _pages(family: list[psutil.Process]) -> dict[str, float]:
    """Bytes that are a tree's own, and shared ones by halves, thirds … (Linux)."""
    values: dict[str, float] = {}
    for process in family:
        try:
            full = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        _add(values, {"memory_uss": float(full.uss)})
        if hasattr(full, "pss"):
            _add(values, {"memory_pss": float(full.pss)})
    return values


def _sockets(family: list[psutil.Process]) -> dict[str, float]:
    if sys.platform == "linux":
        return sockets_of_processes([process.pid for process in family])
    values = dict.fromkeys(SOCKETS.values(), 0.0)
    for process in family:
        try:
            for connection in process.net_connections("tcp"):
                if connection.status in SOCKETS:
                    values[SOCKETS[connection.status]] += 1
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return values


class HostReader:
    """The whole machine; CPU is the use since the last reading."""

    def __init__(self) -> None:
        # Not psutil.cpu_percent(): it remembers per thread, and readings come from any thread of a pool.
        self._last = psutil.cpu_times()

    def read(self) -> dict[str, float]:
        """Cores in use, bytes of memory in use, bytes that went over network and disks and context switches so far."""
        now, last = psutil.cpu_times(), self._last
        values = {
            "memory": float(psutil.virtual_memory().used), "context_switches": float(psutil.cpu_stats().ctx_switches)
        }  # fmt: skip
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
