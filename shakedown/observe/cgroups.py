"""A container's figures from the kernel's own files, where they can be read: no engine, no HTTP, tens of microseconds.

Version 1 has a hierarchy for each controller, version 2 one for all; both at once is usual too. Names and meanings are
those of the engine's statistics, which are made from the same files.
"""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cgroup", "CgroupFigures", "find_cgroup", "memory_figures", "network_figures"]

_NEEDED = ("memory", "cpuacct", "pids")  # of version 1; block I/O may be absent


@dataclass(frozen=True, slots=True)
class CgroupFigures:
    """What was read.

    Attributes:
        cpu: seconds of CPU so far.
        oom_kills: processes that the kernel killed for want of memory so far; None where it does not count them.
    """

    values: dict[str, float]
    cpu: float
    oom_kills: int | None


def find_cgroup(pid: int, container: str, root: Path = Path("/")) -> "Cgroup | None":
    """The control groups of a container's first process.

    None where they are not to be read: another machine's or a virtual machine's container (then the process of that number
    is another one, or none), another system, no permission.

    Args:
        root: where `proc` and the hierarchies are found.
    """
    try:
        lines = (root / f"proc/{pid}/cgroup").read_text().splitlines()
        mounts = _mounts((root / "proc/self/mounts").read_text(), root)
    except OSError:
        return None
    paths = {
        controller: path
        for line in lines
        for _, controllers, path in [line.split(":", 2)]
        for controller in controllers.split(",")
    }
    # A path that does not name the container is not its own: of a hierarchy that is not used, or of another process.
    folders = {
        name: mounts[name] / path.lstrip("/") for name, path in paths.items() if name in mounts and container in path
    }
    if all(name in folders and folders[name].is_dir() for name in _NEEDED):
        return Cgroup(pid, folders, version=1)
    if "" in folders and (folders[""] / "memory.current").is_file():
        return Cgroup(pid, folders, version=2)
    return None


def _mounts(text: str, root: Path) -> dict[str, Path]:
    """Where each controller's hierarchy is; the one of version 2 under an empty name."""
    found: dict[str, Path] = {}
    for line in text.splitlines():
        columns = line.split()
        place = root / columns[1].lstrip("/")
        if columns[2] == "cgroup2":
            found.setdefault("", place)
        elif columns[2] == "cgroup":
            for option in columns[3].split(","):
                found.setdefault(option, place)
    return found


class Cgroup:
    """One container's control groups.

    Args:
        folders: by controller (version 1); under an empty name (version 2).
    """

    def __init__(self, pid: int, folders: dict[str, Path], *, version: int) -> None:
        self.pid, self._version = pid, version
        self._folders = {name: str(folder) for name, folder in folders.items()}

    def read(self) -> CgroupFigures:
        """Memory, tasks, CPU and block I/O.

        Raises:
            OSError: they are gone: the container has ended.
        """
        return self._read_v1() if self._version == 1 else self._read_v2()

    def processes(self) -> list[int]:
        """The container's first process and those that it, or they, have started; not what was put into it later."""
        folder = self._folders["pids" if self._version == 1 else ""]
        below = [folder]
        if os.stat(folder).st_nlink > 2:  # noqa: PTH116 - it has groups of its own
            below = [place for place, _, _ in os.walk(folder)]
        numbers = [int(number) for place in below for number in _read(place, "cgroup.procs").split()]
        if len(numbers) == 1:
            return numbers
        children: dict[int, list[int]] = {}
        for number in numbers:
            if (parent := _parent(number)) is not None:
                children.setdefault(parent, []).append(number)
        family = [self.pid]
        for member in family:  # it grows meanwhile
            family += children.get(member, ())
        return family

    def _read_v1(self) -> CgroupFigures:
        memory = self._folders["memory"]
        values = memory_figures(float(_read(memory, "memory.usage_in_bytes")), _table(_read(memory, "memory.stat")))
        values["pids"] = float(_read(self._folders["pids"], "pids.current"))
        values |= self._block_v1()
        kills = _table(_read(memory, "memory.oom_control")).get("oom_kill")
        return CgroupFigures(
            values, float(_read(self._folders["cpuacct"], "cpuacct.usage")) / 1e9, None if kills is None else int(kills)
        )

    def _block_v1(self) -> dict[str, float]:
        if "blkio" not in self._folders:
            return {}
        for name in ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"):
            try:
                lines = [line.split() for line in _read(self._folders["blkio"], name).splitlines()]
            except OSError:  # not every kernel has both
                continue
            return {
                f"block_{way.lower()}": float(sum(int(line[2]) for line in lines if len(line) == 3 and line[1] == way))
                for way in ("Read", "Write")
            }
        return {}

    def _read_v2(self) -> CgroupFigures:
        folder = self._folders[""]
        values = memory_figures(float(_read(folder, "memory.current")), _table(_read(folder, "memory.stat")))
        try:
            values["pids"] = float(_read(folder, "pids.current"))
            words = [word.partition("=") for word in _read(folder, "io.stat").split()]
            values["block_read"] = float(sum(int(value) for name, _, value in words if name == "rbytes"))
            values["block_write"] = float(sum(int(value) for name, _, value in words if name == "wbytes"))
        except FileNotFoundError:  # a controller that is not switched on
            pass
        kills = _table(_read(folder, "memory.events")).get("oom_kill")
        used = _table(_read(folder, "cpu.stat"))["usage_usec"] / 1e6
        return CgroupFigures(values, used, None if kills is None else int(kills))


def memory_figures(usage: float, details: dict[str, float]) -> dict[str, float]:
    """What the container holds without page cache that the kernel may drop, with all of it, and its anonymous part."""
    cache = details.get("total_inactive_file", details.get("inactive_file", 0.0))
    anonymous = details.get("total_rss", details.get("anon"))
    values = {"memory": max(usage - cache, 0.0), "memory_with_cache": usage}
    return values if anonymous is None else {**values, "memory_anon": float(anonymous)}


def network_figures(pid: int) -> dict[str, float]:
    """Bytes that went over the interfaces of a process's network namespace, its loopback left out.

    Raises:
        OSError: it cannot be read.
    """
    received = sent = 0
    for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]:
        name, _, figures = line.partition(":")
        columns = figures.split()
        if name.strip() != "lo":
            received, sent = received + int(columns[0]), sent + int(columns[8])
    return {"network_rx": float(received), "network_tx": float(sent)}


def _read(folder: str, name: str) -> str:
    with open(f"{folder}/{name}", encoding="ascii") as file:  # noqa: PTH123 - eighty of them a second: a Path costs twice
        return file.read()


def _table(text: str) -> dict[str, float]:
    """`name number`, line by line."""
    return {line[0]: float(line[1]) for line in map(str.split, text.splitlines()) if len(line) == 2}


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return None
