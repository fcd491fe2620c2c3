"""A Prefect server with the project's deployments, asked as its UI asks it."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import ROOT
from tests.e2e.servers import BIN

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Prefect:
    """A server with the project's deployments, and a worker."""

    api: str
    environment: dict[str, str]

    def __call__(self, *arguments: object, cwd: Path = ROOT) -> str:
        command = [str(BIN / "prefect"), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def get(self, path: str) -> dict:
        return self._ask("GET", path)

    def post(self, path: str, body: dict) -> dict | list:
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **options: object) -> Any:
        """Ask again where its SQLite is locked for a moment: Prefect's own clients do so as well."""
        until = time.monotonic() + 60
        while True:
            answer = httpx.request(method, f"{self.api}/{path}", timeout=30, **options)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
                return answer.raise_for_status().json()
            time.sleep(0.5)

    def start(self, name: str = "plan", **parameters: object) -> str:
        """Ask a deployment for a run, as the UI's form does; the flow run's id."""
        deployment = self.get(f"deployments/name/shakedown/{name}")["id"]
        return self.post(f"deployments/{deployment}/create_flow_run", {"parameters": parameters})["id"]

    def wait(self, flow_run: str, types: set[str] = FINAL, within: float = 150) -> dict:
        """The flow run, once its state is of one of these types."""
        until = time.monotonic() + within
        while True:
            found = self.get(f"flow_runs/{flow_run}")
            if found["state"]["type"] in types:
                return found
            assert time.monotonic() < until, found["state"]
            time.sleep(0.2)

    def artifacts(self, flow_run: str) -> dict[str, dict]:
        found = self.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run]}}})
        return {artifact["key"]: artifact for artifact in found}
