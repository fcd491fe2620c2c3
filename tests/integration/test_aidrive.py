"""aidrive's mistakes: each symptom that a row looks for is there with its mistake, and is not there without it.

With hardly any load: what the plan finds by its loads is asked for directly, so that a busy machine changes nothing.
"""

import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from shakedown.clock import RunClock
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.services import System
from tests.conftest import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.defects, pytest.mark.xdist_group("aidrive")]
PLAN = ROOT / "examples" / "aidrive" / "plan.yaml"
STATS, ITEM, DASHBOARD = "/api/inventory/stats", "/api/items/7", "/api/dashboard"
GONE = 0  # the status of a request that got no answer within its time


class Aidrive:
    """A running aidrive."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.address = system.handle("api").addresses["http"]
        self.clients = {
            name: httpx.Client(base_url=system.handle(name).addresses["http"].url, timeout=10, trust_env=False)
            for name in ("api", "forecast", "prometheus")
        }

    def container(self, service: str) -> Any:
        return self._system.client.containers.get(self._system.handle(service).container)

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        self.container(service).pause()
        try:
            yield
        finally:
            self.container(service).unpause()

    def status(self, path: str, *, within: float = 10.0, of: str = "api") -> int:
        try:
            return self.clients[of].get(path, timeout=within).status_code
        except httpx.TransportError:
            return GONE

    def quickest(self, path: str, times: int) -> float:
        """Seconds that the quickest of some requests took."""
        found = []
        for _ in range(times):
            begun = time.monotonic()
            assert self.status(path) == 200
            found.append(time.monotonic() - begun)
        return min(found)

    def counted(self, name: str) -> float:
        """A counter of the api."""
        text = self.clients["api"].get("/metrics").text
        return float(re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[0])

    def at_once(self, path: str, number: int) -> list[int]:
        """The statuses of requests that were all sent before the first answer was read."""
        sockets = [socket.create_connection((self.address.host, self.address.port), 10) for _ in range(number)]
        for one in sockets:
            one.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = []
        for one in sockets:
            try:
                answers.append(int((one.recv(4096) or b"HTTP/1.1 0").split(b" ")[1]))
            except OSError:
                answers.append(GONE)
            one.close()
        return answers

    def asked(self, query: str) -> float:
        """What Prometheus answers."""
        answer = self.clients["prometheus"].post("/api/v1/query", data={"query": query}).json()
        return float(answer["data"]["result"][0]["value"][1]) if answer["data"]["result"] else -1.0


# ------------------------------------------------------------------------------------------------------------- probes
def refused_of_many(aidrive: Aidrive) -> int:
    """A03: of 600 overviews at once, those that are told to come again; none gets another answer."""
    answers = aidrive.at_once(DASHBOARD, 600)
    assert set(answers) <= {200, 503}
    return answers.count(503)


def connections_closed(aidrive: Aidrive) -> int:
    """A04: of 400 connections at once, those that get no answer."""
    return aidrive.at_once("/health", 400).count(GONE)


def longest_wait(aidrive: Aidrive) -> float:
    """A08: seconds that the slowest of 2100 requests took."""
    longest = 0.0
    for _ in range(2100):
        begun = time.monotonic()
        aidrive.status(ITEM)
        longest = max(longest, time.monotonic() - begun)
    return longest


def misses(aidrive: Aidrive) -> float:
    """A02: of 30 statistics, those that were in no cache."""
    before = aidrive.counted("cache_misses_total")
    for _ in range(30):
        assert aidrive.status(STATS) == 200
    return aidrive.counted("cache_misses_total") - before


def overview_without_forecast(aidrive: Aidrive) -> int:
    """A09, A16: the status of an overview while the forecast hangs."""
    with aidrive.paused("forecast"):
        return aidrive.status(DASHBOARD, within=4.0)


def item_after_a_pause(aidrive: Aidrive) -> int:
    """A10: the worst status of an item, asked for while the database is silent for a moment, as when a packet is lost."""
    found = []
    for _ in range(4):
        aidrive.status(ITEM)
        with ThreadPoolExecutor(1) as pool:
            with aidrive.paused("postgres"):
                asked = pool.submit(aidrive.status, ITEM)
                time.sleep(0.25)
            found.append(asked.result())
    return max(found)


def back_after_sessions_ended(aidrive: Aidrive) -> bool:
    """A11, A16: the database ends all sessions; whether an item is there again within 10 s."""
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    aidrive.container("postgres").exec_run(
        ["psql", "-h", "/var/run/postgresql", "-U", "aidrive", "-d", "aidrive", "-c", sql]
    )
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if aidrive.status(ITEM) == 200:
            return True
        time.sleep(0.1)
    return False


def back_after_the_lock(aidrive: Aidrive) -> bool:
    """A12: every connection waits for a lock; whether an item is there within 5 s of its release."""
    sql = "BEGIN; LOCK TABLE items; SELECT pg_sleep(5); COMMIT"
    command = ["psql", "-h", "/var/run/postgresql", "-U", "aidrive", "-d", "aidrive", "-c", sql]
    locked = threading.Thread(target=aidrive.container("postgres").exec_run, args=(command,))
    locked.start()
    while locked.is_alive():
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: aidrive.status(ITEM), range(12)))
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if aidrive.status(ITEM) == 200:
            return True
    return False


def without_a_cache(aidrive: Aidrive) -> int:
    """A13: the status of statistics while Redis hangs."""
    with aidrive.paused("redis"):
        return aidrive.status(STATS)


def calls_to_the_dead(aidrive: Aidrive) -> float:
    """A14: of 20 overviews while the forecast hangs, those that asked it."""
    before = aidrive.counted('calls_total{to="forecast"}')
    with aidrive.paused("forecast"):
        for _ in range(20):
            aidrive.status(DASHBOARD)
    return aidrive.counted('calls_total{to="forecast"}') - before


def forecast_without_model(aidrive: Aidrive) -> int:
    """A15: the health of the forecast while the model hangs."""
    with aidrive.paused("model"):
        return aidrive.status("/health", of="forecast")


def done_for_nobody(aidrive: Aidrive) -> float:
    """A17: of 600 overviews at once, how much more often the forecast is asked than overviews are given."""
    before = aidrive.counted('calls_total{to="forecast"}')
    given = aidrive.at_once(DASHBOARD, 600).count(200)
    time.sleep(3)
    return aidrive.counted('calls_total{to="forecast"}') - before - given


def metrics_without_database(aidrive: Aidrive) -> int:
    """A18: the status of /metrics, within the 900 ms that a scrape may take, while the database hangs."""
    with aidrive.paused("postgres"):
        return aidrive.status("/metrics", within=0.9)


def scraped(aidrive: Aidrive) -> float:
    """A18: whether Prometheus reaches the api, in PromQL."""
    until = time.monotonic() + 30
    while aidrive.asked('min(up{job="api"})') != 1.0 and time.monotonic() < until:
        time.sleep(0.5)
    return aidrive.asked('min(up{job="api"})') + aidrive.asked('count(circuit_state{job="api"})')


def megabytes_kept(aidrive: Aidrive) -> float:
    """A19: by how much more memory it has after 500 requests."""

    def memory() -> float:
        kinds = aidrive.container("api").stats(stream=False)["memory_stats"]["stats"]
        return float(kinds.get("anon", kinds.get("total_rss", kinds.get("rss", 0)))) / 1e6

    before = memory()
    for _ in range(500):
        aidrive.status(ITEM)
    return memory() - before


Case = tuple[Callable[[Aidrive], float], Callable[[float], bool], Callable[[float], bool]]
# Mistake: the probe, what a sound system shows, what one with the mistake shows.
CASES: dict[str, Case] = {
    "blocking-call": (lambda a: a.quickest(STATS, 100), lambda s: s < 0.005, lambda s: s >= 0.005),
    "never-hits": (misses, lambda n: n <= 1, lambda n: n == 30),
    "few-connections": (connections_closed, lambda n: n == 0, lambda n: n > 100),
    "deep-health": (lambda a: a.quickest("/health", 20), lambda s: s < 0.04, lambda s: s >= 0.04),
    "leak-memory": (megabytes_kept, lambda n: n < 5, lambda n: n > 7),
    "slow-metrics": (metrics_without_database, lambda n: n == 200, lambda n: n == GONE),
    "cascade": (forecast_without_model, lambda n: n == 200, lambda n: n == 503),
    "no-breaker": (calls_to_the_dead, lambda n: n <= 10, lambda n: n == 20),
    "all-or-nothing": (overview_without_forecast, lambda n: n == 200, lambda n: n == 502),
    "cache-needed": (without_a_cache, lambda n: n == 200, lambda n: n == 503),
    "no-admission": (refused_of_many, lambda n: n > 0, lambda n: n == 0),
    "polling": (lambda a: a.quickest(STATS, 20), lambda s: s < 0.05, lambda s: s >= 0.06),
    "no-timeout": (overview_without_forecast, lambda n: n == 200, lambda n: n == GONE),
    "impatient": (item_after_a_pause, lambda n: n == 200, lambda n: n == 503),
    "backlog": (done_for_nobody, lambda n: n <= 0, lambda n: n > 50),
    "housekeeping": (longest_wait, lambda s: s < 1.2, lambda s: s >= 1.2),
    "no-reconnect": (back_after_sessions_ended, bool, lambda back: not back),
    "pool-leak": (back_after_the_lock, bool, lambda back: not back),
}
# Mistakes that do not get into each other's way share a system.
SYSTEMS = [
    (),
    ("blocking-call", "never-hits", "few-connections", "deep-health", "leak-memory", "cascade", "no-breaker",
     "all-or-nothing", "cache-needed", "slow-metrics"),
    ("no-admission", "polling", "no-timeout", "impatient"),
    ("backlog", "housekeeping", "no-reconnect"),
    ("pool-leak",),
]  # fmt: skip


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Aidrive]]:
    """Starts an aidrive with mistakes."""
    started: list[System] = []

    def make(*mistakes: str) -> Aidrive:
        run = f"aidrive-{uuid.uuid4().hex[:6]}"
        loaded = load_plan(PLAN, environ={"AIDRIVE_DEFECTS": ",".join(mistakes)})
        journal = Journal(tmp_path / "journal.jsonl", run=run, plan="test")
        system = System(loaded.plan, base=PLAN.parent, run=run, clock=RunClock.start(), journal=journal, run_dir=tmp_path,
                        on_event=lambda _: None, redact=loaded.redactor.redact)  # fmt: skip
        started.append(system)
        system.start(threading.Event())
        return Aidrive(system)

    yield make
    for system in started:
        assert system.stop() == []


def settled(aidrive: Aidrive) -> None:
    """Wait until no circuit is open any more and the database answers, so that one probe does not disturb the next."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        aidrive.status(DASHBOARD, within=2.0)
        states = [aidrive.counted(f'circuit_state{{dependency="{name}"}}') for name in ("redis", "forecast")]
        if states == [0.0, 0.0] and aidrive.status("/health") == 200:
            return
        time.sleep(0.2)


@pytest.mark.parametrize("mistakes", SYSTEMS, ids=lambda names: "+".join(names) or "sound")
@pytest.mark.timeout(600)
def test_mistakes(start, mistakes):
    """Each probe sees what its mistake does, and nothing on a sound system."""
    aidrive, wrong = start(*mistakes), []
    assert scraped(aidrive) == 3.0, "Prometheus reaches the api, and knows both of its circuits"
    for mistake in mistakes or CASES:
        probe, is_sound, is_broken = CASES[mistake]
        settled(aidrive)
        seen = probe(aidrive)
        sys.stdout.write(f"{mistake}: {seen}\n")
        if not (is_broken if mistakes else is_sound)(seen):
            wrong.append(f"{mistake}: {seen}")
    assert wrong == []
