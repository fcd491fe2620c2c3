"""Probes of values of one's own, against real services."""

import contextlib
import json
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shakedown.errors import ServiceError
from shakedown.observe.probes import ProbeReader
from shakedown.plan.probes import Probe
from shakedown.services.handle import Address, Handle

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def reading(handle=None, inside=None, **probe):
    """A reader that is closed at the end."""
    reader = ProbeReader(
        "depth", Probe(**probe), handle or Handle("s", "process"), inside=inside, redact=lambda text: text.replace("secret", "***")
    )  # fmt: skip
    try:
        yield reader
    finally:
        reader.close()


@pytest.fixture
def web():
    """Answers /json and /text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = (
                json.dumps({"queue": {"depth": 7, "name": "x", "told": "2.5", "full": True}})
                if self.path == "/json"
                else "depth = 41.5 items"
            )
            self.send_response(200 if self.path in ("/json", "/text") else 500)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Handle("s", "process", {"http": Address("127.0.0.1", server.server_port)})
    server.shutdown()
    server.server_close()


def test_http(web):
    """A path into JSON, or the first number of a text; anything else is an error with its reason."""
    with reading(web, http="http:/json", json="queue.depth") as reader:
        assert reader.read() == {"depth": 7.0}
    with reading(web, http="http:/text") as reader:
        assert reader.read() == {"depth": 41.5}
    with reading(web, http="http:/json", json="queue.told") as reader:  # as Prometheus writes its numbers
        assert reader.read() == {"depth": 2.5}
    with reading(web, http="http:/json", json="queue.full") as reader, pytest.raises(ServiceError, match="no number"):
        reader.read()
    with reading(web, http="http:/json", json="queue.name") as reader, pytest.raises(ServiceError, match="no number"):
        reader.read()
    with reading(web, http="http:/nowhere") as reader, pytest.raises(ServiceError, match="500"):
        reader.read()


def test_sql(tmp_path):
    """The first column of the first row; the connection stays; a wrong query is an error, with secrets taken out."""
    path = tmp_path / "secret.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (n INTEGER)")
        database.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(5)])
    with reading(sql="SELECT count(*) FROM t", url=f"sqlite+aiosqlite:///{path}", every=60) as reader:
        assert reader.read() == {"depth": 5.0}
        assert reader.read() == {}  # not due yet
    with reading(sql="SELECT secret FROM t", url=f"sqlite+aiosqlite:///{path}") as reader:
        with pytest.raises(ServiceError, match=r"\*\*\*") as caught:
            reader.read()
        assert "secret" not in str(caught.value)


def test_redis(make_system, tmp_path, engine):
    """A command's reply, and a field of INFO, from a real Redis; one that is gone is an error."""
    from shakedown.plan.services import Build
    from shakedown.services.images import build_image
    from tests.conftest import ROOT

    image = build_image(engine, ROOT / "examples" / "courier" / "images" / "redis", Build(context="."), lambda _: None)
    system = make_system({"cache": {"image": image, "ports": {"http": 6379}, "health": {"tcp": "http"}}})
    system.runner("cache").run_inside(["redis-cli", "RPUSH", "jobs", "a", "b", "c"])
    handle = system.handle("cache")
    with reading(handle, redis="LLEN jobs", url="redis://{port.http}", every=0.2) as reader:
        assert reader.read() == {"depth": 3.0}
    with reading(handle, redis="INFO memory", field="used_memory", url="redis://{port.http}") as reader:
        assert reader.read()["depth"] > 1e5
    with reading(handle, redis="PING", url="redis://{port.http}") as reader, pytest.raises(ServiceError):
        reader.read()
    inside = system.runner("cache").run_inside
    with reading(handle, inside, command=["redis-cli", "LLEN", "jobs"]) as reader:
        assert reader.read() == {"depth": 3.0}
    with (
        reading(
            Handle("s", "process", {"http": Address("127.0.0.1", 1)}), redis="PING", url="redis://{port.http}"
        ) as reader,
        pytest.raises(ServiceError),
    ):
        reader.read()


def test_commands():
    """The first number of its output; a failure, silence and a hang are errors."""
    with reading(command=[sys.executable, "-c", "print('rows: 12')"]) as reader:
        assert reader.read() == {"depth": 12.0}
    for code, words in (
        ("raise SystemExit('lost')", "lost"),
        ("pass", "no number"),
        ("import time; time.sleep(60)", "timed out"),
    ):
        with (
            reading(command=[sys.executable, "-c", code], timeout=2) as reader,
            pytest.raises(ServiceError, match=words),
        ):
            reader.read()
