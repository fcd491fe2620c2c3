"""Faults of packets on real containers: what a client in another container counts, beside what the proof says."""

import threading
import time

import pytest

from shakedown.faults import build_fault
from shakedown.faults.network.loss import LossFault
from shakedown.guard import carry_out
from shakedown.guard.undo import RulesRemove
from shakedown.plan.faults.packets import (
    NetworkCorruption,
    NetworkDelay,
    NetworkDuplication,
    NetworkLoss,
    NetworkReordering,
)  # fmt: skip
from tests.integration.faults.harness import context_of, inject
from tests.integration.faults.packet_views import datagrams, echo_service, in_namespace, namespace_state, trips

pytestmark = pytest.mark.integration


@pytest.fixture
def two(make_system, python_image):
    """A target that echoes, and a neighbour that asks."""
    return make_system({"web": echo_service(python_image), "other": echo_service(python_image)})


@pytest.mark.parametrize(("direction", "ways"), [("in", 1), ("out", 1), ("both", 2)])
def test_loss_is_counted_on_packets(two, engine, python_image, direction, ways):
    """Ten per cent asked: the client loses that many in each direction, the proof counts as many, nothing is left."""
    before = namespace_state(engine, python_image, two, "web")
    plan = NetworkLoss(target="web", share=0.1, direction=direction, peers=["other"])
    record, [seen] = inject(two, plan, hold=4.0, during=lambda: datagrams(two, "other", "web"))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert 0.05 <= record.effect.measured <= 0.2
    assert seen.lost == pytest.approx(1 - 0.9**ways, abs=0.05)
    assert seen.refused == seen.bad == 0
    assert record.gone.held, record.gone
    assert namespace_state(engine, python_image, two, "web") == before
    assert datagrams(two, "other", "web", 200).lost == 0


def test_a_sender_is_not_told_of_its_losses(two):
    """All that leaves the target is lost, yet its own `send` never fails: a network tells nobody."""
    plan = NetworkLoss(target="web", share=1, direction="out", ports=[9000])
    record, [seen] = inject(two, plan, hold=2.0, during=lambda: datagrams(two, "web", "other", 100, pause=0, after=0.1))
    assert "silent" in record.mechanism
    assert record.effect.held, record.effect
    assert (seen.total, seen.refused) == (0, 0)


def test_less_loss_than_asked_is_not_proved(two):
    """Five per cent asked, one per cent caused, thousands of packets: not held, and the number is told."""

    class Weak(LossFault):
        def details(self):
            return {"share": 0.01}

    context = context_of(two)
    fault = Weak(NetworkLoss(target="web", share=0.05, peers=["other"]), context)
    fault.check()
    fault.inject(time.time() + 60)
    datagrams(two, "other", "web", 2000, pause=0.0005)
    proof = fault.effect()
    fault.revert()
    assert not proof.held, proof
    assert proof.asked == 0.05
    assert 0 < proof.measured < 0.025
    assert fault.gone().held
    context.agents.close()


def test_too_few_packets_prove_nothing(two):
    """A hundred packets at two per cent: whatever was lost, nothing can be said."""
    plan = NetworkLoss(target="web", share=0.02, direction="in", ports=[9000])
    record, _ = inject(two, plan, hold=2.0, during=lambda: datagrams(two, "other", "web", 100))
    assert not record.effect.held
    assert "too few to tell" in record.effect.evidence


def test_corrupted_packets_are_lost_to_udp_and_sent_again_by_tcp(two, engine, python_image):
    """The checksum finds every one: no wrong byte arrives, datagrams are missing, a stream is whole but slower."""
    before = namespace_state(engine, python_image, two, "web")
    plan = NetworkCorruption(target="web", share=0.1, direction="in")

    def during():
        return datagrams(two, "other", "web", 1000), trips(two, "other", "web", 100)

    record, [(seen, stream)] = inject(two, plan, hold=7.0, during=during)
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert 0.05 <= record.effect.measured <= 0.2
    assert seen.lost == pytest.approx(0.1, abs=0.05)
    assert seen.bad == stream["wrong"] == 0
    assert stream["slow"] > 0
    assert record.gone.held
    assert namespace_state(engine, python_image, two, "web") == before


def test_undetected_corruption_reaches_the_application(two):
    """With a checksum that fits nothing is lost, and the wrong bytes arrive."""
    plan = NetworkCorruption(target="web", share=0.1, direction="out", undetected=True, ports=[9000])
    record, [seen] = inject(two, plan, hold=3.0, during=lambda: datagrams(two, "other", "web", 1000))
    assert record.effect.held, record.effect
    assert seen.bad / seen.sent == pytest.approx(0.1, abs=0.05)
    assert seen.lost == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_duplicated_packets_arrive_twice(two, direction):
    """One of ten comes back twice, none is lost."""
    plan = NetworkDuplication(target="web", share=0.1, direction=direction, peers=["other"])
    record, [seen] = inject(two, plan, hold=3.0, during=lambda: datagrams(two, "other", "web", 1000))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert seen.distinct == seen.sent
    assert seen.total / seen.sent == pytest.approx(1.1, abs=0.05)
    assert record.gone.held


def test_reordered_packets_are_overtaken(two):
    """One of ten is held back and comes after later ones; none is lost."""
    plan = NetworkReordering(target="web", share=0.1, gap=0.03, direction="out")
    record, [seen] = inject(two, plan, hold=4.0, during=lambda: datagrams(two, "other", "web", 1000))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert seen.late / seen.sent == pytest.approx(0.1, abs=0.05)
    assert seen.distinct == seen.sent
    assert record.gone.held


def test_what_nothing_overtakes_is_not_reordered(two):
    """One request, one answer: packets are held back, but none is overtaken, and that is no proof."""
    plan = NetworkReordering(target="web", share=0.2, gap=0.01, direction="out", ports=[9001])
    record, _ = inject(two, plan, hold=3.0, during=lambda: trips(two, "other", "web", 100))
    assert not record.effect.held, record.effect
    assert record.effect.measured < 0.05


def test_delay_is_felt_by_datagrams_and_by_connections_that_were_open(two):
    """100 ms asked: datagrams take 100 ms longer, and so do the trips of a connection that was made before the fault."""
    stream: list[dict] = []
    open_already = threading.Thread(target=lambda: stream.append(trips(two, "other", "web", 3000)))
    plan = NetworkDelay(target="web", latency=0.1, peers=["other"])
    open_already.start()
    time.sleep(0.3)
    record, [seen] = inject(two, plan, hold=3.0, during=lambda: datagrams(two, "other", "web", 100))
    open_already.join()
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(0.1, rel=0.3)
    assert 0.1 <= seen.median < 0.2
    assert seen.distinct == seen.sent
    assert stream[0]["wrong"] == 0
    assert record.gone.held
    assert datagrams(two, "other", "web", 50).median < 0.05


def test_packets_pass_when_the_agent_is_killed(two, engine, python_image):
    """Kill -9 of the agent while it holds every packet: the rest pass at once, and the undo removes our rules alone."""
    before = namespace_state(engine, python_image, two, "web")
    context = context_of(two)
    fault = build_fault(NetworkDelay(target="web", latency=0.5, direction="both"), context)
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    assert datagrams(two, "other", "web", 20, after=1.3).median > 0.9
    engine.containers.get(fault.agent._name).kill()
    assert datagrams(two, "other", "web", 20).median < 0.2
    assert namespace_state(engine, python_image, two, "web") != before
    assert "removed" in carry_out(undo, engine)
    assert namespace_state(engine, python_image, two, "web") == before
    context.agents.close()


def test_a_target_that_is_restarted_ends_the_fault(two, engine):
    """A new namespace has no rules: that the fault did not last is told as an error."""

    def during():
        datagrams(two, "other", "web", 500)
        engine.containers.get(two.handle("web").container).restart(timeout=0)

    record, _ = inject(two, NetworkLoss(target="web", share=0.2, peers=["other"]), hold=4.0, during=during)
    assert "meanwhile" in record.error
    assert record.gone.held


def test_two_faults_of_packets_at_once(two):
    """Loss and delay on the same packets: both take effect, and end one after the other."""
    context = context_of(two)
    plans = [NetworkLoss(target="web", share=0.2, direction="in"), NetworkDelay(target="web", latency=0.05)]
    faults = [build_fault(plan, context) for plan in plans]
    for fault in faults:
        fault.check()
        fault.inject(time.time() + 60)
    seen = datagrams(two, "other", "web", 600)
    proofs = [fault.effect() for fault in faults]
    assert all(proof.held for proof in proofs), proofs
    assert seen.lost == pytest.approx(0.2, abs=0.08)
    assert seen.median > 0.045
    for fault in faults:
        fault.revert()
        assert fault.gone().held
    assert datagrams(two, "other", "web", 100).lost == 0
    context.agents.close()


def test_what_is_not_ours_survives(two, engine, python_image):
    """A rule and a queueing discipline of somebody else's are byte for byte the same after a fault and after its undo."""
    theirs = (
        "iptables-nft -w -t mangle -A POSTROUTING -p tcp --dport 81 -m comment --comment theirs -j ACCEPT;"
        "tc qdisc add dev eth0 root handle 77: tbf rate 1gbit burst 1mb latency 1s"
    )
    in_namespace(engine, python_image, two, "web", theirs)
    before = namespace_state(engine, python_image, two, "web")
    assert "theirs" in before
    assert "tbf 77:" in before
    plan = NetworkCorruption(target="web", share=0.2, peers=["other"])
    record, _ = inject(two, plan, hold=3.0, during=lambda: datagrams(two, "other", "web", 400))
    assert record.effect.held, record.effect
    assert record.gone.held
    undo = RulesRemove(container=two.handle("web").container, tag="shakedown:0", image=python_image, qdisc="5d17:")
    assert "removed" in carry_out(undo, engine)
    assert namespace_state(engine, python_image, two, "web") == before


def test_the_undo_removes_a_discipline_with_our_handle(two, engine, python_image):
    """Whatever its kind: the handle says whose it is. Twice is as good as once."""
    before = namespace_state(engine, python_image, two, "web")
    ours = "tc qdisc add dev eth0 root handle 5d17: tbf rate 1gbit burst 1mb latency 1s"
    in_namespace(engine, python_image, two, "web", ours)
    assert namespace_state(engine, python_image, two, "web") != before
    undo = RulesRemove(container=two.handle("web").container, tag="shakedown:0", image=python_image, qdisc="5d17:")
    for _ in range(2):
        assert "removed" in carry_out(undo, engine)
        assert namespace_state(engine, python_image, two, "web") == before
