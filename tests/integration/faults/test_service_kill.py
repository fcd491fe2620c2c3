"""service-kill: ended by a signal, down for the hold time, or as long as a restart policy takes."""

import time
from datetime import UTC, datetime

import pytest

from shakedown.faults import life
from shakedown.faults.service.crash import BY_HELPER, Crasher
from shakedown.plan.faults.service import ServiceKill
from tests.integration.faults.harness import context_of, inject
from tests.integration.faults.service_views import Watcher, box, gets_through, program

pytestmark = pytest.mark.integration
PATIENT = 3  # attempts, where this machine may be busy


def watched(system, plan, hold=1.5, **options):
    """A fault's life, seen by a client; the record, what it saw, and its instants on the client's clock."""
    with Watcher(system.address("web.http").port) as client:
        time.sleep(0.2)
        record, found = inject(system, plan, hold, **options)
        time.sleep(0.3)
    return record, client, system._clock.monotonic, found


@pytest.mark.parametrize("kind", ["box", "box that restarts", "program"])
def test_killed_and_started_again(make_system, python_image, tmp_path, kind):
    """No client gets an answer from t(applied) to t(revert), whatever the restart policy; afterwards it is as before."""
    service = program(tmp_path / "beats") if kind == "program" else box(python_image)
    system = make_system({"web": {**service, **({"restart": "always"} if kind == "box that restarts" else {})}})
    record, client, at, _ = watched(system, ServiceKill(target="web"))
    assert (record.error, record.refused) == (None, None)
    assert record.effect.held, record.effect
    assert "nobody answers at its port" in record.effect.evidence
    assert client.answered(0, at(record.asked_at)) == {"own"}
    assert client.answered(at(record.applied_at), at(record.revert_asked_at)) == {None}
    assert record.gone.held, record.gone
    assert "made of what it was made of before" in record.gone.evidence
    assert gets_through(system.address("web.http").port) == "own"


def test_the_whole_tree_of_a_program_is_killed(make_system, tmp_path):
    """Its child dies with it, and a new one is there after the revert."""
    beats = tmp_path / "beats"
    system = make_system({"web": program(beats)})

    def sizes():
        time.sleep(0.2)
        first = beats.stat().st_size
        time.sleep(0.5)
        return first, beats.stat().st_size

    record, found = inject(system, ServiceKill(target="web", signal="SIGTERM"), 1.5, sizes)
    assert record.effect.held, record.effect
    assert found[0][0] == found[0][1]
    assert any("ends with its run" in layer for layer in record.layers)
    before = beats.stat().st_size
    for _ in range(100):
        if beats.stat().st_size > before:
            break
        time.sleep(0.05)
    assert beats.stat().st_size > before


def test_when_it_was_killed_is_known_to_50_ms(make_system, python_image):
    """t(applied) is within 50 ms of when the engine saw the process end, t(reverted) of when it saw it begin."""
    system = make_system({"web": box(python_image)})
    lags = []
    for _ in range(PATIENT):
        wall = time.time() - system._clock.now()

        def ended():
            for _ in range(200):
                state = system.client.api.inspect_container(system.handle("web").container)["State"]
                if state["Status"] == "exited":
                    return state["FinishedAt"]
                time.sleep(0.01)
            return None

        record, found = inject(system, ServiceKill(target="web"), 1.0, ended)
        assert record.effect.held, record.effect
        state = system.client.api.inspect_container(system.handle("web").container)["State"]
        lags.append(
            max(
                abs(wall + record.applied_at - seconds(found[0])),
                abs(wall + record.reverted_at - seconds(state["StartedAt"])),
            )
        )
        if lags[-1] < 0.05:
            break
    assert min(lags) < 0.05, lags


def seconds(text: str) -> float:
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp() + float(f"0{text[19:-1]}")


def test_a_crash_is_the_restart_policys_business(make_system, python_image):
    """Killed behind the engine's back it comes up by itself: the outage is the restart, and is measured."""
    system = make_system({"web": {**box(python_image), "restart": "always"}})
    record, client, at, _ = watched(system, ServiceKill(target="web", crash=True), 3.0)
    assert record.error is None
    assert record.effect.held, record.effect
    assert "by its restart policy `always`" in record.effect.evidence
    assert "from the host" in record.mechanism
    during = client.answers(at(record.applied_at), at(record.revert_asked_at))
    assert None in during
    assert during[-1] == "own"
    assert record.gone.held
    assert system.client.api.inspect_container(system.handle("web").container)["RestartCount"] == 1


def test_a_crash_without_a_restart_policy(make_system, python_image):
    """Nothing brings it up but the revert."""
    system = make_system({"web": box(python_image)})
    record, client, at, _ = watched(system, ServiceKill(target="web", crash=True))
    assert record.effect.held, record.effect
    assert "restart policy: no" in record.mechanism
    assert client.answered(at(record.applied_at), at(record.revert_asked_at)) == {None}
    assert record.gone.held


def test_a_crash_from_a_helper(make_system, python_image):
    """Where we cannot reach the process, a helper in the host's process namespace does; it is removed afterwards."""
    system = make_system({"web": {**box(python_image), "restart": "always"}})
    context = context_of(system)
    crasher = Crasher(context, "web", helper=True)
    assert crasher.prepare(context.running("web")) == BY_HELPER
    crasher.kill(context.running("web"), "SIGKILL")
    for _ in range(200):
        if system.client.api.inspect_container(system.handle("web").container)["RestartCount"]:
            break
        time.sleep(0.05)
    assert system.client.api.inspect_container(system.handle("web").container)["RestartCount"] == 1
    crasher.close()
    crasher.close()
    assert not system.client.containers.list(
        all=True, filters={"label": [f"shakedown.run={system.run}", "shakedown.agent"]}
    )
    assert [intent for intent in system.journal.open_intents() if intent.kind == "agent"] == []


def test_a_signal_that_it_does_not_feel(make_system, python_image):
    """A first process without a handler lives on after SIGTERM: not proved, and said why."""
    system = make_system({"web": box(python_image)})
    record, _ = inject(system, ServiceKill(target="web", signal="SIGTERM"), 1.0)
    assert not record.effect.held
    assert "it still runs after SIGTERM" in record.effect.evidence
    assert record.gone.held
    assert "never down" in record.gone.evidence


@pytest.mark.parametrize("kind", ["box", "program"])
def test_somebody_else_starts_it(make_system, python_image, tmp_path, kind):
    """The service brought up by somebody else in mid-fault is an error, and no pass; it is left as before."""
    system = make_system({"web": program(tmp_path / "beats") if kind == "program" else box(python_image)})

    def start():
        time.sleep(0.7)  # once the effect is proved
        if kind == "box":
            system.client.containers.get(system.handle("web").container).start()
        else:
            system.runner("web").restart()

    record, _ = inject(system, ServiceKill(target="web"), 2.0, start)
    assert "somebody started the service again" in record.error
    assert record.gone.held


def test_somebody_else_removes_it(make_system, python_image, monkeypatch):
    """The target gone in mid-fault is an error, and not proved gone; nothing is left open."""
    monkeypatch.setattr(life, "GONE_WITHIN", 1.0)
    system = make_system({"web": box(python_image)})

    def remove():
        time.sleep(0.5)
        system.client.containers.get(system.handle("web").container).remove(force=True)

    record, _ = inject(system, ServiceKill(target="web"), 1.5, remove)
    assert "is gone" in record.error
    assert not record.gone.held
