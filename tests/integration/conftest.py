"""A small system of real containers."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shakedown.clock import RunClock
from shakedown.errors import EngineError
from shakedown.faults.agents import agent_image
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.records.observation import Event
from shakedown.services import System
from shakedown.services.compose_tool import ComposeTool, find_tool
from tests.integration import compose_projects

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


@pytest.fixture
def compose_tool() -> ComposeTool:
    """The machine's Compose tool; without one nothing here can be tested."""
    try:
        return find_tool()
    except EngineError as error:
        pytest.skip(f"{error.message}; scripts/setup.sh installs docker-compose on Debian")


@pytest.fixture
def compose_file(tmp_path: Path, python_image: str) -> Path:
    """A project of three services on two networks."""
    path = tmp_path / "docker-compose.yml"
    path.write_text(compose_projects.TEMPLATE.format(image=python_image, page=compose_projects.PAGE), encoding="utf-8")
    return path


@pytest.fixture
def users_project(compose_tool, compose_file: Path, run_name: str, engine) -> Iterator[str]:
    """The user's own project of that file, running; it is ended as the user would."""
    text = compose_file.read_text(encoding="utf-8").replace('"8000:8000"', '"127.0.0.1::8000"')
    compose_file.write_text(text, encoding="utf-8")
    name = f"users-{run_name}"
    command = [*compose_tool.command, "-p", name, "-f", str(compose_file)]
    subprocess.run([*command, "up", "-d"], check=True, capture_output=True, timeout=120)
    yield name
    subprocess.run([*command, "down", "-v", "-t", "0"], check=True, capture_output=True, timeout=120)
