"""`shakedown ui`, as far as it goes without Prefect's programs; tests/e2e has the rest."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from shakedown.cli import ui
from shakedown.errors import UsageError
from tests.conftest import ROOT
from tests.safety.world import wait_for


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


CHILD = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write("run\\n"); sys.exit()
signal.signal(signal.SIGTERM, end if sys.argv[2] == "heeds" else signal.SIG_IGN)
open(sys.argv[1], "a").write("begun\\n")
time.sleep(120)
"""
WORKER = """
import signal, subprocess, sys
run = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
def end(*_):
    open(sys.argv[2], "a").write("worker\\n"); sys.exit()
signal.signal(signal.SIGTERM, end)
run.wait()
signal.pause()
"""


@pytest.fixture
def worker(tmp_path):
    """A worker with one run in it, which heeds SIGTERM or does not; and what each of them wrote down."""
    made = []

    def start(how: str) -> tuple[ui._Program, Path]:
        told = tmp_path / "told"
        process = subprocess.Popen([sys.executable, "-c", WORKER, CHILD, str(told), how])
        made.append(process)
        assert wait_for(lambda: told.exists() and "begun" in told.read_text(), 60)
        return ui._Program("worker", process, tmp_path / "log"), told

    yield start
    for process in made:
        process.kill()
        process.wait()


def test_the_run_ends_before_its_worker(worker):
    """Asked to end, the run is asked first and waited for; then the worker."""
    program, told = worker("heeds")
    stop = ui._Stop()
    stop()
    with ui._ending(stop) as started:
        started.append(program)
    assert told.read_text().split() == ["begun", "run", "worker"]
    assert program.process.poll() == 0


def test_whoever_is_in_a_hurry_waits_for_nobody(worker):
    """Asked twice, a run that does not listen is killed: its watchdog has the rest."""
    program, _ = worker("is deaf")
    (run,) = psutil.Process(program.process.pid).children()
    stop = ui._Stop()
    stop()
    stop()
    with ui._ending(stop) as started:
        started.append(program)
    assert program.process.poll() is not None
    assert not run.is_running() or run.status() == psutil.STATUS_ZOMBIE
