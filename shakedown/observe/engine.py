"""The engine's statistics of a container: the way where the kernel's files cannot be read."""

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

from shakedown.errors import EngineError
from shakedown.observe.cgroups import memory_figures

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Statistics", "statistics_figures"]

TIMEOUT = 5.0


class Statistics:
    """Asks for statistics over one connection that is kept.

    A local engine is asked over its socket by the standard library, which costs a quarter of what a general HTTP client
    does; one elsewhere through Docker's own client, which knows how to reach it.
    """

    def __init__(self, client: "DockerClient") -> None:
        self._api: Any = client.api
        path = getattr(self._api.get_adapter(self._api.base_url), "socket_path", None)
        self._connection = _Local(path) if isinstance(path, str) else None

    def read(self, container: str) -> dict[str, Any]:
        """One look, made at once: without `one-shot` it takes a second.

        Raises:
            EngineError: the engine gave none.
            OSError: it does not answer.
        """
        url = self._api._url("/containers/{0}/stats", container)  # noqa: SLF001 - `one-shot` is not offered by its methods
        if self._connection is None:
            answer = self._api.get(url, params={"stream": False, "one-shot": True}, timeout=TIMEOUT)
            return _checked(answer.status_code, answer.content)
        path = url.removeprefix(self._api.base_url) + "?stream=false&one-shot=true"
        for attempt in (1, 2):
            try:
                self._connection.request("GET", path)
                answer = self._connection.getresponse()
                return _checked(answer.status, answer.read())
            except (http.client.HTTPException, ConnectionError, BrokenPipeError) as error:
                self._connection.close()  # the engine was started again, say: a new connection
                if attempt == 2:
                    raise EngineError(f"the Docker engine does not answer: {type(error).__name__}: {error}") from None
            except OSError:
                self._connection.close()
                raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


class _Local(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _checked(status: int, body: bytes) -> dict[str, Any]:
    if status != 200:
        raise EngineError(f"the Docker engine gave no statistics: HTTP {status} {body[:200].decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(body)
    return answer


def statistics_figures(raw: dict[str, Any]) -> dict[str, float]:
    """Memory, tasks, network and block I/O; what the engine does not tell is left out, and is no zero.

    It tells nothing of block I/O until there was some, and nothing of it at all on some kernels of cgroup version 1.
    """
    memory = raw["memory_stats"]
    values = memory_figures(float(memory["usage"]), memory.get("stats", {}))
    if "current" in raw.get("pids_stats", {}):
        values["pids"] = float(raw["pids_stats"]["current"])
    if (networks := raw.get("networks")) is not None:
        values["network_rx"] = float(sum(network["rx_bytes"] for network in networks.values()))
        values["network_tx"] = float(sum(network["tx_bytes"] for network in networks.values()))
    if blocks := (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive"):
        for way in ("read", "write"):
            values[f"block_{way}"] = float(sum(entry["value"] for entry in blocks if entry["op"].lower() == way))
    return values
