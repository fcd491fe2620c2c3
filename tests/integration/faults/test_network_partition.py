"""Partitions on real containers: who reaches whom, while it lasts and afterwards."""

import time

import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.packets import NetworkPartition
from tests.integration.faults.harness import context_of, inject
from tests.integration.faults.packet_views import datagrams, echo_service, namespace_state

pytestmark = pytest.mark.integration
ALL = ("a", "b", "c")


@pytest.fixture
def three(make_system, python_image):
    """Three services that can all reach each other."""
    return make_system({name: echo_service(python_image) for name in ALL})


def heard(system, source: str, target: str) -> bool:
    """Whether a datagram comes back."""
    return datagrams(system, source, target, 3, pause=0.02, after=0.1).total > 0


def reach(system) -> set[str]:
    return {f"{one}{other}" for one in ALL for other in ALL if one != other and heard(system, one, other)}


def test_groups_are_cut_off_from_each_other_alone(three, engine, python_image):
    """[a, b] | [c]: a and b still meet, nobody meets c, in either direction; afterwards all is as before."""
    before = [namespace_state(engine, python_image, three, name) for name in ALL]
    plan = NetworkPartition(between=[["a", "b"], ["c"]])
    record, [seen] = inject(three, plan, hold=5.0, during=lambda: reach(three))
    assert record.error is None, record.error
    assert record.target == "a, b | c"
    assert record.effect.held, record.effect
    assert seen == {"ab", "ba"}
    assert record.gone.held, record.gone
    assert [namespace_state(engine, python_image, three, name) for name in ALL] == before
    assert len(reach(three)) == 6


def test_one_way(three):
    """Packets from the target to its peer are dropped, those to it are not: it hears, but is not heard."""
    listen = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2.5);"
        "s.bind(('0.0.0.0', 9100)); print(s.recv(10))"
    )
    shout = (
        "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "[(s.sendto(b'hello', ('{}', 9100)), time.sleep(0.1)) for _ in range(15)]"
    )

    def hears(listener, speaker):
        import threading

        speaking = threading.Thread(
            target=lambda: three.runner(speaker).run_inside(["python3", "-c", shout.format(listener)])
        )
        speaking.start()
        code, _ = three.runner(listener).run_inside(["python3", "-c", listen])
        speaking.join()
        return code == 0

    plan = NetworkPartition(target="a", peers=["b"], direction="out")
    record, [seen] = inject(three, plan, hold=6.0, during=lambda: (hears("a", "b"), hears("b", "a")))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert seen == (True, False)
    assert record.gone.held


def test_the_undo_heals_every_namespace(three, engine, python_image):
    """All agents killed: the one undo in the journal removes the rules of both namespaces, twice if need be."""
    before = [namespace_state(engine, python_image, three, name) for name in ALL]
    context = context_of(three)
    fault = build_fault(NetworkPartition(between=[["a", "b"], ["c"]]), context)
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    for post in fault._posts:
        engine.containers.get(post.agent._name).kill()
    assert not heard(three, "b", "c")
    assert carry_out(undo, engine).count("removed") == 2
    assert carry_out(undo, engine)
    assert [namespace_state(engine, python_image, three, name) for name in ALL] == before
    assert heard(three, "b", "c")
    context.agents.close()


def test_a_peer_that_comes_back_elsewhere_is_told(three, engine):
    """A peer that gets another address is cut off no more: no proof any longer, not at the end either, nothing left."""
    context = context_of(three)
    fault = build_fault(NetworkPartition(target="a", peers=["b"]), context)
    fault.check()
    fault.inject(time.time() + 60)
    assert fault.effect().held
    peer = engine.containers.get(three.handle("b").container)
    elsewhere = engine.networks.create(f"{three.network}-elsewhere")
    try:
        engine.networks.get(three.network).disconnect(peer)
        elsewhere.connect(peer)
        proof = fault.effect()
        still = fault.still()
        fault.revert()
        gone = fault.gone()
    finally:
        elsewhere.disconnect(peer)
        elsewhere.remove()
        context.agents.close()
    assert not proof.held
    assert "b came back with another address: the cut did not last" in proof.evidence
    assert not still.held
    assert gone.held
    assert "no rule of ours is left" in gone.evidence
