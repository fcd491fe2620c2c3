"""`shakedown ui`, as far as it goes without Prefect's programs; tests/e2e has the rest."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from shakedown.cli import ui
from shakedown.errors import UsageError
from shakedown.services.ports import free_port
from tests.conftest import ROOT


class _Stranger(BaseHTTPRequestHandler):
    """A server of something else."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_folder_without_deployments_is_refused(tmp_path):
    """Nothing is started, and the message says where prefect.yaml was looked for."""
    with pytest.raises(UsageError, match=rf"no prefect.yaml in {tmp_path}"):
        ui.serve_ui("127.0.0.1", free_port(), tmp_path / "results", tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_address_of_something_else_is_refused(stranger, tmp_path):
    """What answers there is no Prefect server: it is left alone, and another port is proposed."""
    with pytest.raises(UsageError, match="is no Prefect server") as raised:
        ui.serve_ui("127.0.0.1", stranger, tmp_path, ROOT)
    assert "--port" in (raised.value.hint or "")


def test_nothing_is_sent_to_anybody(monkeypatch):
    """Whatever the user's environment says, Prefect's programs run with telemetry off, and speak with this server."""
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    monkeypatch.setenv("PREFECT_API_URL", "https://example.org/api")
    monkeypatch.setenv("SHAKEDOWN_DATABASE_URL", "postgresql://kept")
    made = ui._environment("http://127.0.0.1:1/api", Path("/results/prefect"))
    assert made["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert (made["DO_NOT_TRACK"], made["PREFECT_SERVER_ANALYTICS_ENABLED"]) == ("1", "false")
    assert made["PREFECT_SERVER_UI_V2_ENABLED"] == "false"
    assert (made["PREFECT_HOME"], made["SHAKEDOWN_ROOT"]) == ("/results/prefect", "/results")
    assert made["SHAKEDOWN_DATABASE_URL"] == "postgresql://kept"
