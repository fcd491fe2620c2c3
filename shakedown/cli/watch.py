"""`watch`: the samplers of a run on a system that runs already, live in the terminal."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from shakedown.cli.console import err, out
from shakedown.errors import UsageError
from shakedown.units import format_size, parse_duration

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["watch_system"]

Reader = Callable[[], dict[str, float]]
CUMULATIVE = ("network_rx", "network_tx", "block_read", "block_write", "context_switches")
SHOWN = (
    "cpu",
    "memory",
    "memory_pss",
    "pids",
    "threads",
    "open_files",
    *(f"sockets_{state}" for state in ("established", "close_wait")),
)


def watch_system(
    containers: Sequence[str], pids: Sequence[int], prometheus: Sequence[str], *, every: str, limit: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Sample until the time is over or Ctrl-C; a table on a terminal, a line of JSON for each round elsewhere.

    Args:
        prometheus: `URL SERIES,SERIES`.

    Raises:
        UsageError: something to be watched is not there.
    """
    interval, seconds = _duration(every, "--every"), _duration(limit, "--for") if limit else None
    readers = dict(_readers(containers, pids, prometheus))
    watcher = _Watcher(readers)
    until = time.monotonic() + seconds if seconds is not None else None
    live = None if as_json or not out.is_terminal else Live(console=out, auto_refresh=False)
    due = time.monotonic()
    try:
        if live is not None:
            live.start()
        while True:
            watcher.look()
            if live is None:
                sys.stdout.write(json.dumps({"at": time.time(), **watcher.rates}) + "\n")
                sys.stdout.flush()
            else:
                live.update(watcher.table(), refresh=True)
            due = max(due + interval, time.monotonic())
            if until is not None and due > until:
                return
            time.sleep(max(due - time.monotonic(), 0.0))
    except KeyboardInterrupt:  # how one ends it
        return
    finally:
        if live is not None:
            live.stop()
        for name, problem in watcher.problems.items():
            err.print(f"{name}: {problem}", markup=False)


class _Watcher:
    """Reads everything, and turns counters into rates."""

    def __init__(self, readers: dict[str, Reader]) -> None:
        self._readers = readers
        self._last: dict[tuple[str, str], tuple[float, float]] = {}
        self.rates: dict[str, dict[str, float]] = {}
        self.problems: dict[str, str] = {}

    def look(self) -> None:
        """One round; what fails has a word in `problems`, and no figures."""
        self.rates, self.problems = {}, {}
        for name, read in self._readers.items():
            try:
                values = read()
            except Exception as error:  # noqa: BLE001 - whatever it is: the others go on
                self.problems[name] = f"{type(error).__name__}: {error}"[:200]
                continue
            if not values:
                self.problems[name] = "it is gone"
            now = time.monotonic()
            for series, value in list(values.items()):
                if series in CUMULATIVE or series.endswith("_total"):
                    at, before = self._last.get((name, series), (now, value))
                    self._last[name, series] = (now, value)
                    del values[series]
                    if now > at and value >= before:  # it falls when it began anew, or what it was part of has ended
                        values[f"{series}/s"] = (value - before) / (now - at)
            self.rates[name] = {series: round(value, 6) for series, value in values.items()}

    def table(self) -> Table:
        """A row for each series that one of them has, a column for each of them."""
        present = {series for values in self.rates.values() for series in values}
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for name in self._readers:
            table.add_column(name, justify="right", style="dim" if name in self.problems else None, overflow="fold")
        for series in [*(series for series in SHOWN if series in present), *sorted(present - set(SHOWN))]:
            cells = [self.rates.get(name, {}).get(series) for name in self._readers]
            table.add_row(series.replace("_", " "), *("–" if cell is None else _show(series, cell) for cell in cells))
        return table


def _show(series: str, value: float) -> str:
    if series.startswith(("memory", "network", "block")):
        return format_size(value)
    return f"{value:.2f}" if series == "cpu" else f"{value:,.4g}"


def _readers(containers: Sequence[str], pids: Sequence[int], prometheus: Sequence[str]) -> list[tuple[str, Reader]]:
    import psutil

    from shakedown.observe.processes import HostReader, TreeReader

    found: list[tuple[str, Reader]] = [("host", HostReader().read)]
    if containers:
        from shakedown.guard.engine import find_engine

        client = find_engine()
        found += [(name, _container(client, name)) for name in containers]
    for pid in pids:
        if not psutil.pid_exists(pid):
            raise UsageError(f"there is no process {pid}")
        found.append((f"process {pid}", TreeReader(lambda pid=pid: pid).read))  # type: ignore[misc]
    for entry in prometheus:
        url, _, series = entry.partition(" ")
        if not url.startswith(("http://", "https://")) or not series.strip():
            raise UsageError(
                f"not a Prometheus endpoint: {entry!r}", hint="'http://127.0.0.1:8000/metrics queue_depth,jobs_total'"
            )
        found.append((url, _scraper(url, frozenset(series.replace(",", " ").split()))))
    return found


def _container(client: "DockerClient", name: str) -> Reader:
    from docker.errors import NotFound

    from shakedown.observe.containers import ContainerReader

    try:
        return ContainerReader(client, str(client.containers.get(name).id)).read
    except NotFound:
        raise UsageError(f"there is no container `{name}`", hint="`docker ps` lists those that run") from None


def _scraper(url: str, wanted: frozenset[str]) -> Reader:
    import httpx

    from shakedown.observe.prometheus import parse_metrics

    def scrape() -> dict[str, float]:
        answer = httpx.get(url, timeout=2.0, trust_env=False)
        answer.raise_for_status()
        return parse_metrics(answer.text, wanted)

    return scrape


def _duration(text: str, option: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if seconds <= 0:
        raise UsageError(f"{option}: it must be above zero")
    return seconds
