"""A container's resources as Docker tells them, under cgroup v1 and v2."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.observe.sockets import sockets_of

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["ContainerReader"]


class ContainerReader:
    """Reads one container's figures; CPU is the use since the last reading."""

    def __init__(self, client: "DockerClient", container: str) -> None:
        self._client = client
        self._container = container
        self._last_cpu: tuple[float, float] | None = None
        self._started: str | None = None
        self._restarts = 0
        self._oom_kills = 0
        self._oom_seen = False  # in this life of the container

    def read(self) -> dict[str, float]:
        """Series and values; while it is down or paused only its restarts and OOM kills: nothing else can be measured then."""
        state = self._client.api.inspect_container(self._container)["State"]
        if self._started is not None and state["StartedAt"] != self._started:
            self._restarts += 1
            self._last_cpu = None
            self._oom_seen = False
        self._started = state["StartedAt"]
        if state.get("OOMKilled") and not self._oom_seen:
            self._oom_kills, self._oom_seen = self._oom_kills + 1, True
        counts = {"restarts": float(self._restarts), "oom_kills": float(self._oom_kills)}
        if state["Status"] != "running":
            return counts
        api: Any = self._client.api  # `one_shot` is not offered: without it one look takes a second
        url = api._url("/containers/{0}/stats", self._container)  # noqa: SLF001 - as above
        raw: dict[str, Any] = api._result(  # noqa: SLF001 - as above
            api._get(url, params={"stream": False, "one-shot": True}),  # noqa: SLF001 - as above
            True,
        )
        if not raw.get("memory_stats", {}).get("usage"):
            return counts
        values = {**_memory(raw["memory_stats"]), **_traffic(raw), **counts}
        values["pids"] = float(raw.get("pids_stats", {}).get("current", 0))
        pid = int(state.get("Pid") or 0)
        if (files := _open_files(pid)) is not None:
            values["open_files"] = files
        if pid:
            values |= sockets_of(pid)
        cpu = self._cpu(raw)
        return values if cpu is None else {**values, "cpu": cpu}

    def _cpu(self, raw: dict[str, Any]) -> float | None:
        """Cores in use since the last reading: container nanoseconds over wall nanoseconds."""
        used = raw["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        # Always as UTC: Docker drops a fraction's trailing zeros, so that the cut text ends in Z or not.
        at = datetime.fromisoformat(raw["read"][:26].rstrip("Z")).replace(tzinfo=UTC).timestamp()
        last, self._last_cpu = self._last_cpu, (used, at)
        if last is None or at <= last[1]:
            return None
        return max(float(used - last[0]), 0.0) / (at - last[1])


def _memory(stats: dict[str, Any]) -> dict[str, float]:
    """What the container holds without page cache that the kernel may drop, and its anonymous part."""
    details = stats.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    anonymous = details.get("total_rss", details.get("anon"))
    values = {"memory": float(max(stats["usage"] - cache, 0))}
    return values if anonymous is None else {**values, "memory_anon": float(anonymous)}


def _traffic(raw: dict[str, Any]) -> dict[str, float]:
    networks = (raw.get("networks") or {}).values()
    values = {
        "network_rx": float(sum(network["rx_bytes"] for network in networks)),
        "network_tx": float(sum(network["tx_bytes"] for network in networks)),
    }
    blocks = (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    for operation in ("read", "write"):
        values[f"block_{operation}"] = float(
            sum(entry["value"] for entry in blocks if entry["op"].lower() == operation)
        )
    return values


def _open_files(pid: int) -> float | None:
    """Open files of the container's first process and its children, where /proc can be read (Linux, as root)."""
    if pid <= 0 or not Path(f"/proc/{pid}/fd").is_dir():
        return None
    total, waiting = 0, [pid]
    while waiting:
        process = waiting.pop()
        with contextlib.suppress(OSError):
            total += sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
            waiting += [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return float(total) if total else None
