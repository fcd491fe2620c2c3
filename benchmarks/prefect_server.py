"""One Prefect server for many runs: without it each of them starts its own, for eight seconds."""  # noqa: INP001

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from shakedown.services.ports import free_port

__all__ = ["prefect_server"]

START_LIMIT = 300.0  # seconds
LOOK_AGAIN = 0.2


@contextmanager
def prefect_server(folder: Path) -> Iterator[None]:
    """Runs that are started meanwhile use one server, which ends afterwards; the user's own, where PREFECT_API_URL names one.

    Args:
        folder: its database and log are kept there.

    Raises:
        RuntimeError: it does not start.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    home = folder / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    api, log = f"http://127.0.0.1:{port}/api", home / "server.log"
    given = {
        **os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": api, "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=given, stdout=out, stderr=out, start_new_session=True) as process,  # noqa: S603 - ours
    ):
        try:
            _await(process, api, log)
            os.environ["PREFECT_API_URL"] = api
            yield
        finally:
            os.environ.pop("PREFECT_API_URL", None)
            process.terminate()


def _await(process: "subprocess.Popen[bytes]", api: str, log: Path) -> None:
    until = time.monotonic() + START_LIMIT
    while True:
        try:
            if httpx.get(f"{api}/health", timeout=5, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"Prefect's server does not start; its log is {log}")
        time.sleep(LOOK_AGAIN)
