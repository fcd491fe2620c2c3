"""Compose projects for real, with whichever Compose tool is here: started for a run, and attached to."""

import socket
import threading
import time

import httpx
import pytest

from shakedown.errors import EngineError, ServiceError
from shakedown.guard.undo import ContainerRemove, ContainerStart, carry_out
from shakedown.services import compose
from shakedown.services.ports import free_port
from tests.integration.compose_projects import HEALTH, ask

pytestmark = pytest.mark.integration


def test_a_project_is_started_for_the_run_alone(compose_tool, compose_file, make_system, engine, run_name, monkeypatch):
    """Services under their Compose names: in order, on their networks, at ports of the run; all is gone at the end."""
    with socket.socket() as other:  # somebody takes a port between its choice and its use: another one is chosen
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = iter([other.getsockname()[1]])
        monkeypatch.setattr(compose, "free_port", lambda: next(ports, None) or free_port())
        check_started(make_system, engine, run_name)


def check_started(make_system, engine, run_name) -> None:
    """Start it, look at it, stop it."""
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


def test_what_is_attached_to_is_used_and_left(users_project, make_system, engine):
    """Published or not, its ports are reached; an undo acts on it, a removal does not; it runs on in its own life."""
    system = make_system(
        {"api": {"health": HEALTH}, "compose": {"file": "docker-compose.yml", "attach": users_project}}
    )
    assert until_it_answers(users_project, "db", engine)
    for target in ("api.http", "db.http"):
        assert httpx.get(system.address(target).url, timeout=5).status_code == 200
    identity = str(system.handle("db").container)
    before = engine.containers.get(identity)
    assert before.labels["com.docker.compose.project"] == users_project
    before.kill()
    assert "started" in carry_out(ContainerStart(container=identity), engine)
    for undo in (ContainerRemove(container=identity), ContainerStart(container=str(before.name))):
        assert "is not ours" in carry_out(undo, engine)
    assert system.stop() == []
    assert engine.containers.get(identity).status == "running"


def until_it_answers(project: str, service: str, engine) -> bool:
    """The user's own service may have been started a moment ago; asked within its own container."""
    labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    (container,) = engine.containers.list(filters={"label": labels})
    program = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/', timeout=5)"
    until = time.monotonic() + 60
    while container.exec_run(["python3", "-c", program]).exit_code and time.monotonic() < until:
        time.sleep(0.2)
    return time.monotonic() < until


def test_errors_say_what_to_do(compose_tool, compose_file, make_system):
    """A project that does not run, and a file that the tool refuses, in its own words."""
    system = make_system({"api": {}, "compose": {"file": "docker-compose.yml", "attach": "nobody"}}, start=False)
    with pytest.raises(ServiceError, match="no container of a Compose project nobody has the service"):
        system.start(threading.Event())
    text = compose_file.read_text(encoding="utf-8").replace('restart: "no"', "restrat: x")
    (compose_file.parent / "wrong.yml").write_text(text, encoding="utf-8")
    system = make_system({"api": {}, "compose": "wrong.yml"}, start=False)
    with pytest.raises(EngineError, match=r"does not take wrong\.yml.*restrat"):
        system.start(threading.Event())
