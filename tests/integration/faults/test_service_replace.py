"""service-replace: something else in its place, reached as the service was, and then the service again."""

import threading
import time

import pytest
import yaml

from shakedown.clock import RunClock
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.plan.faults.service import ServiceReplace
from shakedown.services import System
from tests.integration.faults.harness import inject
from tests.integration.faults.service_views import Watcher, box, gets_through, program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", ["box", "program"])
def test_another_environment(make_system, python_image, tmp_path, kind):
    """Clients reach what stands in at the same port; afterwards the service itself, made of what it was made of before."""
    system = make_system({"web": program(tmp_path / "beats") if kind == "program" else box(python_image)})
    own = system.handle("web").container
    plan = ServiceReplace(target="web", environment={"GREETING": "another"}, grace=0)
    with Watcher(system.address("web.http").port) as client:
        time.sleep(0.2)
        record, _ = inject(system, plan, 4.0)
    at = system._clock.monotonic
    assert (record.error, record.refused) == (None, None)
    assert record.effect.held, record.effect
    assert "GREETING" in record.parameters
    assert "another" not in record.parameters
    during = client.answered(at(record.applied_at), at(record.revert_asked_at))
    assert "another" in during
    assert "own" not in during
    assert record.gone.held, record.gone
    assert gets_through(system.address("web.http").port) == "own"
    assert system.handle("web").container == own


def test_another_image_by_the_same_name(make_system, python_image, engine):
    """Other services reach the other image by the service's name and volumes; limits are the service's."""
    engine.images.get(python_image).tag("shakedown-test-other", "1")
    volumes = {"data": "/data"}
    system = make_system(
        {"web": {**box(python_image), "volumes": volumes, "limits": {"memory": "96MB"}}, "other": box(python_image)}
    )
    assert system.runner("web").run_inside(["sh", "-c", "echo kept > /data/file; echo mine > /root/own"])[0] == 0
    ask = [
        "python3",
        "-c",
        "import urllib.request as u; print(u.urlopen('http://web:8000/', timeout=2).read().decode())",
    ]

    def during():
        gets_through(system.address("web.http").port)
        host = engine.containers.get(system.handle("web").container).attrs
        return (
            system.runner("other").run_inside(ask), system.runner("web").run_inside(["cat", "/data/file"]),
            system.runner("web").run_inside(["cat", "/root/own"])[0], host["HostConfig"]["Memory"], host["Config"]["Image"],
        )  # fmt: skip

    plan = ServiceReplace(target="web", image="shakedown-test-other:1", environment={"GREETING": "another"}, grace=0)
    try:
        record, found = inject(system, plan, 4.0, during)
    finally:
        engine.images.remove("shakedown-test-other:1")
    assert record.effect.held, record.effect
    assert found == [((0, "another\n"), (0, "kept\n"), 1, 96_000_000, "shakedown-test-other:1")]
    assert record.gone.held, record.gone
    assert system.runner("web").run_inside(["cat", "/root/own"]) == (0, "mine\n")
    gets_through(system.address("web.http").port)
    assert system.runner("other").run_inside(ask) == (0, "own\n")


@pytest.mark.parametrize("kind", ["box", "program"])
def test_a_version_that_does_not_start(make_system, python_image, tmp_path, kind):
    """It took the service's place and ended: proved, an outage for clients, and taken back."""
    system = make_system({"web": program(tmp_path / "beats") if kind == "program" else box(python_image)})
    broken = ["python3", "-c", "print('bad settings', flush=True); raise SystemExit(3)"]
    plan = ServiceReplace(
        target="web", grace=0, **({"command": broken} if kind == "program" else {"entrypoint": broken})
    )
    with Watcher(system.address("web.http").port) as client:
        record, _ = inject(system, plan, 2.0)
    at = system._clock.monotonic
    assert record.effect.held, record.effect
    assert client.answered(at(record.applied_at), at(record.revert_asked_at)) == {None}
    assert "bad settings" in (tmp_path / "logs" / "web.log").read_text()
    assert record.gone.held, record.gone
    assert gets_through(system.address("web.http").port) == "own"


def test_an_image_that_is_nowhere(make_system, python_image):
    """Refused before anything is touched, and nothing is left of what was made ready."""
    system = make_system({"web": box(python_image)})
    record, _ = inject(system, ServiceReplace(target="web", image="shakedown-no-such-image:1"))
    assert "is not here" in record.refused
    assert record.applied_at is None


def test_what_stands_in_is_removed_by_somebody(make_system, python_image):
    """The fault ended before its time: an error, and the service is back."""
    system = make_system({"web": box(python_image)})

    def remove():
        time.sleep(0.8)
        system.client.containers.get(system.handle("web").container).remove(force=True)

    record, _ = inject(system, ServiceReplace(target="web", environment={"GREETING": "x"}, grace=0), 2.0, remove)
    assert "before its time" in record.error
    assert record.gone.held, record.gone
    assert gets_through(system.address("web.http").port) == "own"


def test_an_images_absence_is_told_at_the_start(tmp_path, run_name, python_image):
    """The images of replacements are looked for with the services', so that no fault waits for a registry."""
    plan = {
        "version": 1, "name": "test", "services": {"web": box(python_image)},
        "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                            "http": {"target": "web.http", "requests": [{"name": "r", "get": "/"}]}}},
        "stages": {"baseline": {"scenarios": ["s"]}, "faults": {"load": "s", "experiments": [
            {"name": "e", "hold": "1s", "recover_within": "1s",
             "fault": {"type": "service-replace", "target": "web", "image": "shakedown-no-such-image:1"}}]}},
    }  # fmt: skip
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    events = []
    system = System(
        load_plan(path, environ={}).plan, base=tmp_path, run=run_name, clock=RunClock.start(),
        journal=Journal(tmp_path / "journal.jsonl", run=run_name, plan="test"), run_dir=tmp_path,
        on_event=events.append, redact=str,
    )  # fmt: skip
    try:
        system.start(threading.Event())
        assert system.check_health("web").healthy
        assert any("shakedown-no-such-image:1 is not here" in event.message for event in events)
    finally:
        assert system.stop() == []
