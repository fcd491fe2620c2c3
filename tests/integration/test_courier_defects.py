"""The demo system's defects: each symptom is there with the defect, and is not there without it.

A probe does something to a running courier and returns what it saw as one number or truth; a case says what is to be
expected of it. Defects that do not get into each other's way share a system.
"""

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from docker.errors import APIError

from shakedown.clock import RunClock
from shakedown.guard import Journal
from shakedown.observe.prometheus import parse_metrics
from shakedown.plan import load_plan
from shakedown.services import System
from tests.conftest import COURIER

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("courier-defects")]
LIMIT = "services.api.environment.COURIER_QUEUE_LIMIT=50"  # within a test's reach
defects = pytest.mark.defects  # long: not in the default run
GONE = 0  # the status of a request that got no answer within its time


class Courier:
    """A running courier, as its clients and its vendors see it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._clients = {
            name: httpx.Client(base_url=handle.addresses["http"].url, timeout=3, trust_env=False)
            for name, handle in system.handles.items()
            if "http" in handle.addresses
        }
        self._number = count()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def container(self, service: str) -> Any:
        return self.system.client.containers.get(self.system.handle(service).container)

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        for attempt in range(5):
            try:
                self.container(service).pause()
                break
            except APIError:  # "unable to freeze": on a busy machine the engine gives up early
                if attempt == 4:
                    raise
        try:
            yield
        finally:
            self.container(service).unpause()

    def post(self, message: str = "", user: str = "", text: str = "hello") -> tuple[str, int]:
        """Send a message: its id, and the status."""
        message = message or f"message-{next(self._number)}"
        body = {"id": message, "user": user or f"user-of-{message}", "text": text}
        try:
            return message, self._clients["api"].post("/messages", json=body).status_code
        except httpx.TransportError:
            return message, GONE

    def send(self, number: int, rate: float) -> list[str]:
        """Send that many at that rate; the ids that were accepted."""
        begun = time.monotonic()

        def one(position: int) -> tuple[str, int]:
            time.sleep(max(0.0, begun + position / rate - time.monotonic()))
            return self.post()

        with ThreadPoolExecutor(24) as pool:
            return [message for message, status in pool.map(one, range(number)) if status == 202]

    def read(self, message: str, *, fresh: bool = True) -> dict:
        headers = {"Cache-Control": "no-cache"} if fresh else {}
        try:
            answer = self._clients["api"].get(f"/messages/{message}", headers=headers)
        except httpx.TransportError:
            return {"status": "no answer"}
        return answer.json() if answer.status_code == 200 else {"status": f"HTTP {answer.status_code}"}

    def answered(self, messages: list[str], within: float) -> int:
        """How many of them are answered at the end of that time, or as soon as all are."""
        until, left = time.monotonic() + within, set(messages)
        while left and time.monotonic() < until:
            left -= {message for message in list(left)[:50] if self.read(message)["status"] in ("answered", "review")}
            time.sleep(0.1)
        return len(messages) - len(left)

    def until(self, happened: Callable[[], bool], within: float) -> bool:
        end = time.monotonic() + within
        while time.monotonic() < end:
            if happened():
                return True
            time.sleep(0.2)
        return False

    def metric(self, service: str, name: str) -> float:
        return parse_metrics(self._clients[service].get("/metrics").text, {name})[name]

    def figure(self, service: str, line: str) -> float:
        """One line of the metrics, with its labels; 0 while it is not there."""
        lines = self._clients[service].get("/metrics").text.splitlines()
        return next((float(each.split()[-1]) for each in lines if each.startswith(line + " ")), 0.0)

    def books(self) -> dict[str, int]:
        return self._clients["api"].get("/api/messages/stats").json()

    def health(self, service: str) -> int:
        return self._clients[service].get("/health").status_code

    def vendor(self, service: str, **mode: float) -> None:
        """Tell a vendor how to behave."""
        self._clients[service].post("/mode", json=mode).raise_for_status()

    def settle(self, within: float = 20) -> None:
        """Wait until the queue is empty."""
        assert self.until(lambda: self.metric("api", "queue_depth") == 0, within), "the queue does not get empty"


# ------------------------------------------------------------------------------------------------------------- probes
def leaked_files(courier: Courier) -> float:
    before = courier.metric("api", "regular_files_open")
    courier.send(250, 100)
    return courier.metric("api", "regular_files_open") - before


def leaked_connections(courier: Courier) -> float:
    courier.send(600, 200)
    courier.settle()
    return courier.metric("worker", "database_connections") - courier.metric("worker", "pool_connections")


def miscounted(courier: Courier) -> int:
    courier.send(600, 200)
    courier.settle()
    books = courier.books()
    return books["messages_stored"] - books["messages_counted"]


def leaked_megabytes(courier: Courier) -> float:
    before = courier.metric("api", "process_resident_memory_bytes")
    courier.send(600, 200)
    return (courier.metric("api", "process_resident_memory_bytes") - before) / 1e6


def stale(courier: Courier) -> bool:
    """Whether who looked early goes on seeing what is no longer so."""
    courier.vendor("llm-primary", delay=0.5)
    message, _ = courier.post()
    early = courier.read(message, fresh=False)["status"]
    assert courier.answered([message], within=10) == 1
    courier.vendor("llm-primary", delay=0.02)
    return early == "queued" == courier.read(message, fresh=False)["status"]


def doubled(courier: Courier) -> int:
    accepted = courier.send(100, 100)
    courier.settle()
    return sum(len(courier.read(message)["replies"]) > 1 for message in accepted)


def calls_per_message(courier: Courier) -> float:
    """Calls that arrive at a provider that fails, per message sent."""
    failed = 'calls_total{path="/complete",status="500"}'
    before = courier.figure("llm-primary", failed)
    courier.vendor("llm-primary", status=500)
    accepted = courier.send(60, 30)
    courier.settle(40)
    courier.vendor("llm-primary", status=200)
    return (courier.figure("llm-primary", failed) - before) / len(accepted)


def breaker_moves(courier: Courier) -> list[float]:
    """How often the circuit of a provider opened, half-opened and closed, while the provider failed and came back."""
    moves = [
        f'circuit_transitions_total{{dependency="llm-primary",to="{to}"}}' for to in ("open", "half-open", "closed")
    ]

    def seen() -> list[float]:
        return [courier.figure("worker", move) - earlier for move, earlier in zip(moves, before, strict=True)]

    before = [courier.figure("worker", move) for move in moves]
    calls_per_message(courier)
    if any(seen()):
        courier.until(lambda: courier.post()[1] == 202 and min(seen()) > 0, within=10)
    return seen()


def herd(courier: Courier) -> float:
    """The most calls at once that the chat service gets when it is back and much has been waiting for it."""
    courier.vendor("chat", status=500)
    courier.send(150, 75)
    courier.settle()
    courier.vendor("chat", status=200)
    assert courier.until(lambda: courier.metric("worker", "outbox_depth") == 0, 20)
    return courier.metric("chat", "in_flight_peak")


def half_done(courier: Courier) -> int:
    """Answers without their outgoing message, after the database was frozen for a while."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(courier.send, 300, 50)
        time.sleep(2)
        with courier.paused("postgres"):
            time.sleep(5)
        wait([sending])
    courier.settle()
    time.sleep(5.5)  # younger ones may still be under way
    return courier.books()["messages_half"]


def lies(courier: Courier) -> bool:
    """Whether the api says that it is healthy while the database does not answer."""
    with courier.paused("postgres"):
        return courier.health("api") == 200


def held_up(courier: Courier) -> bool:
    """Whether a message that cannot be processed keeps a later one from being answered."""
    courier.post(text="json:{")
    message, _ = courier.post()
    return courier.answered([message], within=8) == 0


def waits_for_chat(courier: Courier) -> bool:
    """Whether a slow chat service holds up the whole api."""
    courier.until(lambda: courier.metric("api", "event_loop_lag_seconds") < 0.3, 10)  # of the last five seconds
    courier.vendor("chat", delay=1.0)
    courier.post()
    time.sleep(0.2)
    lag = courier.metric("api", "event_loop_lag_seconds")
    courier.vendor("chat", delay=0.02)
    return lag > 0.8


def refused(courier: Courier) -> int:
    """How many of 90 messages are told to come later while nobody takes messages from a queue for 50."""
    with courier.paused("worker"):
        time.sleep(1)  # what the worker had asked for is taken
        statuses = [courier.post()[1] for _ in range(90)]
    assert set(statuses) <= {202, 503}
    courier.settle(30)
    return statuses.count(503)


def waits_for_provider(courier: Courier) -> bool:
    """Whether a provider that says nothing holds up answers for as long as it is silent."""
    courier.settle()
    with courier.paused("llm-primary"):
        message, _ = courier.post()
        late = courier.answered([message], within=6) == 0
    assert courier.answered([message], within=10) == 1
    return late


def refused_without_database(courier: Courier) -> bool:
    """Whether no message is accepted while the database is frozen."""
    with courier.paused("postgres"):
        statuses = [courier.post()[1] for _ in range(3)]
    courier.until(lambda: courier.health("api") == 200, 15)
    return 202 not in statuses


def lost_at_the_end(courier: Courier) -> int:
    """Accepted messages that are nowhere after the worker was stopped in order and started again."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(courier.send, 120, 30)
        time.sleep(2)
        courier.container("worker").stop(timeout=8)
        courier.container("worker").start()
        accepted = sending.result()
    assert courier.until(lambda: courier.system.check_health("worker").healthy, 20)
    courier.settle()
    return len(accepted) - courier.answered(accepted, within=8)


def kill_redis(courier: Courier) -> None:
    """Redis is killed under load, is away for two seconds, and is back."""
    courier.container("redis").kill()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        courier.post()
    courier.container("redis").start()
    assert courier.until(lambda: courier.system.check_health("redis").healthy, 10)


def down_after_redis_is_back(courier: Courier) -> bool:
    """Whether messages are still refused eight seconds after Redis is back."""
    kill_redis(courier)
    return not courier.until(lambda: courier.post()[1] == 202, 8)


def lost_with_redis(courier: Courier) -> int:
    """Accepted messages that are nowhere after Redis was killed."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(courier.send, 120, 40)
        time.sleep(1)
        kill_redis(courier)
        accepted = sending.result()
    return len(accepted) - courier.answered(accepted, within=8)


# -------------------------------------------------------------------------------------------------------------- cases
Case = tuple[str, Callable[[Courier], Any], Callable[[Any], bool], Callable[[Any], bool]]


def case(
    defect: str, probe: Callable[[Courier], Any], sound: Callable[[Any], bool], broken: Callable[[Any], bool]
) -> Case:
    return defect, probe, sound, broken


def absent(seen: float) -> bool:
    return not seen


QUIET = [
    case("leak-files", leaked_files, lambda files: files <= 1, lambda files: files >= 6),
    case("stale-cache", stale, absent, bool),
    case("race", miscounted, absent, lambda missing: missing >= 1),
    case("leak-connections", leaked_connections, lambda more: more <= 1, lambda more: more >= 3),
]
LOUD = [
    case("leak-memory", leaked_megabytes, lambda grown: grown < 8, lambda grown: grown > 9),
    case("duplicate-writes", doubled, absent, lambda messages: messages >= 1),
    case("retry-storm", calls_per_message, lambda calls: calls < 0.7, lambda calls: calls > 1.8),
    case("thundering-herd", herd, lambda peak: peak <= 16, lambda peak: peak >= 40),
    case("half-commit", half_done, absent, lambda messages: messages >= 1),
    case("lying-health", lies, absent, bool),
    case("poison-message", held_up, absent, bool),
    case("no-reconnect", down_after_redis_is_back, absent, bool),
]
OTHERS = [
    case("blocking-call", waits_for_chat, absent, bool),
    case("no-breaker", breaker_moves, lambda moves: min(moves) >= 1, lambda moves: max(moves) == 0),
    case("unbounded-queue", refused, lambda told: 35 <= told <= 45, absent),
    case("no-timeout", waits_for_provider, absent, bool),
    case("cascade", refused_without_database, absent, bool),
    case("lost-on-shutdown", lost_at_the_end, absent, lambda messages: messages >= 1),
    case("slow-recovery", down_after_redis_is_back, absent, bool),
]
ALONE = [case("lose-writes", lost_with_redis, absent, lambda messages: messages >= 1)]  # it hides what others refuse


@pytest.fixture
def start(tmp_path: Path, run_name: str, engine) -> Iterator[Callable[..., Courier]]:
    """Start the demo's containers, with defects or without."""
    systems: list[System] = []
    couriers: list[Courier] = []

    def make(*defects: str) -> Courier:
        folder = tmp_path / uuid.uuid4().hex[:6]
        folder.mkdir()
        loaded = load_plan(COURIER, environ={"COURIER_DEFECTS": ",".join(defects)}, overrides=[LIMIT])
        journal = Journal(folder / "journal.jsonl", run=run_name, plan="test")
        system = System(loaded.plan, base=COURIER.parent, run=run_name, clock=RunClock.start(), journal=journal,
                        run_dir=folder, on_event=lambda _: None, redact=loaded.redactor.redact)  # fmt: skip
        systems.append(system)
        system.start(threading.Event())
        couriers.append(Courier(system))
        return couriers[-1]

    yield make
    for courier in couriers:
        courier.close()
    for system in systems:
        assert system.stop() == []


def judge(courier: Courier, cases: list[Case], *, broken: bool) -> None:
    """Try every case; tell all that were not as expected."""
    wrong = []
    for defect, probe, is_sound, is_broken in cases:
        seen = probe(courier)
        sys.stdout.write(f"{defect}: {probe.__name__} = {seen}\n")  # shown where a test fails
        if not (is_broken if broken else is_sound)(seen):
            wrong.append(f"{defect}: {probe.__name__} = {seen}")
    assert wrong == []


def test_the_sound_service_has_no_symptom_of_a_quiet_defect(start):
    """Without defects: no growth, right counts, fresh answers."""
    judge(start(), QUIET, broken=False)


def test_quiet_defects_show(start):
    """What only adds up under load is seen: files, connections, counts, old answers."""
    judge(start(*(defect for defect, *_ in QUIET)), QUIET, broken=True)


@defects
def test_the_sound_service_has_no_symptom(start):
    """Without defects, faults and overload leave no symptom of any defect."""
    judge(start(), [*OTHERS, *ALONE, *LOUD], broken=False)


@defects
@pytest.mark.parametrize("cases", [LOUD, OTHERS, ALONE], ids=["loud", "others", "alone"])
def test_defects_show(start, cases):
    """Each defect has its symptom."""
    judge(start(*(defect for defect, *_ in cases)), cases, broken=True)
