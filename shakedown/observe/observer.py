"""Resources once a second, on the run's time axis. What fails says so once and leaves a gap, never a zero."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from shakedown.clock import RunClock
from shakedown.observe.containers import ContainerReader
from shakedown.observe.probes import ProbeReader
from shakedown.observe.processes import HostReader, TreeReader
from shakedown.observe.prometheus import parse_metrics
from shakedown.plan.behaviour import scraped_series
from shakedown.records.observation import Event, Sample
from shakedown.services import System
from shakedown.services.docker import ContainerRunner
from shakedown.services.handle import Handle

__all__ = ["Observer"]

SCRAPE_TIMEOUT = 2.0


class Observer:
    """Samples every service, the host and ourselves.

    Args:
        on_samples: gets each round's samples.
        on_event: told when a sampler fails, and when it works again.
        interval: seconds from round to round.
        redact: takes secrets out of what is told of a failure.
    """

    def __init__(
        self, system: System, clock: RunClock, on_samples: Callable[[Sequence[Sample]], None],
        on_event: Callable[[Event], None], interval: float = 1.0, redact: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        self._clock, self._on_samples, self._on_event, self._interval = clock, on_samples, on_event, interval
        self._readers: list[tuple[str, str, Callable[[], dict[str, float]]]] = []
        self._http = httpx.Client(timeout=SCRAPE_TIMEOUT, trust_env=False)
        self._failing: set[tuple[str, str]] = set()
        self._probes: list[ProbeReader] = []
        self._closed = threading.Event()
        self._lock = (
            threading.Lock()
        )  # a reading for a cycle must not interleave with a round: CPU counts since the last
        for name, handle in system.handles.items():
            if handle.container is not None and system.client is not None:
                self._readers.append((name, "statistics", ContainerReader(system.client, handle.container).read))
            elif handle.pid is not None:
                self._readers.append((name, "process", TreeReader(partial(_pid_of, handle)).read))
            metrics = system.plan.services[name].metrics
            if metrics is not None:
                port, _, path = metrics.prometheus.partition(":")
                url = handle.addresses[port].url + path
                wanted = scraped_series(system.plan, name) | frozenset(metrics.series)
                self._readers.append((name, "metrics", self._scraper(url, wanted)))
            inside = system.runner(name)
            for series, probe in system.plan.services[name].probes.items():
                reader = ProbeReader(
                    series, probe, handle, redact=redact,
                    inside=inside.run_inside if isinstance(inside, ContainerRunner) else None,
                )  # fmt: skip
                self._probes.append(reader)
                self._readers.append((name, f"probe {series}", reader.read))
        self._readers.append(("host", "host", HostReader().read))
        self._readers.append(("shakedown", "process", TreeReader(os.getpid).read))
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sampler")
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def _scraper(self, url: str, wanted: frozenset[str]) -> Callable[[], dict[str, float]]:
        def scrape() -> dict[str, float]:
            answer = self._http.get(url)
            answer.raise_for_status()
            return parse_metrics(answer.text, wanted)

        return scrape

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=SCRAPE_TIMEOUT + 1)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.close()
        for probe in self._probes:
            probe.close()

    def read_now(self) -> list[Sample]:
        """One round at once, for readings at the same point of each cycle. It is handed on as well."""
        with self._lock:
            samples = [sample for part in self._pool.map(self._read, self._readers) for sample in part]
        self._on_samples(samples)
        return samples

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closed.is_set():
            self.read_now()
            due += self._interval
            now = time.monotonic()
            due = max(due, now)
            self._closed.wait(due - now)

    def _read(self, reader: tuple[str, str, Callable[[], dict[str, float]]]) -> list[Sample]:
        source, kind, read = reader
        at = self._clock.now()
        try:
            values = read()
        except Exception as error:  # noqa: BLE001 - whatever it is: a gap and a word, and the others go on
            if (source, kind) not in self._failing and not self._closed.is_set():
                self._failing.add((source, kind))
                self._on_event(Event(at, "sampler.failed", source, f"{kind}: {type(error).__name__}: {error}"[:300]))
            return []
        if (source, kind) in self._failing:
            self._failing.discard((source, kind))
            self._on_event(Event(at, "sampler.recovered", source, kind))
        return [Sample(at, source, series, value) for series, value in values.items()]


def _pid_of(handle: Handle) -> int | None:
    return handle.pid
