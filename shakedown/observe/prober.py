"""Health, looked at on a fixed schedule whatever the last look does."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from shakedown.clock import RunClock
from shakedown.plan.services import Health
from shakedown.records.observation import ProbeResult
from shakedown.services import System

__all__ = ["Prober"]

PERIOD = 0.1
SLOW_PERIOD = 1.0  # for looks that cost more than a request: commands, Docker's own check, bare connections
TIMEOUT = 1.0
IN_FLIGHT = 12  # looks of one service at once: a second of unanswered looks, and some
BATCH_EVERY = 0.5


class Prober:
    """Looks at every service that has a health.

    Args:
        on_probes: gets what was found, twice a second.
    """

    def __init__(self, system: System, clock: RunClock, on_probes: Callable[[Sequence[ProbeResult]], None]) -> None:
        self._system, self._clock, self._on_probes = system, clock, on_probes
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._found: list[ProbeResult] = []
        self._flying: dict[str, int] = {}
        self.skipped = 0  # looks that were not begun because too many were still out
        self._http = httpx.Client(
            timeout=TIMEOUT, trust_env=False, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )
        looked_at = sum(service.health is not None for service in system.plan.services.values())
        # Room for every look that may be out: a service that hangs must not hold up the looks at another.
        self._pool = ThreadPoolExecutor(max_workers=max(IN_FLIGHT * looked_at, 1), thread_name_prefix="prober")
        self._threads = [threading.Thread(target=self._deliver, name="prober-deliver", daemon=True)]
        for name, service in system.plan.services.items():
            if service.health is not None:
                period = PERIOD if service.health.http is not None else SLOW_PERIOD
                thread = threading.Thread(target=self._watch, args=(name, service.health, period), daemon=True)
                self._threads.append(thread)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and hand over what is left."""
        self._closed.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._hand_over()
        self._http.close()

    def _watch(self, name: str, health: Health, period: float) -> None:
        due = time.monotonic()
        while not self._closed.is_set():
            if self._flying.get(name, 0) < IN_FLIGHT:
                with self._lock:
                    self._flying[name] = self._flying.get(name, 0) + 1
                self._pool.submit(self._look, name, health)
            else:
                self.skipped += 1
            due = max(due + period, time.monotonic() - period)
            self._closed.wait(max(due - time.monotonic(), 0.0))

    def _look(self, name: str, health: Health) -> None:
        try:
            found = self._http_look(name, health) if health.http is not None else self._system.check_health(name)
        except Exception as error:  # noqa: BLE001 - a look that cannot be made is a service that is not seen healthy
            found = ProbeResult(self._clock.now(), name, False, 0.0, f"{type(error).__name__}: {error}"[:200])
        with self._lock:
            self._flying[name] -= 1
            self._found.append(found)

    def _http_look(self, name: str, health: Health) -> ProbeResult:
        port, _, path = str(health.http).partition(":")
        at = self._clock.now()
        try:
            answer = self._http.get(self._system.handle(name).addresses[port].url + path)
            healthy, detail = answer.is_success, f"HTTP {answer.status_code}"
        except httpx.HTTPError as error:
            healthy, detail = False, f"{type(error).__name__}: {error}"[:200]
        return ProbeResult(at, name, healthy, self._clock.now() - at, detail)

    def _deliver(self) -> None:
        while not self._closed.wait(BATCH_EVERY):
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            found, self._found = self._found, []
        if found:
            self._on_probes(sorted(found, key=lambda probe: probe.at))
