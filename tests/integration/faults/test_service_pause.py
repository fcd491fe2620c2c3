"""service-pause: frozen and thawed, in the same life."""

import time

import psutil
import pytest

from shakedown.faults import build_fault, life, run_fault
from shakedown.plan.faults.service import ServicePause
from shakedown.records.experiment import Injection
from tests.integration.faults.harness import context_of, inject
from tests.integration.faults.service_views import Watcher, box, program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", ["box", "program"])
def test_frozen_and_thawed(make_system, python_image, tmp_path, kind):
    """Nothing answers while it holds, nothing of it runs; afterwards the same process goes on."""
    beats = tmp_path / "beats"
    system = make_system({"web": program(beats) if kind == "program" else box(python_image)})
    pid = system.handle("web").pid
    with Watcher(system.address("web.http").port) as client:
        time.sleep(0.2)

        def dots():
            if kind == "box":
                return 0, 0
            first = beats.stat().st_size
            time.sleep(0.5)
            return first, beats.stat().st_size

        record, found = inject(system, ServicePause(target="web"), 2.0, dots)
        time.sleep(0.5)
    at = system._clock.monotonic
    assert record.error is None
    assert record.effect.held, record.effect
    assert "gives no answer" in record.effect.evidence
    # What was asked last before the thaw is still waiting, and is answered then.
    assert client.answered(at(record.applied_at), at(record.revert_asked_at)) == {None}
    assert found[0][0] == found[0][1]
    assert record.gone.held, record.gone
    assert "own" in client.answered(at(record.reverted_at))
    assert system.handle("web").pid == pid
    if kind == "program":
        assert [child.status() for child in psutil.Process(pid).children()] != ["stopped"]


@pytest.mark.parametrize("kind", ["box", "program"])
def test_ended_by_somebody_while_it_is_frozen(make_system, python_image, tmp_path, kind, monkeypatch):
    """Killed in mid-fault: an error that says so, not proved gone, and no pass."""
    monkeypatch.setattr(life, "GONE_WITHIN", 1.0)
    system = make_system({"web": program(tmp_path / "beats") if kind == "program" else box(python_image)})
    context = context_of(system)
    fault = build_fault(ServicePause(target="web"), context)
    record = Injection("service-pause", "web", "", "", ())
    killed = []

    def kill(event):
        if event.kind == "fault.injected":
            killed.append(fault.effect().held)
            if kind == "box":
                system.client.containers.get(system.handle("web").container).kill()
            else:
                psutil.Process(system.handle("web").pid).kill()

    run_fault(fault, record, 1.0, context, subject="e", on_event=kill, save=lambda: None)
    assert killed == [True]
    assert "somebody thawed or ended the service" in record.error
    assert not record.gone.held
    assert "does not run" in record.gone.evidence
    for intent in system.journal.open_intents():
        if intent.kind == "fault":
            system.journal.strike(intent.id)


def test_what_does_not_run_is_refused(make_system, tmp_path):
    """A program that has ended cannot be frozen: nothing is injected."""
    system = make_system({"web": program(tmp_path / "beats")})
    psutil.Process(system.handle("web").pid).kill()
    for _ in range(100):
        if system.runner("web").exit_code() is not None:
            break
        time.sleep(0.02)
    record, _ = inject(system, ServicePause(target="web"))
    assert "not running" in record.refused
    assert record.applied_at is None
