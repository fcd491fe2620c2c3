"""`watch`: the samplers of a run on a system that runs already, live in the terminal."""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shakedown.cli.console import err, out
from shakedown.errors import UsageError
from shakedown.units import format_number, format_size, parse_duration

if TYPE_CHECKING:
    from docker import DockerClient

    from shakedown.observe.lives import Lives
    from shakedown.observe.rounds import Rounds
    from shakedown.plan.probes import Probe
    from shakedown.records.observation import Event, Sample
    from shakedown.services.handle import Handle

__all__ = ["watch_system"]

PATIENCE = 0.5  # of an interval
PROBES = "probes"
CUMULATIVE = ("network_rx", "network_tx", "block_read", "block_write", "context_switches")
SHOWN = (
    "cpu",
    "memory",
    "memory_anon",
    "memory_with_cache",
    "memory_uss",
    "memory_pss",
    "pids",
    "threads",
    "open_files",
    *(f"sockets_{state}" for state in ("established", "close_wait", "time_wait")),
)
KEPT = 12.0  # seconds that a figure which is read less often stays in the table
_PROBE = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<probe>.+)", re.DOTALL)


def watch_system(
    containers: Sequence[str], pids: Sequence[int], prometheus: Sequence[str], probes: Sequence[str], *, every: str,
    limit: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Sample until the time is over or Ctrl-C; a table on a terminal, a line of JSON for each round elsewhere.

    Args:
        prometheus: `URL SERIES,SERIES`.
        probes: `NAME={…}`, as a plan has them, with whole addresses.

    Raises:
        UsageError: something to be watched is not there.
        EngineError: there are containers to be watched, and no engine answers.
    """
    interval, seconds = _duration(every, "--every"), _duration(limit, "--for") if limit else None
    watcher = _Watcher(live=not as_json and out.is_terminal)
    closing: list[Callable[[], None]] = []
    live = Live(console=out, auto_refresh=False) if watcher.live else None
    until = time.monotonic() + seconds if seconds is not None else None
    try:
        _fill(watcher.rounds, closing, containers, pids, prometheus, probes)
        due = time.monotonic()
        if live is not None:
            live.start()
        while True:
            watcher.look(interval * PATIENCE)
            if live is None:
                sys.stdout.write(json.dumps({"at": time.time(), **watcher.rates}) + "\n")
                sys.stdout.flush()
            else:
                live.update(watcher.shown(), refresh=True)
            due = max(due + interval, time.monotonic())
            if until is not None and due > until:
                return
            time.sleep(max(due - time.monotonic(), 0.0))
    except KeyboardInterrupt:  # how one ends it
        return
    finally:
        if live is not None:
            live.stop()
        watcher.rounds.close()
        for close in closing:
            close()


class _Watcher:
    """Reads everything, and turns counters into rates."""

    def __init__(self, *, live: bool) -> None:
        from shakedown.observe.rounds import Rounds

        self.live = live
        self.rounds = Rounds(time.monotonic, self._tell)
        self.rates: dict[str, dict[str, float]] = {}
        self._last: dict[tuple[str, str], tuple[float, float]] = {}
        self._shown: dict[tuple[str, str], tuple[float, float]] = {}
        self._problems: dict[tuple[str, str], str] = {}

    def _tell(self, event: "Event") -> None:
        """A sampler fails: said once, below the table or on standard error; or it works again."""
        kind = event.message.partition(":")[0]
        if event.kind == "sampler.failed":
            self._problems[event.subject, kind] = event.message
        else:
            self._problems.pop((event.subject, kind), None)
        if not self.live:
            words = event.message if event.kind == "sampler.failed" else f"{kind}: is read again"
            err.print(f"{event.subject}: {words}", markup=False)

    def look(self, patience: float) -> None:
        """One round; what fails has a word in `problems`, and no figures."""
        self.rates = {}
        for sample in self.rounds.round(patience, whole=False):
            if (value := self._rate(sample)) is not None:
                series = f"{sample.series}/s" if _counts(sample.series) else sample.series
                self.rates.setdefault(sample.source, {})[series] = round(value, 6)
                self._shown[sample.source, series] = (sample.at, value)

    def _rate(self, sample: "Sample") -> float | None:
        if not _counts(sample.series):
            return sample.value
        before = self._last.get((sample.source, sample.series))
        self._last[sample.source, sample.series] = (sample.at, sample.value)
        # It falls when it began anew, or what it was part of has ended.
        if before is None or sample.at <= before[0] or sample.value < before[1]:
            return None
        return (sample.value - before[1]) / (sample.at - before[0])

    def shown(self) -> Group:
        """A row for each series that one of them has, a column for each of them; what fails below."""
        now = time.monotonic()
        failing = {source for source, _ in self._problems}
        cells = {key: value for key, (at, value) in self._shown.items() if now - at < KEPT and (
            key[0] not in failing or key[1] in self.rates.get(key[0], {}))}  # fmt: skip
        present = {series for _, series in cells}
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for name in self.rounds.sources:
            table.add_column(name, justify="right", style="dim" if name in failing else None, overflow="fold")
        for series in [*(series for series in SHOWN if series in present), *sorted(present - set(SHOWN))]:
            row = [cells.get((name, series)) for name in self.rounds.sources]
            table.add_row(series.replace("_", " "), *("–" if cell is None else _show(series, cell) for cell in row))
        return Group(table, *(Text(f"{name}: {problem}", style="red") for (name, _), problem in self._problems.items()))


def _counts(series: str) -> bool:
    return series in CUMULATIVE or series.endswith("_total")


def _show(series: str, value: float) -> str:
    if series.startswith(("memory", "network", "block")):
        return format_size(value)
    return f"{value:.2f}" if series == "cpu" else format_number(value)


def _fill(
    rounds: "Rounds", closing: list[Callable[[], None]], containers: Sequence[str], pids: Sequence[int],
    prometheus: Sequence[str], probes: Sequence[str],
) -> None:  # fmt: skip
    """A reader for each thing to be watched."""
    import psutil

    from shakedown.observe.processes import HostReader, TreeReader

    rounds.add("host", "host", HostReader().read)
    if containers:
        from shakedown.guard.engine import find_engine
        from shakedown.observe.lives import Lives

        client = find_engine()
        lives = Lives(client)
        closing += [lives.close, client.close]
        for name in containers:
            _add_container(rounds, closing, client, lives, name)
    for pid in pids:
        if not psutil.pid_exists(pid):
            raise UsageError(f"there is no process {pid}")
        rounds.add(f"process {pid}", "process", _Process(TreeReader(lambda pid=pid: pid), pid).read, parts=True)  # type: ignore[misc]
    for entry in prometheus:
        url, _, series = entry.partition(" ")
        if not url.startswith(("http://", "https://")) or not series.strip():
            raise UsageError(
                f"not a Prometheus endpoint: {entry!r}", hint="'http://127.0.0.1:8000/metrics queue_depth,jobs_total'"
            )
        rounds.add(url, "metrics", _scraper(url, frozenset(series.replace(",", " ").split())), waits=True)
    for entry in probes:
        name, probe, handle = _probe(entry)
        from shakedown.observe.probes import ProbeReader

        reader = ProbeReader(name, probe, handle, inside=None, redact=str)
        closing.append(reader.close)
        rounds.add(PROBES, name, reader.read, waits=True, parts=True)


class _Process:
    """A tree that says when it is gone: in a run its service would be started again."""

    def __init__(self, reader: "object", pid: int) -> None:
        self._reader, self._pid = reader, pid

    def read(self, *, whole: bool = False) -> dict[str, float]:
        """Series and values.

        Raises:
            UsageError: it is gone.
        """
        values: dict[str, float] = self._reader.read(whole=whole)  # type: ignore[attr-defined]
        if not values:
            raise UsageError(f"the process {self._pid} has ended")
        return values


def _add_container(
    rounds: "Rounds", closing: list[Callable[[], None]], client: "DockerClient", lives: "Lives", name: str
) -> None:
    from docker.errors import NotFound

    from shakedown.observe.containers import ContainerReader

    try:
        full = str(client.containers.get(name).name)  # a new container of the same name is followed
    except NotFound:
        raise UsageError(f"there is no container `{name}`", hint="`docker ps` lists those that run") from None
    reader = ContainerReader(client, lives.follow(lambda: full))
    closing.append(reader.close)
    rounds.add(name, "statistics", reader.read, waits=lambda: reader.waits, parts=True)


def _scraper(url: str, wanted: frozenset[str]) -> Callable[[], dict[str, float]]:
    import httpx

    from shakedown.observe.prometheus import parse_metrics

    client = httpx.Client(timeout=2.0, trust_env=False)

    def scrape() -> dict[str, float]:
        answer = client.get(url)
        answer.raise_for_status()
        return parse_metrics(answer.text, wanted)

    return scrape


def _probe(entry: str) -> "tuple[str, Probe, Handle]":
    """`NAME={…}`: a probe as a plan has it; `http` and `url` are whole addresses."""
    import yaml
    from pydantic import ValidationError

    from shakedown.plan.probes import Probe
    from shakedown.services.handle import Address, Handle

    example = "'backlog={redis: LLEN jobs, url: redis://127.0.0.1:6379}' or 'lag={http: http://127.0.0.1:8000/stats, json: queue.lag}'"
    match = _PROBE.fullmatch(entry)
    try:
        wanted = yaml.safe_load(match["probe"]) if match is not None else None
    except yaml.YAMLError:
        wanted = None
    if match is None or not isinstance(wanted, dict):
        raise UsageError(f"not a probe: {entry!r}", hint=example)
    handle = Handle(PROBES, "external")
    if isinstance(wanted.get("http"), str):
        parts = urlsplit(wanted["http"])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--probe {match['name']}: `http` is a whole address here", hint=example)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        handle.addresses["http"] = Address(parts.hostname, port, parts.scheme)
        wanted["http"] = f"http:{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    try:
        return match["name"], Probe.model_validate(wanted), handle
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"--probe {match['name']}: {f'{where}: ' if where else ''}{words}", hint=example) from None


def _duration(text: str, option: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if seconds <= 0:
        raise UsageError(f"{option}: it must be above zero")
    return seconds
