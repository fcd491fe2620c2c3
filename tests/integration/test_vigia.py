"""Vigia's suite, and Vigia's mistakes: each symptom that a row looks for is there with its mistake, and not without it.

Without load: what the plan finds by its loads is asked for directly, so that a busy machine changes nothing.
"""

import hashlib
import hmac
import json
import os
import random
import re
import statistics
import struct
import subprocess
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from shakedown.clock import RunClock
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.services import System
from tests.conftest import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("vigia")]
FOLDER = ROOT / "examples" / "vigia"
PLAN = FOLDER / "plan.yaml"


# ------------------------------------------------------------------------------------------------------------- the suite
class _MadeAnything(BaseHTTPRequestHandler):
    """As much of the api as the set-up of the webhooks' tests needs."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run_tests(*arguments: str, **environment: str) -> str:
    """What a pytest of its own says."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SHAKEDOWN_", "VIGIA_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments], cwd=FOLDER, env={**own, **environment}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout


def test_the_suite_is_as_large_as_said():
    """124 tests, which is what the plan asks for."""
    assert "\n124 tests collected" in run_tests("tests", "--collect-only")
    assert "vigia.tests >= 124" in PLAN.read_text()


@pytest.mark.parametrize("mistake", ["", "silent-skip"])
def test_an_absent_webhook_server(mistake):
    """V09: each of its tests is skipped, and the reason is said; with the mistake each passes, which the plan's threshold sees."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _MadeAnything) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            said = run_tests(
                "tests/test_webhook.py", VIGIA_DEFECTS=mistake, VIGIA_WEBHOOK="http://127.0.0.1:9",
                SHAKEDOWN_API_HTTP=f"http://127.0.0.1:{server.server_address[1]}",
            )  # fmt: skip
        finally:
            server.shutdown()
    assert ("\n35 passed" if mistake else "\n35 skipped") in said
    assert ("the webhook server is not running at http://127.0.0.1:9" in said) is not bool(mistake)


# ---------------------------------------------------------------------------------------------------------- the system
def picture(width: int = 480, height: int = 360) -> bytes:
    """A PNG that nobody has seen before."""
    rows = (b"\0" + random.randbytes(width * 3)) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


class Vigia:
    """A running vigia."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.api, self.webhook = (
            httpx.Client(base_url=system.handle(name).addresses["http"].url, timeout=30, trust_env=False,
                         limits=httpx.Limits(max_connections=60))
            for name in ("api", "webhook")
        )  # fmt: skip

    def many(self, number: int, function: Callable[[int], Any]) -> list[Any]:
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(function, range(number)))

    def deliver(self, signature: str | None = None) -> tuple[str, int]:
        delivery, body = str(uuid.uuid4()), json.dumps({"camera": "street", "kind": "motion"}).encode()
        signed = hmac.new(b"vigia-demo-gate", delivery.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"X-Delivery": delivery, "X-Signature": signature or f"sha256={signed}"}
        return delivery, self.webhook.post("/webhooks/gate", content=body, headers=headers).status_code

    def camera(self) -> str:
        name = f"camera-{uuid.uuid4().hex}"
        assert self.api.put(f"/cameras/{name}", json={}).status_code == 201
        return name

    def keep(self, data: bytes) -> str:
        answer = self.api.post("/pictures", content=data)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def gauge(self, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", self.api.get("/metrics").text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def memory(self) -> float:
        """Anonymous memory of the api, megabytes."""
        container = self._system.client.containers.get(self._system.handle("api").container)
        kinds = container.stats(stream=False)["memory_stats"]["stats"]
        return kinds.get("anon", kinds.get("total_rss", kinds.get("rss", 0))) / 1e6


# ------------------------------------------------------------------------------------------------------------- probes
def forged(vigia: Vigia) -> int:
    """V01: the status of a delivery whose signature is wrong."""
    return vigia.deliver("sha256=" + "0" * 64)[1]


def refused_when_busy(vigia: Vigia) -> int:
    """V02, V10: of 40 requests at once, those that were refused."""
    camera = vigia.camera()
    return sum(vigia.api.get(f"/cameras/{camera}").status_code == 503 for _ in range(2)) + sum(
        answer.status_code == 503 for answer in vigia.many(40, lambda _: vigia.api.get(f"/cameras/{camera}"))
    )


def codes_of_forty(vigia: Vigia) -> int:
    """V03: how many codes forty shares of one picture have: with sixteen to draw from, at most those."""
    kept = vigia.keep(picture(8, 8))
    return len({vigia.api.post(f"/pictures/{kept}/shares").json()["code"] for _ in range(40)})


def megabytes_kept(vigia: Vigia) -> float:
    """V04, V08: by how much more memory the api has after 80 more pictures of half a megabyte each."""
    for _ in range(20):
        vigia.keep(picture())
    before = vigia.memory()
    for _ in range(80):
        vigia.keep(picture())
    return vigia.memory() - before


def lost(vigia: Vigia) -> int:
    """V05: of 200 deliveries that were acknowledged, those that are not there a while later."""
    made = [one for _ in range(5) for one in vigia.many(40, lambda _: vigia.deliver())]
    assert {status for _, status in made} == {202}
    until = time.monotonic() + 10
    while vigia.webhook.get("/metrics").text.count("to_be_stored 0\n") == 0:
        assert time.monotonic() < until, "it goes on storing"
    return sum(vigia.webhook.get(f"/deliveries/{delivery}").status_code == 404 for delivery, _ in made)


def failed_to_make(vigia: Vigia) -> int:
    """V06: of twenty requests at once for one new camera, ten times, those that were neither told that it is there nor that it is new."""
    answers = []
    for _ in range(10):
        name = f"camera-{uuid.uuid4().hex}"
        answers += vigia.many(20, lambda _, name=name: vigia.api.put(f"/cameras/{name}", json={}).status_code)
    return sum(status not in (200, 201) for status in answers)


def files_left(vigia: Vigia) -> float:
    """V07: temporary files after ten pictures."""
    for _ in range(10):
        vigia.keep(picture(8, 8))
    return vigia.gauge("temporary_files")


def times_longer(vigia: Vigia) -> float:
    """V11: how many times longer a hundred events take than one."""
    camera = vigia.camera()
    events = [{"camera": camera, "kind": "door"} for _ in range(100)]
    assert vigia.api.post("/events/batch", json=events).status_code == 201

    def seconds(limit: int) -> float:
        begun = time.perf_counter()
        assert len(vigia.api.get("/events", params={"camera": camera, "limit": limit}).json()) == limit
        return time.perf_counter() - begun

    return statistics.median([seconds(100) for _ in range(15)]) / statistics.median([seconds(1) for _ in range(15)])


Probe = tuple[Callable[[Vigia], float], Callable[[float], bool], Callable[[float], bool]]
# By mistake: the probe, what a sound system shows, what one with the mistake shows.
CASES: dict[str, Probe] = {
    "any-signature": (forged, lambda n: n == 401, lambda n: n == 202),
    "tiny-pool": (refused_when_busy, lambda n: n == 0, lambda n: n > 0),
    "short-codes": (codes_of_forty, lambda n: n == 40, lambda n: n <= 16),
    "keeps-pictures": (megabytes_kept, lambda n: n < 15, lambda n: n > 30),
    "lost-webhook": (lost, lambda n: n == 0, lambda n: n > 0),
    "race": (failed_to_make, lambda n: n == 0, lambda n: n > 0),
    "temp-files": (files_left, lambda n: n == 0, lambda n: n >= 10),
    "n-plus-one": (times_longer, lambda n: n < 5, lambda n: n > 5),
}
# Mistakes that do not get into each other's way share a system.
SYSTEMS = [
    (),
    ("any-signature", "short-codes", "keeps-pictures", "temp-files", "n-plus-one", "race"),
    ("lost-webhook",),
    ("tiny-pool",),
]


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Vigia]]:
    """Starts a vigia with mistakes."""
    started: list[System] = []

    def make(*mistakes: str) -> Vigia:
        run = f"vigia-{uuid.uuid4().hex[:6]}"
        loaded = load_plan(PLAN, environ={"VIGIA_DEFECTS": ",".join(mistakes)})
        journal = Journal(tmp_path / "journal.jsonl", run=run, plan="test")
        system = System(loaded.plan, base=PLAN.parent, run=run, clock=RunClock.start(), journal=journal, run_dir=tmp_path,
                        on_event=lambda _: None, redact=loaded.redactor.redact)  # fmt: skip
        started.append(system)
        system.start(threading.Event())
        return Vigia(system)

    yield make
    for system in started:
        assert system.stop() == []


@pytest.mark.defects
@pytest.mark.parametrize("mistakes", SYSTEMS, ids=lambda names: "+".join(names) or "sound")
def test_mistakes(start, mistakes):
    """Each probe sees what its mistake does, and nothing on a sound system."""
    vigia, wrong = start(*mistakes), []
    for mistake in mistakes or CASES:
        probe, is_sound, is_broken = CASES[mistake]
        seen = probe(vigia)
        sys.stdout.write(f"{mistake}: {probe.__name__} = {seen}\n")
        if not (is_broken if mistakes else is_sound)(seen):
            wrong.append(f"{mistake}: {probe.__name__} = {seen}")
    assert wrong == []
