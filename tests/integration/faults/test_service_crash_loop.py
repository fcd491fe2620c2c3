"""service-crash-loop: killed each time that it comes up."""

import itertools
import time

import pytest

from shakedown.faults import life
from shakedown.plan.faults.service import ServiceCrashLoop
from tests.integration.faults.harness import inject
from tests.integration.faults.service_views import Watcher, box, gets_through, program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", ["box", "box that restarts", "program"])
def test_up_and_down_again_and_again(make_system, python_image, tmp_path, kind):
    """A client sees it come up and go down more than once; afterwards it stays up."""
    service = program(tmp_path / "beats") if kind == "program" else box(python_image)
    system = make_system({"web": {**service, **({"restart": "always"} if kind == "box that restarts" else {})}})
    plan = ServiceCrashLoop(target="web", uptime=1.2, downtime=0.2)
    with Watcher(system.address("web.http").port) as client:
        time.sleep(0.2)
        record, _ = inject(system, plan, 6.0)
    at = system._clock.monotonic
    assert record.error is None
    assert record.effect.held, record.effect
    assert record.effect.measured >= 2
    assert ("behind the engine's back" in record.mechanism) is (kind == "box that restarts")
    phases = [
        answer for answer, _ in itertools.groupby(client.answers(at(record.asked_at), at(record.revert_asked_at)))
    ]
    assert phases.count(None) >= 2
    assert phases.count("own") >= 2
    assert record.gone.held, record.gone
    port = system.address("web.http").port
    assert gets_through(port) == "own"
    with Watcher(port) as client:
        time.sleep(2.0)  # longer than it lived before
    assert client.answered(0) == {"own"}


def test_one_kill_is_no_loop(make_system, tmp_path):
    """A hold time in which it came up but once is not proved."""
    system = make_system({"web": program(tmp_path / "beats")})
    record, _ = inject(system, ServiceCrashLoop(target="web", uptime=30, downtime=0), 1.0)
    assert not record.effect.held
    assert record.gone.held


def test_the_target_removed_in_mid_loop(make_system, python_image, monkeypatch):
    """The loop cannot go on: an error that says so, and nothing left open."""
    monkeypatch.setattr(life, "GONE_WITHIN", 1.0)
    system = make_system({"web": box(python_image)})

    def remove():
        time.sleep(0.7)
        system.client.containers.get(system.handle("web").container).remove(force=True)

    record, _ = inject(system, ServiceCrashLoop(target="web", uptime=0.1, downtime=0.1), 2.0, remove)
    assert "is gone" in record.error
    assert not record.gone.held
