"""Compose projects for real, with whichever Compose tool is here: started for a run, and attached to."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter

from shakedown.errors import EngineError, ServiceError
from shakedown.guard.undo import ContainerRemove, ContainerStart, carry_out
from shakedown.plan.faults import FaultPlan
from shakedown.services.compose_tool import find_tool
from tests.integration.faults.harness import inject

PAGE = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
TEMPLATE = """
services:
  api:
    image: {image}
    entrypoint: [python3, -uc, "{page}"]
    environment: {{DATABASE_PASSWORD: "pa$$word", STAGE: "${{STAGE:-test}}"}}
    ports: ["8000:8000"]
    restart: "no"
    depends_on:
      db: {{condition: service_healthy}}
      migrate: {{condition: service_completed_successfully}}
    networks: [default, back]
  db:
    image: {image}
    entrypoint: [python3, -uc, "{page}"]
    expose: [8000]
    volumes: ["data:/data"]
    healthcheck: {{test: [CMD, "true"], interval: 1s, timeout: 30s}}
    networks:
      back: {{aliases: [database]}}
  migrate:
    image: {image}
    entrypoint: [sh, -c, "echo migrated > /data/schema"]
    volumes: ["data:/data"]
volumes: {{data: {{}}}}
networks: {{back: {{}}}}
"""
HEALTH = {"http": "http:/", "within": "60s"}

pytestmark = pytest.mark.integration


@pytest.fixture
def tool():
    """The machine's Compose tool; without one nothing here can be tested."""
    try:
        return find_tool()
    except EngineError as error:
        pytest.skip(f"{error.message}; scripts/setup.sh installs docker-compose on Debian")


@pytest.fixture
def file(tmp_path: Path, python_image: str) -> Path:
    """A project of three services on two networks."""
    path = tmp_path / "docker-compose.yml"
    path.write_text(TEMPLATE.format(image=python_image, page=PAGE), encoding="utf-8")
    return path


@pytest.fixture
def running(tool, file: Path, run_name: str, engine) -> Iterator[str]:
    """The user's own project of that file, running; it is ended as the user would."""
    text = file.read_text(encoding="utf-8").replace('"8000:8000"', '"127.0.0.1::8000"')
    file.write_text(text, encoding="utf-8")
    name = f"users-{run_name}"
    command = [*tool.command, "-p", name, "-f", str(file)]
    subprocess.run([*command, "up", "-d"], check=True, capture_output=True, timeout=120)
    yield name
    subprocess.run([*command, "down", "-v", "-t", "0"], check=True, capture_output=True, timeout=120)


def ask(system, service: str, url: str) -> str:
    """What a service of the system gets from a URL."""
    program = f"import urllib.request as u; print(u.urlopen('{url}', timeout=5).status)"
    return str(system.runner(service).run_inside(["python3", "-c", program])[1]).strip()


def test_a_project_is_started_for_the_run_alone(tool, file, make_system, engine, run_name):
    """Services under their Compose names: in order, on their networks, at ports of the run; all is gone at the end."""
    system = make_system({"api": {"health": HEALTH, "environment": {"EXTRA": "a$$b"}}, "compose": "docker-compose.yml"})
    assert httpx.get(system.address("api.http").url, timeout=5).status_code == 200
    assert httpx.get(system.address("db.http").url, timeout=5).status_code == 200, "not published by the file"
    assert system.address("api.http").port != 8000, "the file's own port may be somebody else's"
    assert [ask(system, "api", f"http://{name}:8000/") for name in ("db", "database", "api")] == ["200"] * 3
    assert system.runner("db").run_inside(["cat", "/data/schema"]) == (0, "migrated\n")
    container = engine.containers.get(system.handle("api").container)
    assert container.name == f"shakedown-{run_name}-api"
    assert {"DATABASE_PASSWORD=pa$word", "STAGE=test", "EXTRA=a$b"} <= set(container.attrs["Config"]["Env"])
    assert system.stop() == []
    assert not engine.volumes.list(filters={"label": f"shakedown.run={run_name}"})
    assert not engine.networks.list(filters={"label": f"shakedown.run={run_name}"})


def test_what_is_attached_to_is_used_and_left(running, make_system, engine):
    """Published or not, its ports are reached; an undo acts on it, a removal does not; it runs on in its own life."""
    system = make_system({"api": {"health": HEALTH}, "compose": {"file": "docker-compose.yml", "attach": running}})
    for target in ("api.http", "db.http"):
        assert httpx.get(system.address(target).url, timeout=5).status_code == 200
    identity = str(system.handle("db").container)
    before = engine.containers.get(identity)
    assert before.labels["com.docker.compose.project"] == running
    before.kill()
    assert "started" in carry_out(ContainerStart(container=identity), engine)
    for undo in (ContainerRemove(container=identity), ContainerStart(container=str(before.name))):
        assert "is not ours" in carry_out(undo, engine)
    assert system.stop() == []
    assert engine.containers.get(identity).status == "running"


def test_errors_say_what_to_do(tool, file, make_system):
    """A project that does not run, and a file that the tool refuses, in its own words."""
    system = make_system({"api": {}, "compose": {"file": "docker-compose.yml", "attach": "nobody"}}, start=False)
    with pytest.raises(ServiceError, match="no container of a Compose project nobody has the service"):
        system.start(threading.Event())
    text = file.read_text(encoding="utf-8").replace('restart: "no"', "restrat: x")
    (file.parent / "wrong.yml").write_text(text, encoding="utf-8")
    system = make_system({"api": {}, "compose": "wrong.yml"}, start=False)
    with pytest.raises(EngineError, match=r"does not take wrong\.yml.*restrat"):
        system.start(threading.Event())


FAULTS = (
    {"type": "service-kill", "target": "db"},
    {"type": "service-pause", "target": "db"},
    {"type": "service-replace", "target": "db", "environment": {"OTHER": "1"}},
    {"type": "resource-pids", "target": "api"},
    {"type": "network-latency", "target": "api", "direction": "out", "peers": ["db"], "latency": "300ms"},
    {"type": "network-partition", "target": "api", "peers": ["db"]},
    {"type": "http-status", "target": "api", "status": 503},
    {"type": "dns-nxdomain", "target": "api", "names": ["database"]},
)


def settings(system, engine) -> dict[str, dict[str, object]]:
    """What the faults change of the containers; no limit has several spellings."""
    found = {name: engine.containers.get(system.handle(name).container).attrs for name in ("api", "db")}
    keys = ("Memory", "NanoCpus", "PortBindings", "NetworkMode", "RestartPolicy", "Binds", "Mounts")
    return {
        name: {**{key: attrs["HostConfig"].get(key) for key in keys}, "id": attrs["Id"], "pids": max(attrs["HostConfig"]["PidsLimit"] or 0, 0)}
        for name, attrs in found.items()
    }  # fmt: skip


@pytest.mark.twins
@pytest.mark.parametrize("way", ["own", "attached"])
def test_faults_of_every_family(running, make_system, file, engine, way):
    """Each takes effect and is taken back, on a project of the run's own and on one that it is attached to."""
    compose = {"file": "docker-compose.yml", **({"attach": running} if way == "attached" else {})}
    system = make_system({"api": {"health": HEALTH}, "db": {"health": HEALTH}, "compose": compose})
    before = settings(system, engine)
    for fault in FAULTS:
        during = {"network-latency": lambda: ask(system, "api", "http://database:8000/"),
                  "dns-nxdomain": lambda: [ask(system, "api", "http://database:8000/") for _ in range(3)],
                  "network-partition": lambda: ask(system, "api", "http://db:8000/"),
                  "http-status": lambda: httpx.get(system.address("api.http").url, timeout=5).status_code}  # fmt: skip
        record, found = inject(
            system, TypeAdapter(FaultPlan).validate_python(fault), 2.0, during.get(str(fault["type"]))
        )
        assert record.error is None, (fault, record.error)
        assert record.effect.held, (fault, record.effect)
        assert record.gone.held, (fault, record.gone)
        if fault["type"] == "http-status":
            assert found == [503]
        assert httpx.get(system.address("api.http").url, timeout=5).status_code == 200
        assert ask(system, "api", "http://database:8000/") == "200"
    assert settings(system, engine) == before


KILLED = """
import sys, threading, time
from pathlib import Path
from shakedown.clock import RunClock
from shakedown.guard import Journal, Watchdog
from shakedown.guard.undo import ContainerUnpause
from shakedown.plan import load_plan
from shakedown.services import System
plan, run, paused = sys.argv[1:]
loaded, folder = load_plan(Path(plan), environ={}), Path(plan).parent
journal = Journal(folder / "journal.jsonl", run=run, plan="test")
watchdog = Watchdog.start(folder, run)
system = System(loaded.plan, base=folder, run=run, clock=RunClock.start(), journal=journal, run_dir=folder,
                on_event=lambda event: None, redact=str)
system.start(threading.Event())
journal.intend("fault", "pause", ContainerUnpause(container=paused))
system.client.containers.get(paused).pause()
print("up", flush=True)
time.sleep(600)
"""


def test_a_run_that_is_killed(running, file, make_system, engine, run_name, tmp_path):
    """Kill -9: what was started is removed, a fault on what is attached to is taken back, and it runs on."""
    (tmp_path / "killed").mkdir()
    services = {"api": {"health": HEALTH}, "compose": "../docker-compose.yml"}
    make_system({**services, "compose": "docker-compose.yml"}, start=False)
    plan = tmp_path / "killed" / "plan.yaml"
    plan.write_text((tmp_path / "plan.yaml").read_text().replace("docker-compose.yml", "../docker-compose.yml"))
    label = f"com.docker.compose.project={running}"
    theirs = engine.containers.list(filters={"label": [label, "com.docker.compose.service=db"]})[0]
    mine = {"label": f"shakedown.run={run_name}"}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(plan), run_name, str(theirs.id)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"up\n"
        theirs.reload()
        assert theirs.status == "paused"
        assert len(engine.containers.list(all=True, filters=mine)) == 3
        os.kill(process.pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while "nothing is left" not in (tmp_path / "killed" / "watchdog.log").read_text() and time.monotonic() < until:
        time.sleep(0.2)
    theirs.reload()
    assert theirs.status == "running"
    assert not [
        *engine.containers.list(all=True, filters=mine),
        *engine.networks.list(filters=mine),
        *engine.volumes.list(filters=mine),
    ]
    assert len(engine.containers.list(filters={"label": label})) == 2
