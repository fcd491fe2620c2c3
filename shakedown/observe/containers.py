"""A container's resources: from the kernel's own files where they can be read, else from the engine; under cgroup v1 and v2."""

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shakedown.errors import ServiceError
from shakedown.observe.cgroups import Cgroup, find_cgroup, network_figures
from shakedown.observe.engine import Statistics, statistics_figures
from shakedown.observe.sockets import NamespaceSockets

if TYPE_CHECKING:
    from docker import DockerClient

    from shakedown.observe.lives import Followed, Life

__all__ = ["ContainerReader"]

ENDING = 3.0  # seconds that the engine may take to tell of an end


class ContainerReader:
    """Reads one container's figures; CPU is the use since the last reading.

    Args:
        direct: read the kernel's files where they can be read.
    """

    def __init__(self, client: "DockerClient", followed: "Followed", *, direct: bool = True) -> None:
        self._followed, self._direct = followed, direct
        self._statistics = Statistics(client)
        self._key: tuple[str, str] | None = None
        self._cgroup: Cgroup | None = None
        self._last_cpu: tuple[float, float] | None = None
        self._sockets = NamespaceSockets()
        self._missing_since: float | None = None

    @property
    def waits(self) -> bool:
        """Whether the next reading asks the engine, which may take its time."""
        life = self._followed.life
        return life is None or (life.status == "running" and (self._cgroup is None or life.key != self._key))

    def read(self, *, whole: bool = False) -> dict[str, float]:
        """Series and values; while it is down or paused only its restarts and OOM kills: nothing else can be measured then.

        Args:
            whole: read also what is costly and not due yet.

        Raises:
            ServiceError: it is gone.
            EngineError: the engine does not tell.
        """
        life = self._followed.now()
        problem = self._followed.problem
        if life.status != "running":
            if problem is not None:
                raise problem
            return self._counts()
        if life.key != self._key:
            self._key, self._last_cpu, self._sockets = life.key, None, NamespaceSockets()
            self._cgroup = find_cgroup(life.pid, life.container) if self._direct else None
        if self._cgroup is None:
            if problem is not None:
                raise problem
            values = self._of_engine(life)
        else:
            try:
                values = self._of_files(self._cgroup, life, whole=whole)
            except OSError as error:  # it has ended; the engine will tell
                self._missing_since = self._missing_since or time.monotonic()
                if time.monotonic() - self._missing_since > ENDING:
                    raise ServiceError(f"the container's figures are gone: {error}") from None
                return {}
            self._missing_since = None
        # What has happened to it is known only while the engine tells.
        return {**values, **(self._counts() if problem is None else {})}

    def close(self) -> None:
        """Close the connection to the engine."""
        self._statistics.close()

    def _counts(self) -> dict[str, float]:
        return {"restarts": float(self._followed.restarts), "oom_kills": float(self._followed.oom_kills)}

    def _of_files(self, cgroup: Cgroup, life: "Life", *, whole: bool) -> dict[str, float]:
        figures = cgroup.read()
        at = time.monotonic()
        values = figures.values
        if figures.oom_kills is not None:
            self._followed.count_kills(life, figures.oom_kills)
        if not life.host_network:
            values |= network_figures(life.pid)
            values |= self._sockets.read(life.pid, whole=whole)
        if (files := _open_files(cgroup.processes())) is not None:
            values["open_files"] = files
        return values | self._cpu(figures.cpu, at)

    def _of_engine(self, life: "Life") -> dict[str, float]:
        raw: dict[str, Any] = self._statistics.read(life.container)
        if not raw.get("memory_stats", {}).get("usage"):
            return {}  # it has ended meanwhile
        # Always as UTC: Docker drops a fraction's trailing zeros, so that the cut text ends in Z or not.
        at = datetime.fromisoformat(raw["read"][:26].rstrip("Z")).replace(tzinfo=UTC).timestamp()
        return statistics_figures(raw) | self._cpu(raw["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, at)

    def _cpu(self, used: float, at: float) -> dict[str, float]:
        """Cores in use since the last reading."""
        last, self._last_cpu = self._last_cpu, (used, at)
        if last is None or at <= last[1]:
            return {}
        return {"cpu": max(used - last[0], 0.0) / (at - last[1])}


def _open_files(pids: list[int]) -> float | None:
    """Of processes, where that can be read (as root)."""
    total = None
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            # The size of the folder is their number, on newer kernels.
            total = (total or 0) + (os.stat(folder).st_size or len(os.listdir(folder)))  # noqa: PTH116, PTH208 - as often as it is
        except OSError:
            continue
    return None if total is None else float(total)
