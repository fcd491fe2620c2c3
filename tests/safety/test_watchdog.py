"""A watchdog that was killed is noticed, and replaced before the next fault."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shakedown.guard import Journal, Watchdog
from shakedown.session.experiments import FaultBench
from tests.safety.world import wait_for

pytestmark = [pytest.mark.safety, pytest.mark.integration]


def process_of(folder: Path, number: int) -> int:
    """The process of the watchdog that began to watch as the number-th."""
    log = folder / "watchdog.log"
    assert wait_for(lambda: log.exists() and log.read_text().count("as process ") > number, 20)
    return int(log.read_text().split("as process ")[number + 1].split()[0])


def test_a_dead_watchdog_is_replaced(tmp_path: Path):
    """Killed -9: the next fault waits for a new one; an orderly end of the new one ends it too."""
    Journal(tmp_path / "journal.jsonl", run="r", plan="p")
    said: list[str] = []
    session: Any = SimpleNamespace(
        watchdog=Watchdog.start(tmp_path, "r"), run_dir=tmp_path, run_id="r", system=None, journal=None,
        say=lambda _kind, _subject, text: said.append(text),
    )  # fmt: skip
    stage: Any = None
    bench = FaultBench(session, stage)
    assert bench._unguarded() is None
    assert said == []
    os.kill(process_of(tmp_path, 0), signal.SIGKILL)
    assert wait_for(lambda: not session.watchdog.alive, 10)
    assert bench._unguarded() is None
    assert said == ["the watchdog died; another one was started"]
    assert session.watchdog.alive
    second = process_of(tmp_path, 1)
    session.watchdog.close()
    assert wait_for(lambda: "the run ended in order" in (tmp_path / "watchdog.log").read_text(), 20)
    assert second
