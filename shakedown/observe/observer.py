"""Resources once a second, on the run's time axis: which readers a run's system needs, and when they read."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import httpx
import psutil

from shakedown.clock import RunClock
from shakedown.observe.containers import ContainerReader
from shakedown.observe.lives import Lives
from shakedown.observe.probes import ProbeReader
from shakedown.observe.processes import HostReader, TreeReader
from shakedown.observe.prometheus import parse_metrics
from shakedown.observe.rounds import Rounds
from shakedown.plan.behaviour import scraped_series
from shakedown.records.observation import Event, Sample
from shakedown.services import System
from shakedown.services.docker import ContainerRunner
from shakedown.services.handle import Handle

__all__ = ["Observer"]

SCRAPE_TIMEOUT = 2.0
PATIENCE = 0.5  # of an interval: what answers within it is handed on with its own round
OURSELVES = "shakedown"


class Observer:
    """Samples every service, the host and ourselves.

    Args:
        on_samples: gets each round's samples.
        on_event: told when a sampler fails, and when it works again.
        interval: seconds from round to round.
        redact: takes secrets out of what is told of a failure.
        direct: read containers' figures from the kernel's files where they can be read, not from the engine.
    """

    def __init__(
        self, system: System, clock: RunClock, on_samples: Callable[[Sequence[Sample]], None],
        on_event: Callable[[Event], None], interval: float = 1.0, redact: Callable[[str], str] = str,
        *, direct: bool = True,
    ) -> None:  # fmt: skip
        self._clock, self._on_samples, self._interval = clock, on_samples, interval
        self._http = httpx.Client(timeout=SCRAPE_TIMEOUT, trust_env=False)
        self._closing: list[Callable[[], None]] = [self._http.close]
        self._closed = threading.Event()
        self._lock = (
            threading.Lock()
        )  # a reading for a cycle must not interleave with a round: CPU counts since the last
        self._lives: Lives | None = None
        self._rounds = Rounds(clock.now, on_event)
        for name, handle in system.handles.items():
            if handle.container is not None and system.client is not None:
                self._lives = self._lives or Lives(system.client)
                followed = self._lives.follow(partial(_container_of, handle))
                container = ContainerReader(system.client, followed, direct=direct)
                self._closing.append(container.close)
                self._rounds.add(name, "statistics", container.read, waits=partial(_waits, container), parts=True)
            elif handle.pid is not None:
                self._rounds.add(name, "process", TreeReader(partial(_pid_of, handle)).read, parts=True)
            metrics = system.plan.services[name].metrics
            if metrics is not None:
                port, _, path = metrics.prometheus.partition(":")
                url = handle.addresses[port].url + path
                wanted = scraped_series(system.plan, name) | frozenset(metrics.series)
                self._rounds.add(name, "metrics", self._scraper(url, wanted), waits=True)
            inside = system.runner(name)
            for series, probe in system.plan.services[name].probes.items():
                reader = ProbeReader(
                    series, probe, handle, redact=redact,
                    inside=inside.run_inside if isinstance(inside, ContainerRunner) else None,
                )  # fmt: skip
                self._closing.append(reader.close)
                self._rounds.add(name, f"probe {series}", reader.read, waits=True, parts=True)
        self._rounds.add("host", "host", HostReader().read)
        self._rounds.add(OURSELVES, "process", TreeReader(os.getpid, light=True).read, parts=True)
        self._rounds.add(OURSELVES, "its own cost", self._own_cost)
        self._last_cost: tuple[float, float] | None = None
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def _scraper(self, url: str, wanted: frozenset[str]) -> Callable[[], dict[str, float]]:
        def scrape() -> dict[str, float]:
            answer = self._http.get(url)
            answer.raise_for_status()
            return parse_metrics(answer.text, wanted)

        return scrape

    @property
    def cpu(self) -> float:
        """Seconds of CPU that watching has taken so far, storing what was seen included."""
        return self._rounds.cost.seconds + (self._lives.cpu if self._lives is not None else 0.0)

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=SCRAPE_TIMEOUT + 1)
        self._rounds.close()
        if self._lives is not None:
            self._lives.close()
        for close in self._closing:
            close()

    def read_now(self) -> list[Sample]:
        """One round at once and in full, for readings at the same point of each cycle. It is handed on as well."""
        with self._lock, self._rounds.cost.counted():
            late, samples = self._rounds.whole()
            self._on_samples([*late, *samples])
        return samples

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closed.is_set():
            with self._lock, self._rounds.cost.counted():
                self._on_samples(self._rounds.round(self._interval * PATIENCE, whole=False))
            due += self._interval
            now = time.monotonic()
            due = max(due, now)
            self._closed.wait(due - now)

    def _own_cost(self) -> dict[str, float]:
        """Cores that watching has used since the last round, and the memory of the process that it is done in."""
        now, spent, last = time.monotonic(), self.cpu, self._last_cost
        self._last_cost = (now, spent)
        values = {"observer_memory": float(psutil.Process().memory_info().rss)}
        if last is not None and now > last[0]:
            values["observer_cpu"] = (spent - last[1]) / (now - last[0])
        return values


def _pid_of(handle: Handle) -> int | None:
    return handle.pid


def _container_of(handle: Handle) -> str | None:
    return handle.container


def _waits(container: ContainerReader) -> bool:
    return container.waits
