"""What the kernel says of a container's resources, under cgroup v1 and v2.

Read from the first of these that there is: the container's cgroup on this machine, its own /sys/fs/cgroup, the
engine's statistics (which know less).
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.errors import FaultError

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["FILES", "CgroupState", "cgroup_folder", "folders_of", "parse_cgroup", "read_cgroup"]

UNLIMITED = 2**60  # v1 writes "no limit" as a number near 2^63
ROOT = Path("/sys/fs/cgroup")

# by the controller that they lie under in v1; v2 has all of them in one folder
FILES: Mapping[str, tuple[str, ...]] = {
    "memory": (
        "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.usage_in_bytes", "memory.stat",
        "memory.failcnt", "memory.oom_control", "memory.max", "memory.swap.max", "memory.current", "memory.events",
    ),
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.stat", "cpu.max"),
    "cpuacct": ("cpuacct.usage",),
    "pids": ("pids.max", "pids.current", "pids.events"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CgroupState:
    """The figures of one moment; None: not told, or no limit.

    Attributes:
        source: where they come from.
        memory_limit, memory_used, memory_firm: bytes; `firm` is what the kernel cannot drop: all but the page cache.
        memory_hits: how often the limit was met. oom_kills: processes killed because of it.
        cpus: the CPU limit. cpu_seconds: used so far. periods, throttled: periods so far, and those that were cut.
        pids_limit, pids: processes and threads; pids_hits: how often one was refused.
    """

    source: str = ""
    memory_limit: int | None = None
    memory_used: int | None = None
    memory_firm: int | None = None
    memory_hits: int | None = None
    oom_kills: int | None = None
    cpus: float | None = None
    cpu_seconds: float | None = None
    periods: int | None = None
    throttled: int | None = None
    pids_limit: int | None = None
    pids: int | None = None
    pids_hits: int | None = None

    @property
    def limits(self) -> tuple[int | None, float | None, int | None]:
        """Memory, CPUs, processes."""
        return self.memory_limit, self.cpus, self.pids_limit


def read_cgroup(container: "Container") -> CgroupState:
    """The state of a running container.

    Raises:
        FaultError: nobody tells.
    """
    folders = cgroup_folder(int(container.attrs["State"]["Pid"] or 0), str(container.id))
    if folders:
        files: dict[str, str] = {}
        for controller, names in FILES.items():
            for name in names:
                with contextlib.suppress(OSError):
                    files[name] = (folders.get(controller, folders.get("", Path("/nowhere"))) / name).read_text()
        if files:
            return parse_cgroup(files, "cgroup")
    files = _from_inside(container)
    return parse_cgroup(files, "cgroup seen from inside") if files else _from_engine(container)


def cgroup_folder(pid: int, container: str) -> dict[str, Path]:
    """The folders of a container's cgroups on this machine, by controller (`""` in v2); empty if it runs on another."""
    try:
        return folders_of(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"), container)
    except OSError:
        return {}


def folders_of(text: str, container: str, root: Path = ROOT) -> dict[str, Path]:
    """The folders that /proc/PID/cgroup names and that are there; those of other containers are not taken."""
    folders: dict[str, Path] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if container not in path:  # another machine's number, or an engine that hides its cgroups
            continue
        for controller in controllers.split(","):
            folder = root / controller / path.lstrip("/")
            if folder.is_dir():
                folders[controller] = folder
    return folders


def parse_cgroup(files: Mapping[str, str], source: str = "") -> CgroupState:
    """The state from the files of either layout, by name; those that are missing are not told."""
    memory_stat, cpu_stat = _table(files.get("memory.stat")), _table(files.get("cpu.stat"))
    events = _table(files.get("memory.events"))
    used = _number(files.get("memory.usage_in_bytes", files.get("memory.current")))
    cache = sum(memory_stat.get(f"total_{name}", memory_stat.get(name, 0)) for name in ("active_file", "inactive_file"))
    seconds = cpu_stat.get("usage_usec")
    nanoseconds = _number(files.get("cpuacct.usage"))
    return CgroupState(
        source=source,
        memory_limit=_number(files.get("memory.limit_in_bytes", files.get("memory.max"))),
        memory_used=used,
        memory_firm=None if used is None else max(used - cache, 0),
        memory_hits=_number(files["memory.failcnt"]) if "memory.failcnt" in files else events.get("max"),
        oom_kills=events.get("oom_kill", _table(files.get("memory.oom_control")).get("oom_kill")),
        cpus=_cpus(files),
        cpu_seconds=seconds / 1e6 if seconds is not None else nanoseconds / 1e9 if nanoseconds is not None else None,
        periods=cpu_stat.get("nr_periods"),
        throttled=cpu_stat.get("nr_throttled"),
        pids_limit=_number(files.get("pids.max")),
        pids=_number(files.get("pids.current")),
        pids_hits=_table(files.get("pids.events")).get("max"),
    )


def _cpus(files: Mapping[str, str]) -> float | None:
    if "cpu.max" in files:
        quota, period = files["cpu.max"].split()
    else:
        quota, period = files.get("cpu.cfs_quota_us", "-1"), files.get("cpu.cfs_period_us", "100000")
    number = _number(quota)
    return None if number is None or number < 0 else number / int(period)


def _number(text: str | None) -> int | None:
    """A figure; None for `max`, and for v1's way to say the same."""
    if text is None or text.strip() == "max":
        return None
    number = int(text)
    return None if number >= UNLIMITED else number


def _table(text: str | None) -> dict[str, int]:
    pairs = [line.split() for line in (text or "").splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


_CAT = 'for f in "$@"; do if [ -r "$f" ]; then echo "== $f"; while read -r line; do echo "$line"; done < "$f"; fi; done'


def _from_inside(container: "Container") -> dict[str, str]:
    """The files by a shell inside the container; none where there is no shell, or it cannot be started."""
    from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

    paths = [
        path for part, names in FILES.items() for name in names for path in (f"{ROOT}/{part}/{name}", f"{ROOT}/{name}")
    ]
    try:
        code, output = container.exec_run(["sh", "-c", _CAT, "sh", *paths], user="0", stream=False)
    except APIError:
        return {}
    if code or not isinstance(output, bytes):
        return {}
    files: dict[str, str] = {}
    for block in output.decode(errors="replace").split("== ")[1:]:
        path, _, text = block.partition("\n")
        files[path.rsplit("/", 1)[-1]] = text
    return files


def _from_engine(container: "Container") -> CgroupState:
    from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

    try:
        raw: Any = container.stats(stream=False)
    except APIError as error:
        raise FaultError(f"the limits of {container.name} cannot be read: {error.explanation}") from error
    memory, throttling = raw.get("memory_stats", {}), raw["cpu_stats"].get("throttling_data", {})
    details, config = memory.get("stats", {}), container.attrs["HostConfig"]
    cache = sum(details.get(f"total_{name}", details.get(name, 0)) for name in ("active_file", "inactive_file"))
    limited = 0 < int(config.get("Memory") or 0) < UNLIMITED  # without a limit the engine tells the machine's memory
    pids = raw.get("pids_stats", {})
    return CgroupState(
        source="the engine's statistics",
        memory_limit=memory.get("limit") if limited else None,
        memory_used=memory.get("usage"),
        memory_firm=max(memory["usage"] - cache, 0) if "usage" in memory else None,
        memory_hits=memory.get("failcnt"),
        cpus=_configured(config),
        cpu_seconds=raw["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        periods=throttling.get("periods"),
        throttled=throttling.get("throttled_periods"),
        pids_limit=limit if 0 < (limit := int(pids.get("limit") or 0)) < UNLIMITED else None,
        pids=pids.get("current"),
    )


def _configured(config: Mapping[str, Any]) -> float | None:
    if int(config.get("NanoCpus") or 0) > 0:
        return float(config["NanoCpus"] / 1e9)
    quota = int(config.get("CpuQuota") or 0)
    return quota / int(config.get("CpuPeriod") or 100_000) if quota > 0 else None
