"""Raglox's mistakes: each symptom that a row looks for is there with its mistake, and is not there without it.

Without load: what the plan finds by its loads is asked for directly, so that a busy machine changes nothing.
"""

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from shakedown.clock import RunClock
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.services import System
from tests.conftest import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.defects, pytest.mark.xdist_group("raglox")]
PLAN = ROOT / "examples" / "raglox" / "plan.yaml"
GONE = 0  # the status of a request that got no answer within its time


class Raglox:
    """A running raglox."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.client = httpx.Client(
            base_url=system.handle("api").addresses["http"].url, timeout=10, trust_env=False,
            limits=httpx.Limits(max_connections=50),
        )  # fmt: skip

    def container(self, service: str) -> Any:
        return self._system.client.containers.get(self._system.handle(service).container)

    def status(self, method: str, path: str, *, within: float = 10.0, **more: Any) -> int:
        try:
            return self.client.request(method, path, timeout=within, **more).status_code
        except httpx.TransportError:
            return GONE

    def many(self, number: int, method: str, path: str, **more: Any) -> list[int]:
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(lambda _: self.status(method, path, **more), range(number)))

    def task(self, *quantities: object) -> tuple[str, int]:
        name = uuid.uuid4().hex
        items = [{"name": "x", "quantity": quantity} for quantity in quantities]
        return name, self.status("POST", "/tasks", json={"id": name, "name": "x", "items": items})

    def memory(self) -> int:
        """Anonymous memory of the api, bytes."""
        kinds = self.container("api").stats(stream=False)["memory_stats"]["stats"]
        return kinds.get("anon", kinds.get("total_rss", kinds.get("rss", 0)))


# ------------------------------------------------------------------------------------------------------------- probes
def back_after_the_lock(raglox: Raglox) -> bool:
    """R01: every connection of the pool waits for a lock; whether a task is taken within 2 s of its release."""
    sql = "BEGIN; LOCK TABLE items; SELECT pg_sleep(6); COMMIT"
    command = ["psql", "-h", "/var/run/postgresql", "-U", "raglox", "-d", "raglox", "-c", sql]
    locked = threading.Thread(target=raglox.container("postgres").exec_run, args=(command,))
    locked.start()
    while locked.is_alive():  # until it is released
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: raglox.task(1), range(12)))
    return raglox.status("GET", "/tasks/none", within=2.0) == 404


def slow_reports_served(raglox: Raglox) -> int:
    """R02: of six queries of 2 s at once, those that were let finish."""
    return raglox.many(6, "GET", "/report?seconds=2").count(200)


def halves(raglox: Raglox) -> int:
    """R03: of five tasks whose third item breaks a rule, those of which something is there."""
    made = [raglox.task(1, 2, -1, 4, 5) for _ in range(5)]
    assert {status for _, status in made} == {422}
    return sum(raglox.status("GET", f"/tasks/{name}") == 200 for name, _ in made)


def without_a_cache(raglox: Raglox) -> int:
    """R04: the status of a task while Redis has no room."""
    name, _ = raglox.task(1)
    redis = raglox.container("redis")
    redis.exec_run(["redis-cli", "CONFIG", "SET", "maxmemory", "1"])
    try:
        return raglox.status("GET", f"/tasks/{name}")
    finally:
        redis.exec_run(["redis-cli", "CONFIG", "SET", "maxmemory", "48mb"])


def sessions_left(raglox: Raglox) -> int:
    """R05: of twenty sessions that were deleted, those that are there."""
    names = [uuid.uuid4().hex for _ in range(20)]
    for name in names:
        assert raglox.status("PUT", f"/sessions/{name}", content=b"x" * 10_000) == 204
        assert raglox.status("DELETE", f"/sessions/{name}") == 204
    return sum(raglox.status("GET", f"/sessions/{name}") == 200 for name in names)


def next_call(raglox: Raglox) -> int:
    """R06: the status of a call, within 2 s, after eight clients gave up after 0.1 s."""
    assert set(raglox.many(8, "GET", "/report?seconds=30", within=0.1)) == {GONE}
    return raglox.status("GET", "/tasks/none", within=4.0)  # of which two are the wait that is allowed to reports


def taken_for_valid(raglox: Raglox) -> int:
    """R07, R08: of ten malformed requests, those that got neither 400 nor 422."""
    bodies = [b"", b"null", b"[]", b'{"id": "x"', b'{"id": 5, "name": "x"}', b'{"id": null, "name": null}',
              b'{"id": "x", "name": "x", "items": "many"}', b'{"id": "y", "name": "x", "items": [{"name": "a", "quantity": "one"}]}',
              b'{"id": "a\\u0000b", "name": "x"}', b'{"id": "\\ud800", "name": "x"}']  # fmt: skip
    return sum(raglox.status("POST", "/tasks", content=body) not in (400, 422) for body in bodies)


def megabytes_kept(raglox: Raglox) -> float:
    """R09: by how much more memory it has after eight documents of 10 MB than after one."""
    document = b"hello world " * (10_000_000 // 12)
    assert raglox.status("POST", "/documents", content=document) == 200
    before = raglox.memory()
    for _ in range(8):
        assert raglox.status("POST", "/documents", content=document) == 200
    return (raglox.memory() - before) / 1e6


def told_to_wait(raglox: Raglox) -> int:
    """R10: of a hundred rapid requests, those that were told to come later."""
    client = {"X-Client": uuid.uuid4().hex}
    answers = [raglox.status("GET", "/tasks/none", headers=client) for _ in range(100)]
    assert set(answers) <= {404, 429}
    return answers.count(429)


Case = tuple[Callable[[Raglox], float], Callable[[float], bool], Callable[[float], bool]]
# Mistake, row: the probe, what a sound system shows, what one with the mistake shows.
CASES: dict[str, list[Case]] = {
    "half-commit": [(halves, lambda n: n == 0, lambda n: n == 5)],
    "no-cleanup": [(sessions_left, lambda n: n == 0, lambda n: n == 20)],
    "no-validation": [(taken_for_valid, lambda n: n == 0, lambda n: n >= 5)],
    "keeps-bodies": [(megabytes_kept, lambda n: n < 25, lambda n: n > 60)],
    "no-rate-limit": [(told_to_wait, lambda n: 0 < n <= 80, lambda n: n == 0)],
    "cache-needed": [(without_a_cache, lambda n: n == 200, lambda n: n == 503)],
    "no-timeout": [(slow_reports_served, lambda n: n == 0, lambda n: n > 0), (next_call, lambda n: n == 404, lambda n: n != 404)],
    "pool-leak": [(back_after_the_lock, bool, lambda back: not back)],
}  # fmt: skip
# Mistakes that do not get into each other's way share a system.
SYSTEMS = [
    (),
    ("half-commit", "no-cleanup", "no-validation", "keeps-bodies", "no-rate-limit", "cache-needed"),
    ("no-timeout",),
    ("pool-leak",),
]


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Raglox]]:
    """Starts a raglox with mistakes."""
    started: list[System] = []

    def make(*mistakes: str) -> Raglox:
        run = f"raglox-{uuid.uuid4().hex[:6]}"
        loaded = load_plan(PLAN, environ={"RAGLOX_DEFECTS": ",".join(mistakes)})
        journal = Journal(tmp_path / "journal.jsonl", run=run, plan="test")
        system = System(loaded.plan, base=PLAN.parent, run=run, clock=RunClock.start(), journal=journal, run_dir=tmp_path,
                        on_event=lambda _: None, redact=loaded.redactor.redact)  # fmt: skip
        started.append(system)
        system.start(threading.Event())
        return Raglox(system)

    yield make
    for system in started:
        assert system.stop() == []


@pytest.mark.parametrize("mistakes", SYSTEMS, ids=lambda names: "+".join(names) or "sound")
def test_mistakes(start, mistakes):
    """Each probe sees what its mistake does, and nothing on a sound system."""
    raglox, wrong = start(*mistakes), []
    for mistake in mistakes or CASES:
        for probe, is_sound, is_broken in CASES[mistake]:
            seen = probe(raglox)
            sys.stdout.write(f"{mistake}: {probe.__name__} = {seen}\n")
            if not (is_broken if mistakes else is_sound)(seen):
                wrong.append(f"{mistake}: {probe.__name__} = {seen}")
    assert wrong == []
