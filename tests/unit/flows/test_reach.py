"""A run and a Prefect server that goes away: asked of a real, small HTTP server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed

from shakedown.services.ports import free_port
from tasks import reach
from tasks.reach import Reach


class _Api(BaseHTTPRequestHandler):
    """What a Prefect server says to the questions that are asked here."""

    def do_GET(self) -> None:
        self._answer(b"true", 404 if "csrf" in self.path else 200)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.server.told.append((self.path, self.rfile.read(length).decode()))
        self._answer(b'{"state": null, "status": "ACCEPT", "details": {"type": "accept_details"}}')

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(port: int) -> Iterator[list[tuple[str, str]]]:
    """A server at this port; what it was told."""
    with HTTPServer(("127.0.0.1", port), _Api) as server:
        server.told = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.told
        finally:
            server.shutdown()
            thread.join()


class _Session:
    """The little of a live run that is needed."""

    def __init__(self) -> None:
        self.run_id = f"run-{uuid4().hex[:6]}"
        self.stop = threading.Event()
        self.said: list[str] = []
        self.found: list[str] = []

    def say(self, _kind: str, _subject: str, text: str) -> None:
        self.said.append(text)

    def find(self, _stage: str, finding: object) -> None:
        self.found.append(finding.title)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Reach, int]]:
    """A run in a flow whose server is at a port, where nobody listens yet."""
    port = free_port()
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        client = get_client(sync_client=True)
    flow = SimpleNamespace(client=client, flow=None, flow_run=SimpleNamespace(id=uuid4(), name="", deployment_id=None))
    monkeypatch.setattr(FlowRunContext, "get", classmethod(lambda _: flow))
    monkeypatch.setattr(reach, "BETWEEN_QUESTIONS", 0.01)
    monkeypatch.setenv("SHAKEDOWN_PREFECT_WAIT", "0.05")
    yield Reach(_Session(), whole=uuid4()), port
    reach._settings_as_before()


def test_a_server_that_stays_away_is_given_up(run):
    """It is waited for once; then Prefect's engine tries once and nothing more is queued for it."""
    reached, _ = run
    assert not reached.wait()
    assert reached.given_up
    assert PREFECT_CLIENT_MAX_RETRIES.value() == 0
    assert EventsWorker._client_override == (NullEventsClient, ())
    assert not reached.here()
    assert reached.session.found == [reached.session.said[0]]
    assert "goes on without it" in reached.session.said[0]


def test_a_server_that_comes_back_is_told_what_it_missed(run):
    """The stage that ended meanwhile gets its state, and all is as before."""
    reached, port = run
    with answering(port):
        assert reached.wait()
    reached.ended("baseline", Completed(message="passed"))
    assert not reached.wait()
    reached.lost("baseline", OSError("gone"))
    with answering(port) as told:
        assert reached.wait()
        assert reached.wait()
    assert not reached.given_up
    assert PREFECT_CLIENT_MAX_RETRIES.value() > 0
    ((path, body),) = told
    assert path.endswith("/set_state")
    assert '"COMPLETED"' in body


def test_a_server_that_is_restarted_is_waited_for(run, monkeypatch):
    """While it is away nothing is given up; afterwards it is said how long that took."""
    reached, port = run
    monkeypatch.setenv("SHAKEDOWN_PREFECT_WAIT", "60")
    asked = threading.Event()
    ask = Reach.ask

    def watched(self: Reach) -> bool:
        try:
            return ask(self)
        finally:
            asked.set()

    monkeypatch.setattr(Reach, "ask", watched)
    waiting = threading.Thread(target=reached.wait)
    waiting.start()
    assert asked.wait(30)
    with answering(port):
        waiting.join(30)
        assert not waiting.is_alive()
    assert not reached.given_up
    assert ["waited for it" in line for line in reached.session.said] == [True]


def test_a_signal_ends_the_waiting(run, monkeypatch):
    """Whoever cancels a run does not wait for a server that is gone."""
    reached, _ = run
    monkeypatch.setenv("SHAKEDOWN_PREFECT_WAIT", "3600")
    reached.session.stop.set()
    assert not reached.wait()


def test_the_pipeline_itself_is_never_taken_for_a_stage(run):
    """A stage that is run without a subflow has no state of its own to tell."""
    reached, _ = run
    reached.whole = reach._flow_run()
    reached.ended("baseline", Completed())
    reached.lost("baseline", OSError("gone"))
    assert not reached._untold
