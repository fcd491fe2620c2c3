"""Whole services: what brings them back when everything of ours is dead."""

import threading
import time

import psutil
import pytest

from shakedown.faults import build_fault, run_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.service import (
    ServiceCrashLoop,
    ServiceKill,
    ServicePause,
    ServiceReplace,
    ServiceRestart,
    ServiceRollingRestart,
    ServiceStop,
)
from shakedown.records.experiment import Injection
from tests.integration.faults.harness import context_of
from tests.integration.faults.service_views import box, gets_through, program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "plan",
    [ServiceKill(target="web"), ServiceStop(target="web", grace=0), ServicePause(target="web"),
     ServiceRestart(target="web", grace=0), ServiceCrashLoop(target="web", uptime=0.2, downtime=60),
     ServiceReplace(target="web", environment={"GREETING": "x"}, grace=0), ServiceRollingRestart(targets=["web"], grace=0)],
    ids=lambda plan: plan.type,
)  # fmt: skip
def test_the_journal_alone_brings_a_container_back(make_system, python_image, plan, monkeypatch):
    """The open undos, newest first and twice, with nothing of the fault left alive: the service itself answers again."""
    system = make_system({"web": box(python_image)})
    context = context_of(system)
    fault = build_fault(plan, context)
    fault.check()
    intent = system.journal.intend("fault", plan.type, fault.undo(), 1e12)
    if plan.type in ("service-restart", "service-rolling-restart"):  # dead before it could start the service again
        from shakedown.faults.service.container import ContainerTarget

        monkeypatch.setattr(ContainerTarget, "start", lambda _: None)
    fault.inject(1e12)
    context.stop.set()  # nobody goes on with it
    for loop in ("_over", "_given_up"):
        if hasattr(fault, loop):
            getattr(fault, loop).set()
    if plan.type not in ("service-pause", "service-replace"):  # the engine takes a moment to notice
        for _ in range(200):
            if system.client.containers.get(system.handle("web").container).status != "running":
                break
            time.sleep(0.02)
    left = [one for one in system.journal.open_intents() if one.kind in ("fault", "agent")]
    assert intent in left
    for one in [*left, *left]:
        carry_out(one.undo, system.client)
    own = system.client.containers.list(filters={"label": f"shakedown.run={system.run}"})
    assert [container.name for container in own] == [system.handle("web").container_name]
    assert gets_through(system.address("web.http").port) == "own"
    for one in left:
        system.journal.strike(one.id)
    if plan.type == "service-replace":  # the run's end looks for the service itself
        fault.revert()


def test_the_journal_alone_lets_a_program_go_on(make_system, tmp_path):
    """SIGCONT reaches the whole tree, carried out by whoever finds it; a second time does nothing."""
    system = make_system({"web": program(tmp_path / "beats")})
    fault = build_fault(ServicePause(target="web"), context_of(system))
    fault.check()
    undo = fault.undo()
    fault.inject(1e12)
    root = psutil.Process(system.handle("web").pid)
    family = [root, *root.children(recursive=True)]
    assert [member.status() for member in family] == ["stopped", "stopped"]
    assert "goes on" in carry_out(undo, None)
    assert "goes on" in carry_out(undo, None)
    assert "stopped" not in [member.status() for member in family]
    assert gets_through(system.address("web.http").port) == "own"


@pytest.mark.parametrize("plan", [ServiceKill(target="web"), ServicePause(target="web")], ids=lambda plan: plan.type)
def test_a_program_ends_with_its_run_whatever_was_done_to_it(make_system, tmp_path, plan):
    """The undo does no harm to what has ended, and the end of the run leaves nothing of the tree, frozen or not."""
    system = make_system({"web": program(tmp_path / "beats")})
    family = system.runner("web").members()
    fault = build_fault(plan, context_of(system))
    fault.check()
    fault.inject(1e12)
    if plan.type == "service-kill":
        carry_out(fault.undo(), None)
    assert system.stop() == []
    assert len(family) == 2
    assert not [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("kind", ["box", "program"])
@pytest.mark.parametrize(
    "plan",
    [ServiceStop(target="web", grace=4), ServiceRestart(target="web", grace=4),
     ServiceReplace(target="web", environment={"GREETING": "x"}, grace=4), ServiceRollingRestart(targets=["web"], grace=4)],
    ids=lambda plan: plan.type,
)  # fmt: skip
def test_everything_is_to_end_in_the_midst_of_an_injection(make_system, python_image, tmp_path, plan, kind):
    """A stop that still goes on cannot be called back: whatever came of it, the service itself answers in the end."""
    service = program(tmp_path / "beats") if kind == "program" else box(python_image)
    key = "process" if kind == "program" else "entrypoint"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    command = [*service[key][:2], deaf + service[key][2], *service[key][3:]]
    system = make_system({"web": {**service, key: command}})
    context = context_of(system)
    fault = build_fault(plan, context)
    record = Injection(plan.type, plan.where, "", "", ())
    threading.Timer(0.7, context.stop.set).start()
    run_fault(fault, record, 30.0, context, subject="e", on_event=lambda _: None, save=lambda: None)
    fault.close()
    assert record.gone.held, record.gone
    assert [intent for intent in system.journal.open_intents() if intent.kind in ("fault", "agent")] == []
    assert gets_through(system.address("web.http").port) == "own"
    if kind == "box":
        own = system.client.containers.list(all=True, filters={"label": f"shakedown.run={system.run}"})
        assert [container.name for container in own] == [system.handle("web").container_name]
