"""Faults on Compose projects: of every family, on one of the run's own and on one that is attached to; and kill -9."""

import subprocess
import sys
import time

import httpx
import pytest
from pydantic import TypeAdapter

from shakedown.plan.faults import FaultPlan
from tests.integration.compose_projects import HEALTH, ask
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration

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
def test_faults_of_every_family(users_project, make_system, compose_file, engine, way):
    """Each takes effect and is taken back, on a project of the run's own and on one that it is attached to."""
    compose = {"file": "docker-compose.yml", **({"attach": users_project} if way == "attached" else {})}
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


@pytest.mark.twins
def test_a_run_that_is_killed(users_project, compose_file, make_system, engine, run_name, tmp_path):
    """Kill -9: what was started is removed, a fault on what is attached to is taken back, and it runs on."""
    (tmp_path / "killed").mkdir()
    services = {"api": {"health": HEALTH}, "compose": "../docker-compose.yml"}
    make_system({**services, "compose": "docker-compose.yml"}, start=False)
    plan = tmp_path / "killed" / "plan.yaml"
    plan.write_text((tmp_path / "plan.yaml").read_text().replace("docker-compose.yml", "../docker-compose.yml"))
    label = f"com.docker.compose.project={users_project}"
    theirs = engine.containers.list(filters={"label": [label, "com.docker.compose.service=db"]})[0]
    mine = {"label": f"shakedown.run={run_name}"}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(plan), run_name, str(theirs.id)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"up\n"
        theirs.reload()
        assert theirs.status == "paused"
        assert len(engine.containers.list(all=True, filters=mine)) == 3
        process.kill()
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


@pytest.mark.twins
def test_a_stub_in_a_services_place(compose_tool, compose_file, make_system):
    """The others reach it by that service's name, and by its further names, in that service's networks."""
    stub = {"ports": {"http": 8000}, "stub": {"routes": [{"path": "/", "body": "ok"}]}}
    system = make_system({"api": {"health": HEALTH}, "compose": "docker-compose.yml", "db": stub})
    assert [ask(system, "api", f"http://{name}:8000/") for name in ("db", "database")] == ["200", "200"]
