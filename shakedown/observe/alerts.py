"""Alerts, looked at on a fixed schedule: an HTTP answer that shows whether they fire, a log in which they are written."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from shakedown.clock import RunClock
from shakedown.errors import ServiceError
from shakedown.plan.alerts import Alert
from shakedown.plan.extracts import compile_path
from shakedown.plan.probes import dotted
from shakedown.records.observation import Event, Sample
from shakedown.services import System

__all__ = ["SOURCE", "AlertWatch", "fires", "line_time"]

SOURCE = "alerts"  # of the samples: series is the alert's name, 1 while it fires
LOG_EVERY = 0.25
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d) ")
_FIRING = ("firing", "active")


class AlertWatch:
    """Looks at every alert that is not a condition on a series: those are seen in what is sampled anyway.

    A look that fails says nothing: a gap. For a log, there is a sample for each line that raises it or ends it.

    Args:
        logs: the folder with the services' logs.
        on_samples: gets what was seen.
        on_event: told when an alert cannot be looked at, and when it can again.
    """

    def __init__(
        self, system: System, clock: RunClock, logs: Path, on_samples: Callable[[Sequence[Sample]], None],
        on_event: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._system, self._clock, self._logs = system, clock, logs
        self._on_samples, self._on_event = on_samples, on_event
        self._closed = threading.Event()
        self._http = httpx.Client(trust_env=False)
        watched = {name: alert for name, alert in system.plan.alerts.items() if alert.series is None}
        self._threads = [
            threading.Thread(
                target=self._look if alert.http is not None else self._read,
                args=(name, alert),
                name="alert",
                daemon=True,
            )
            for name, alert in watched.items()
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._closed.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=3)
        self._http.close()

    def _look(self, name: str, alert: Alert) -> None:
        port, _, path = str(alert.http).partition(":")
        failing = False
        due = time.monotonic()
        while not self._closed.is_set():
            at = self._clock.now()
            try:
                url = self._system.handle(alert.service).addresses[port].url + path
                firing = fires(alert, self._http.get(url, timeout=alert.timeout))
            except (httpx.HTTPError, ServiceError, KeyError, ValueError) as error:
                if not failing and not self._closed.is_set():
                    self._on_event(Event(at, "sampler.failed", alert.service, f"alert {name}: {error}"[:300]))
                failing = True
            else:
                if failing:
                    self._on_event(Event(at, "sampler.recovered", alert.service, f"alert {name}"))
                failing = False
                self._on_samples([Sample(at, SOURCE, name, float(firing))])
            due = max(due + alert.every, time.monotonic())
            self._closed.wait(due - time.monotonic())

    def _read(self, name: str, alert: Alert) -> None:
        raised, cleared = re.compile(str(alert.log)), re.compile(alert.clear) if alert.clear else None
        path, position, rest = self._logs / f"{alert.service}.log", 0, b""
        while True:
            last = self._closed.is_set()
            with contextlib.suppress(OSError), path.open("rb") as log:
                log.seek(position)
                new = log.read()
                position += len(new)
                *lines, rest = (rest + new).split(b"\n")
                found = [self._sample(name, line.decode(errors="replace"), raised, cleared) for line in lines]
                if samples := [one for one in found if one is not None]:
                    self._on_samples(samples)
            if last:
                return
            self._closed.wait(LOG_EVERY)

    def _sample(self, name: str, line: str, raised: re.Pattern[str], cleared: re.Pattern[str] | None) -> Sample | None:
        if raised.search(line):
            return Sample(self._at(line), SOURCE, name, 1.0)
        if cleared is not None and cleared.search(line):
            return Sample(self._at(line), SOURCE, name, 0.0)
        return None

    def _at(self, line: str) -> float:
        """When a line was written: the engine says it; of a program's own output, when it was read."""
        written = line_time(line)
        return self._clock.now() if written is None else (written - self._clock.wall).total_seconds()


def line_time(line: str) -> datetime | None:
    """The engine's time at the begin of a line; None where there is none."""
    found = _STAMP.match(line)
    if found is None:
        return None
    fraction = (found[2] or ".0")[:7]  # the engine counts nanoseconds
    return datetime.fromisoformat(f"{found[1]}{fraction.ljust(7, '0')}{found[3].replace('Z', '+00:00')}")


def fires(alert: Alert, answer: httpx.Response) -> bool:
    """Whether an answer shows the alert firing.

    Raises:
        ValueError: the answer is not what it should be: neither firing nor silent.
    """
    if not answer.is_success:
        raise ValueError(f"HTTP {answer.status_code}")
    if alert.matches is not None:
        return re.search(alert.matches, answer.text) is not None
    data = json.loads(answer.content)
    if alert.rule is not None:
        return any(_state(one) in _FIRING for one in _rules(data) if _name(one) == alert.rule)
    found = compile_path(dotted(str(alert.json_)))(data)
    if alert.equals is not None:
        return any(one == alert.equals and isinstance(one, bool) == isinstance(alert.equals, bool) for one in found)
    return any(bool(one) for one in found)


def _rules(data: Any) -> list[Mapping[str, Any]]:
    """Active alerts: of Prometheus under data.alerts, of an Alertmanager a list."""
    if isinstance(data, dict):
        inner = data.get("data", data)
        data = inner.get("alerts", inner) if isinstance(inner, dict) else inner
    if not isinstance(data, list):
        raise ValueError("the answer lists no alerts")  # noqa: TRY004 - of an answer, not of a call
    return [one for one in data if isinstance(one, dict)]


def _name(alert: Mapping[str, Any]) -> object:
    labels = alert.get("labels")
    return labels.get("alertname") if isinstance(labels, dict) else alert.get("name")


def _state(alert: Mapping[str, Any]) -> object:
    """`state: firing` (Prometheus), `status: {state: active}` (an Alertmanager)."""
    status = alert.get("status")
    return status.get("state") if isinstance(status, dict) else alert.get("state", status)
