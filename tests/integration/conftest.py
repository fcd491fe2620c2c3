"""A small system of real containers."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shakedown.clock import RunClock
from shakedown.faults.agents import agent_image
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.records.observation import Event
from shakedown.services import System

PAGE = "python3 -c 'import http.server as h; h.ThreadingHTTPServer((\"\", 8000), h.SimpleHTTPRequestHandler).serve_forever()'"


@pytest.fixture(scope="session")
def python_image(engine) -> str:
    """An image with Python: the fault agent's own."""
    return agent_image(engine)


@pytest.fixture
def make_system(tmp_path: Path, run_name: str, python_image: str):
    """Start systems from plans' services; everything is stopped at the end."""
    started: list[System] = []
    events: list[Event] = []

    def make(services: dict, *, start: bool = True) -> System:
        path = tmp_path / "plan.yaml"
        names = list(services)
        plan = {
            "version": 1, "name": "test", "services": services,
            "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                                "http": {"target": f"{names[0]}.http", "requests": [{"name": "r", "get": "/"}]}}},
            "stages": {"baseline": {"scenarios": ["s"]}},
        }  # fmt: skip
        path.write_text(yaml.safe_dump(plan), encoding="utf-8")
        loaded = load_plan(path, environ={})
        journal = Journal(tmp_path / "journal.jsonl", run=run_name, plan="test")
        system = System(loaded.plan, base=tmp_path, run=run_name, clock=RunClock.start(), journal=journal,
                        run_dir=tmp_path, on_event=events.append, redact=loaded.redactor.redact)  # fmt: skip
        started.append(system)
        if start:
            system.start(threading.Event())
        return system

    yield make
    for system in started:
        assert system.stop() == []
        assert system.journal.open_intents() == []


@pytest.fixture
def web(python_image: str) -> dict:
    """A service that answers HTTP at port 8000."""
    return {"image": python_image, "entrypoint": ["sh", "-c", PAGE], "ports": {"http": 8000},
            "health": {"http": "http:/", "within": "60s"}}  # fmt: skip


@pytest.fixture
def pair(make_system, web) -> Iterator[System]:
    """Two such services."""
    return make_system({"web": web, "other": web})
