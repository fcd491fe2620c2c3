"""Each fault on real containers: injected, proved, reverted, proved gone."""

import threading
import time

import httpx
import pytest

from shakedown.faults import FaultContext, build_fault, run_fault
from shakedown.faults.agents import Agents
from shakedown.plan.faults.network import NetworkLatency, NetworkPartition
from shakedown.plan.faults.service import ServiceKill, ServicePause, ServiceStop
from shakedown.records.experiment import Injection

pytestmark = pytest.mark.integration


def context_of(system) -> FaultContext:
    return FaultContext(system, system.journal, system._clock, threading.Event(), Agents(system, system.journal))


def inject(system, plan, hold=2.0, during=None) -> tuple[Injection, list[object]]:
    """Run a fault's life; `during` is called a little after the injection."""
    context = context_of(system)
    fault = build_fault(plan, context)
    record = Injection(plan.type, plan.target, fault.parameters, fault.mechanism, fault.layers)
    found: list[object] = []

    def on_event(event):
        if event.kind == "fault.injected" and during is not None:
            threading.Thread(target=lambda: found.append(during())).start()

    run_fault(fault, record, hold, context, subject="e", on_event=on_event, save=lambda: None)
    fault.close()
    context.agents.close()
    assert [intent for intent in system.journal.open_intents() if intent.kind in ("fault", "agent")] == []
    return record, found


def round_trip(url: str, timeout: float = 5.0) -> float | None:
    begun = time.monotonic()
    try:
        httpx.get(url, timeout=timeout, trust_env=False)
    except httpx.HTTPError:
        return None
    return time.monotonic() - begun


@pytest.mark.parametrize(
    "plan", [ServiceKill(type="service-kill", target="web"), ServiceStop(type="service-stop", target="web", grace=1)]
)
def test_down_and_up_again(pair, plan):
    """Killed or stopped: proved down, clients see it, started again and proved."""
    url = pair.address("web.http").url
    record, found = inject(pair, plan, during=lambda: round_trip(url, 1))
    assert record.error is None
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone
    assert found == [None]
    assert record.asked_at < record.applied_at < record.revert_asked_at < record.reverted_at <= record.gone_at
    assert record.revert_asked_at - record.applied_at == pytest.approx(2.0, abs=0.5)


def test_paused(pair):
    """Frozen: connections open, nothing answers; thawed: it goes on."""
    url = pair.address("web.http").url
    record, found = inject(pair, ServicePause(type="service-pause", target="web"), during=lambda: round_trip(url, 0.7))
    assert record.effect.held
    assert "no answer" in record.effect.evidence
    assert record.gone.held
    assert found == [None]
    assert round_trip(url) is not None


def test_latency_is_felt_and_measured(pair):
    """200 ms asked are at least 160 ms felt by a client more than before; the proof counts real chunks; a foreign rule survives."""
    url = pair.address("web.http").url
    quiet = min(round_trip(url) for _ in range(5))
    stop = threading.Event()
    felt: list[float] = []

    def client():
        while not stop.is_set():
            felt.append(round_trip(url) or 0.0)

    def sample():
        threading.Thread(target=client).start()

    plan = NetworkLatency(type="network-latency", target="web", latency=0.2)
    record, _ = inject(pair, plan, hold=3.0, during=sample)
    stop.set()
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert max(felt) - quiet >= 0.16
    assert "kernel deadline" in record.layers or "agent deadline" in record.layers
    assert record.gone.held
    assert min(round_trip(url) for _ in range(5)) < 0.16 + quiet


def test_a_latency_that_nobody_met_is_not_proved(make_system, web):
    """Without traffic through the rule the effect is not held: it did nothing."""
    system = make_system({"web": {**web, "ports": {"http": 8000, "unused": 9000}}})
    plan = NetworkLatency(type="network-latency", target="web", latency=0.2, ports=[9000])
    record, _ = inject(system, plan)
    assert not record.effect.held
    assert record.gone.held


def test_partition_between_two_services(pair):
    """Cut off from each other, yet both reachable from here; afterwards they meet again."""
    meet = ["python3", "-c", "import urllib.request as u; print(u.urlopen('http://other:8000/', timeout=1).status)"]
    url = pair.address("web.http").url
    assert pair.runner("web").run_inside(meet)[0] == 0

    def during():
        return pair.runner("web").run_inside(meet)[0], round_trip(url) is not None

    plan = NetworkPartition(type="network-partition", target="web", peers=["other"])
    record, found = inject(pair, plan, hold=4.0, during=during)
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert found == [(1, True)]
    assert record.gone.held
    assert pair.runner("web").run_inside(meet)[0] == 0


def test_what_does_not_run_is_refused(pair, engine):
    """A fault on a container that is down is refused: nothing was injected."""
    engine.containers.get(pair.handle("other").container).kill()
    record, _ = inject(pair, ServicePause(type="service-pause", target="other"))
    assert "not running" in record.refused
    assert record.applied_at is None


def test_a_target_that_goes_away_ends_in_a_clear_state(pair, engine):
    """The target removed in mid-fault: an error is told, never a pass."""

    def remove():
        engine.containers.get(pair.handle("other").container).remove(force=True)

    record, _ = inject(pair, ServicePause(type="service-pause", target="other"), during=remove)
    assert record.error is not None
    assert not record.gone.held


def test_the_agent_reverts_when_its_giver_of_orders_is_gone(pair):
    """The agent's input ends: its rules are gone without anyone asking."""
    from shakedown.faults.network.latency import LatencyFault

    context = context_of(pair)
    fault = LatencyFault(NetworkLatency(type="network-latency", target="web", latency=0.5), context)
    fault.check()
    fault.inject(time.time() + 60)
    url = pair.address("web.http").url
    assert round_trip(url) > 0.4
    fault.agent._socket.close()
    fault.agent._raw.close()
    for _ in range(100):
        if (round_trip(url) or 1) < 0.4:
            break
    assert round_trip(url) < 0.4
    context.agents.close()


def test_a_killed_agents_rules_are_removed_from_outside(pair, engine):
    """Kill -9 of the agent: the journal's undo removes exactly our rules."""
    from shakedown.faults.network.partition import PartitionFault
    from shakedown.guard import carry_out

    context = context_of(pair)
    fault = PartitionFault(NetworkPartition(type="network-partition", target="web", peers=["other"]), context)
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    engine.containers.get(fault.agent._name).kill()
    meet = ["python3", "-c", "import urllib.request as u; print(u.urlopen('http://other:8000/', timeout=1).status)"]
    assert pair.runner("web").run_inside(meet)[0] == 1
    assert "removed" in carry_out(undo, engine)
    assert pair.runner("web").run_inside(meet)[0] == 0
    context.agents.close()


def test_the_kernel_keeps_the_deadline(pair, engine):
    """Agent killed, nobody undoes anything: after the deadline the rules are inert."""
    from shakedown.faults.network.partition import PartitionFault

    context = context_of(pair)
    fault = PartitionFault(NetworkPartition(type="network-partition", target="web", peers=["other"]), context)
    fault.check()
    fault.inject(time.time() + 3)
    if "kernel deadline" not in fault.layers:
        context.agents.close()
        pytest.skip("this kernel has no time match")
    engine.containers.get(fault.agent._name).kill()
    meet = ["python3", "-c", "import urllib.request as u; print(u.urlopen('http://other:8000/', timeout=1).status)"]
    assert pair.runner("web").run_inside(meet)[0] == 1
    time.sleep(5)
    assert pair.runner("web").run_inside(meet)[0] == 0
    context.agents.close()
