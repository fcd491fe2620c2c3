"""What driver tests share: a scenario run as a load of its own, and what came of it in few words."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.spec import Target
from shakedown.plan.scenarios import Scenario
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult, Outcome
from shakedown.services.ports import free_port


def load(
    tmp_path: Path, executor: dict, port: int | None = None, *, workers: int = 1, tls: bool = False, **spoken
) -> LoadHandle:
    """A load that is ready to be started."""
    work = Scenario.model_validate({"executor": executor, **spoken})
    spec = LoadSpec(
        label="l", scenario="s", stage="x", duration=work.executor.longest, seed=1, workers=workers, work=work,
        target=Target(host="127.0.0.1", port=port, tls=tls) if port else None, base=str(tmp_path),
        ledger_dir=str(tmp_path / "ledgers"), origin=time.monotonic() - 1,
    )  # fmt: skip
    return LoadHandle(spec, lambda _: None)


def finish(handle: LoadHandle) -> LoadResult:
    """Wait for its end; its counts add up, and all requests of ended iterations are there."""
    result = handle.wait(threading.Event())
    assert result.counts.problems() == []
    assert result.generator.lost_workers == 0
    assert sum(bucket.response.count for bucket in result.buckets.values()) == result.counts.requests
    return result


def run(tmp_path: Path, executor: dict, port: int | None = None, **changes) -> LoadResult:
    """A whole load."""
    handle = load(tmp_path, executor, port, **changes)
    handle.start()
    return finish(handle)


def ended(result: LoadResult) -> dict[tuple[str, str], int]:
    """How many requests of which name ended how."""
    found: Counter[tuple[str, str]] = Counter()
    for key, bucket in result.buckets.items():
        found[key.request, key.outcome.value] += bucket.response.count
    return dict(found)


def times(result: LoadResult, name: str, outcome: Outcome = Outcome.OK, *, service: bool = False) -> Histogram:
    """The response (or service) times of one request."""
    found = Histogram()
    for key, bucket in result.buckets.items():
        if (key.request, key.outcome) == (name, outcome):
            found.merge(bucket.service if service else bucket.response)
    return found


def kinds(result: LoadResult) -> dict[tuple[str, str], int]:
    """How many errors of which kind, by request."""
    return {(error.request, error.kind): error.count for error in result.errors}


def times_each(vus: int, iterations: int, **changes) -> dict:
    """N users, each M iterations."""
    return {"type": "per-vu-iterations", "vus": vus, "iterations": iterations, "duration": "60s", **changes}


@contextmanager
def server(kind: str, *options: str) -> Iterator[int]:
    """One of the small servers; its port."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("driver_servers.py")), kind, str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield port
        finally:
            process.kill()
