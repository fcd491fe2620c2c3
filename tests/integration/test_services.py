"""Services for real: started in order, healthy, logged, stopped."""

import sys
import threading
import time

import httpx
import pytest

from shakedown.errors import EngineError, ExitCode, ServiceError

pytestmark = pytest.mark.integration


def test_containers_find_each_other_and_keep_their_port(pair, engine):
    """Names resolve in the run's network, the published port survives a restart, labels are on all."""
    code, output = pair.runner("web").run_inside(
        ["python3", "-c", "import urllib.request as u; print(u.urlopen('http://other:8000/').status)"]
    )
    assert (code, output.strip()) == (0, "200")
    before = pair.address("web.http").url
    container = engine.containers.get(pair.handle("web").container)
    assert container.labels["shakedown.run"] == pair.run
    container.restart(timeout=1)
    for _ in range(50):
        if pair.check_health("web").healthy:
            break
    assert httpx.get(before + "/", timeout=5).status_code == 200


def test_a_service_that_never_gets_healthy(make_system, python_image):
    """It ends with exit code 4 and the service's last words, secrets blotted out."""
    system = make_system(
        {"bad": {"image": python_image, "entrypoint": ["sh", "-c", "echo my last words $DB_PASSWORD; sleep 60"],
                 "environment": {"DB_PASSWORD": "hunter22"}, "ports": {"http": 8000},
                 "health": {"http": "http:/", "within": "2s"}}},
        start=False,
    )  # fmt: skip
    with pytest.raises(ServiceError, match="did not get healthy within 2 s") as caught:
        system.start(threading.Event())
    assert caught.value.exit_code == ExitCode.COULD_NOT_RUN
    assert any("my last words ********" in line for line in caught.value.details)


def test_a_service_that_ends_at_once(make_system, python_image):
    """Its exit code is told without waiting for the limit."""
    system = make_system(
        {
            "bad": {
                "image": python_image,
                "entrypoint": ["sh", "-c", "exit 3"],
                "ports": {"http": 1},
                "health": {"http": "http:/"},
            }
        },
        start=False,
    )
    with pytest.raises(ServiceError, match="ended with exit code 3"):
        system.start(threading.Event())


def test_an_image_that_is_nowhere(make_system):
    """A missing image is a clear error with a hint."""
    system = make_system({"x": {"image": "shakedown-no-such-image:1", "ports": {"http": 1}}}, start=False)
    with pytest.raises(EngineError, match="is not here and cannot be pulled"):
        system.start(threading.Event())


def test_an_image_that_does_not_build(make_system, tmp_path):
    """A failed build shows its last lines."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text("FROM debian:bookworm-slim\nRUN echo before && false\n")
    system = make_system({"x": {"build": "image", "ports": {"http": 1}}}, start=False)
    with pytest.raises(EngineError, match="cannot be built") as caught:
        system.start(threading.Event())
    assert any("before" in line for line in caught.value.details)


def test_a_process(make_system, tmp_path):
    """A program gets its port, is healthy, and ends with all its children."""
    system = make_system(
        {"app": {"process": [sys.executable, "-m", "http.server", "{port.http}", "--bind", "127.0.0.1"],
                 "ports": {"http": 0}, "health": {"http": "http:/"}}}
    )  # fmt: skip
    assert httpx.get(system.address("app.http").url, timeout=5).status_code == 200
    assert system.environment()["SHAKEDOWN_APP_HTTP"] == system.address("app.http").url


def test_limits_files_and_logs(make_system, web, tmp_path, engine):
    """Limits reach the engine, files reach the container, logs reach the run's folder."""
    (tmp_path / "hello.txt").write_text("hello from the plan")
    service = {**web, "limits": {"memory": "64MB", "cpus": 0.5, "pids": 50}, "files": {"/srv/hello.txt": "hello.txt"}}
    system = make_system({"web": service})
    host = engine.containers.get(system.handle("web").container).attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64_000_000, 500_000_000, 50)
    assert system.runner("web").run_inside(["cat", "/srv/hello.txt"]) == (0, "hello from the plan")
    httpx.get(system.address("web.http").url + "/seen-in-the-log", timeout=5)
    log = tmp_path / "logs" / "web.log"
    for _ in range(100):
        if "seen-in-the-log" in log.read_text():
            break
        system.check_health("web")
    assert "seen-in-the-log" in log.read_text()


SLOW_TO_END = (
    "import signal, sys, time\n"
    "def end(*_):\n"
    "    time.sleep(2); print('said good-bye', flush=True); sys.exit()\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "while True: time.sleep(0.1)\n"
)


@pytest.mark.parametrize(("grace", "ended"), [("20s", True), ("500ms", False)])
def test_the_grace_to_end(make_system, python_image, tmp_path, grace, ended):
    """A service gets `stop_grace` to end by itself, then it is made to."""
    system = make_system(
        {"box": {"image": python_image, "entrypoint": ["python3", "-c", SLOW_TO_END], "stop_grace": grace,
                 "ports": {"http": 8000}},
         "program": {"process": [sys.executable, "-c", SLOW_TO_END], "stop_grace": grace}}
    )  # fmt: skip
    time.sleep(1)  # both have set their signal handlers
    assert system.stop() == []
    for name in ("box", "program"):
        assert ("said good-bye" in (tmp_path / "logs" / f"{name}.log").read_text()) is ended


def test_health_by_the_number_of_a_port_with_a_name(make_system, web):
    """`health: {tcp: 8000}` finds the port that the plan calls http."""
    system = make_system({"web": {**web, "health": {"tcp": 8000, "within": "60s"}}})
    assert system.check_health("web").healthy
    assert set(system.handle("web").addresses) == {"http"}
