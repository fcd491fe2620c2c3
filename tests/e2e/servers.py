"""Prefect's own programs, in the background."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from shakedown.services.ports import free_port
from tests.conftest import ROOT

BIN = Path(sys.executable).parent
NOT_KEPT = ("PREFECT_", "SHAKEDOWN_", "COURIER_")


@contextmanager
def program(*arguments: object, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen]:
    """A command of Prefect's in the background; it and all it started are gone afterwards."""
    command = [str(BIN / "prefect"), *map(str, arguments)]
    with log.open("wb") as out, subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            try:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            except psutil.NoSuchProcess:  # a test killed it
                family = []
            process.terminate()
            _, alive = psutil.wait_procs(family, timeout=15)
            for member in alive:
                member.kill()


def client_environment(folder: Path, api: str, **more: str) -> dict[str, str]:
    """The environment of a client of this server, which keeps its files in `folder`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(NOT_KEPT)}
    settings = {"PREFECT_API_URL": api, "PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    return {**kept, **settings, "DO_NOT_TRACK": "1", **more}


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[dict[str, str]]:
    """A server that answers; the environment in which its clients run."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = client_environment(folder, api, **more)
    log = folder / "server.log"
    with program("server", "start", "--host", "127.0.0.1", "--port", port, env=environment, log=log):
        until = time.monotonic() + 300
        while True:
            try:
                httpx.get(f"{api}/health", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < until, log.read_text()[-3000:]
                time.sleep(0.2)
        yield environment
