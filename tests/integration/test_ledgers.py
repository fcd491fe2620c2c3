"""Ledgers of real loads: a worker is killed, and every write that reached the server can still be judged."""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from shakedown.cli.app import app
from shakedown.errors import UsageError
from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.spec import Target
from shakedown.plan import load_plan
from shakedown.plan.executors import ConstantArrivalRate
from shakedown.results import Store
from shakedown.results.tables import RunRow

pytestmark = pytest.mark.integration
PAGE = 50
PLAN = """
version: 1
name: notes
services: {{api: {{url: "http://127.0.0.1:{port}"}}}}
scenarios:
  write:
    executor: {{type: constant-arrival-rate, rate: 100, duration: 20s}}
    http:
      target: api.http
      requests:
        - {{name: write, post: /notes, json: {{id: "n-{{{{ iteration }}}}", text: "{{{{ text(4) }}}}"}}, checks: [status == 201],
            ledger: notes, value: "{{{{ body.text }}}}"}}
ledgers:
  notes:
    read: {{get: "/notes/{{{{ key }}}}", target: api.http, value: text, copies: copies}}
    list: {{get: "/notes?offset={{{{ offset }}}}", target: api.http, items: notes, value: text, match: "^n-.*"}}
    within: 1s
stages: {{baseline: {{scenarios: [write]}}, recovery: {{ledgers: [notes]}}}}
"""


@contextmanager
def service():
    """A service that keeps notes; what it keeps can be changed behind its back."""
    kept: dict[str, list[str]] = {}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                kept.setdefault(note["id"], []).append(note["text"])
            self.answer(201, {})

        def do_GET(self):
            parts = urlsplit(self.path)
            with lock:
                if parts.path == "/notes":
                    every = [{"id": key, "text": text} for key, texts in kept.items() for text in texts]
                    begin = int(parse_qs(parts.query)["offset"][0])
                    self.answer(200, {"notes": every[begin : begin + PAGE]})
                    return
                texts = kept.get(parts.path.rpartition("/")[2])
            self.answer(200, {"text": texts[0], "copies": len(texts)}) if texts else self.answer(404, {})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def killed_run(tmp_path, port, kept):
    """A run whose load worker is killed while it writes; its row in the database says that it runs."""
    (tmp_path / "plan.yaml").write_text(PLAN.format(port=port))
    loaded = load_plan(tmp_path / "plan.yaml", environ={})
    store = Store.open(tmp_path)
    store.begin_run(
        RunRow(
            id="run-1",
            plan="notes",
            plan_path=str(loaded.path),
            plan_digest=loaded.digest,
            plan_json=loaded.resolved,
            started=datetime.now(UTC),
            status="running",
            seed=1,
        )
    )
    executor = ConstantArrivalRate(type="constant-arrival-rate", rate=100, duration=20, max_vus=50)
    spec = LoadSpec(
        label="write", scenario="write", stage="baseline", duration=20, seed=1, origin=time.monotonic(),
        work=loaded.plan.scenarios["write"].model_copy(update={"executor": executor}),
        target=Target(host="127.0.0.1", port=port), ledger_dir=str(tmp_path / "runs" / "run-1" / "ledgers"),
    )  # fmt: skip
    load = LoadHandle(spec, lambda _: None)
    load.start()
    until = time.monotonic() + 60
    while len(kept) < 120 and time.monotonic() < until:
        time.sleep(0.02)
    for worker in load._workers:
        os.kill(worker.process.pid, signal.SIGKILL)
    load.kill()
    assert len(kept) >= 120


def check(tmp_path, *arguments):
    done = CliRunner().invoke(app, ["ledger", "check", "run-1", "--root", str(tmp_path), "--json", *arguments])
    return done, json.loads(done.stdout)[0] if done.exit_code in (0, 1, 3) else None


def test_the_writes_of_a_killed_worker_are_all_judged(tmp_path):
    """Nothing that reached the server is a phantom, what was tampered with is found, and each exit code is as told."""
    with service() as (port, kept):
        kept["other-1"] = ["not of this ledger"]
        killed_run(tmp_path, port, kept)
        done, result = check(tmp_path)
        assert done.exit_code == 0, done.output
        assert result["acknowledged"] >= 100
        assert result["phantom"] == result["lost"] == 0
        keys = [key for key in kept if key.startswith("n-")]
        del kept[keys[3]]
        kept[keys[5]] *= 2
        kept[keys[7]] = ["something else"]
        kept["n-stranger"] = ["hello"]
        for url in ((), ("--url", f"http://127.0.0.1:{port}"), ("--url", f"api=http://127.0.0.1:{port}")):
            done, result = check(tmp_path, "--within", "0s", *url)
            assert done.exit_code == 1, done.output
            found = {kind: result[kind] for kind in ("lost", "duplicated", "corrupted", "phantom")}
            assert found == dict.fromkeys(found, 1)
        assert {fault["key"] for fault in result["faults"]} == {keys[3], keys[5], keys[7], "n-stranger"}
        assert len((tmp_path / "runs/run-1/ledgers/notes.check.jsonl").read_text().splitlines()) == 4
    done, result = check(tmp_path, "--within", "0s")
    assert done.exit_code == 3
    assert result["lost"] == 0
    done = CliRunner().invoke(app, ["ledger", "check", "run-1", "--root", str(tmp_path), "--ledger", "none"])
    assert isinstance(done.exception, UsageError)
