"""service-clock: clients of the service see another time, the right one before and after it."""

import io
import sys
import tarfile
import time
import urllib.request

import pytest

from shakedown.faults.agents import agent_image
from shakedown.faults.service import clock
from shakedown.plan.faults.service import ServiceClock
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration

# Tells its calendar time and its monotonic one.
TELLS = """
import http.server, sys, time
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"%f %f" % (time.time(), time.monotonic())
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
"""
HEALTH = {"http": "http:/", "timeout": "1s"}


def told(system) -> tuple[float, float]:
    """How far the service's clocks are from ours, calendar and monotonic, in seconds."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{system.address('web.http').port}/", timeout=2) as answer:
                calendar, monotonic = map(float, answer.read().split())
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return calendar - time.time(), monotonic - time.monotonic()


def holds(system, plan: ServiceClock, asked: float) -> None:
    """It is off by what was asked while the fault lasts, and right afterwards."""
    assert abs(told(system)[0]) < 5
    record, found = inject(system, plan, 6.0, lambda: told(system))
    assert (record.error, record.refused) == (None, None)
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(asked, abs=5)
    assert found[0][0] == pytest.approx(asked, abs=5)
    assert abs(found[0][1]) < 5  # the monotonic clock is right
    assert record.gone.held, record.gone
    assert abs(told(system)[0]) < 5


def test_a_container(make_system, python_image):
    """A day ahead: the service itself believes it, and its own container is back afterwards."""
    service = {"image": python_image, "entrypoint": ["python3", "-c", TELLS, "", "8000"], "ports": {"http": 8000},
               "health": HEALTH, "stop_grace": "200ms"}  # fmt: skip
    system = make_system({"web": service})
    own = system.handle("web").container
    holds(system, ServiceClock(target="web", ahead="24h", grace=0), 86400)
    assert system.handle("web").container == own


def test_a_program(make_system, engine, tmp_path, monkeypatch):
    """An hour behind, with the library where this machine has it."""
    helper = engine.containers.create(agent_image(engine))
    try:
        chunks, _ = helper.get_archive(f"/usr/lib/{clock._triplet(helper)}/faketime/{clock.LIBRARY}")
    finally:
        helper.remove()
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setattr(clock, "PLACES", (str(tmp_path).strip("/"),))
    service = {
        "process": [sys.executable, "-c", TELLS, "127.0.0.1", "{port.http}"],
        "ports": {"http": 0},
        "health": HEALTH,
    }
    holds(make_system({"web": service}), ServiceClock(target="web", behind="1h", grace=0), -3600)


def test_a_program_without_the_library(make_system, monkeypatch):
    """Nothing is touched, and what to install is said."""
    monkeypatch.setattr(clock, "PLACES", ())
    service = {
        "process": [sys.executable, "-c", TELLS, "127.0.0.1", "{port.http}"],
        "ports": {"http": 0},
        "health": HEALTH,
    }
    record, _ = inject(make_system({"web": service}), ServiceClock(target="web", ahead="1h"), 1.0)
    assert "install libfaketime" in record.refused
    assert record.applied_at is None
