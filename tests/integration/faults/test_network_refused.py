"""network-refused on real containers."""

import pytest

from shakedown.plan.faults.network import NetworkRefused
from tests.integration.faults.echo import Client, service, told, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_new_connections_are_refused_and_old_ones_go_on(make_system, python_image):
    """Nobody new gets in; who is in goes on; afterwards the door is open."""
    system = make_system({"echo": service(python_image)})
    with Client(system) as old:
        old.trip()
        before = told(system)[0]
        record, found = inject(
            system, NetworkRefused(target="echo", ports=[7000]), 2,
            lambda: ([trip(system, 1) for _ in range(3)], old.trip(), told(system)[0]),
        )  # fmt: skip
    assert found[0][0] == [None, None, None]
    assert found[0][1] < 1
    assert found[0][2] == before
    assert record.effect.held, record.effect
    assert record.effect.measured >= 3
    assert record.gone.held
    assert trip(system) is not None


def test_a_share_is_counted_to_the_end(make_system, python_image):
    """Half of many attempts are refused, as clients see and rules count; the number is that of the whole hold."""
    system = make_system({"echo": service(python_image), "caller": service(python_image)})
    plan = NetworkRefused(target="echo", ports=[7000], share=0.5)
    ask = (
        "import socket\nno = 0\nfor _ in range(200):\n try: socket.create_connection(('echo', 7000), 2).close()\n"
        " except ConnectionRefusedError: no += 1\nprint(no)"
    )
    record, found = inject(system, plan, 4, lambda: int(system.runner("caller").run_inside(["python3", "-c", ask])[1]))
    assert 60 <= found[0] <= 140
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(found[0] / 200, abs=0.02)
    assert f"{found[0]} of 200 attempts" in record.effect.evidence


def test_a_rule_that_somebody_removes(make_system, python_image, engine):
    """Refused at first, then somebody flushes the rules in mid-hold: not held, and the reason is told."""
    system = make_system({"echo": service(python_image)})
    container = engine.containers.get(system.handle("echo").container)

    def during():
        first = trip(system, 1)
        engine.containers.run(
            python_image, ["-c", "for t in iptables-nft iptables-legacy; do $t -F INPUT; done; true"], entrypoint="sh",
            network_mode=f"container:{container.id}", cap_add=["NET_ADMIN"], remove=True, labels=container.labels,
        )  # fmt: skip
        return first

    record, found = inject(system, NetworkRefused(target="echo", ports=[7000]), 4, during)
    assert found == [None]
    assert not record.effect.held
    assert "of our 2 rules were removed by somebody else" in record.effect.evidence
    assert record.gone.held


def test_nobody_tried(make_system, python_image):
    """Where nobody wanted to connect, nothing was refused, and the fault is not proved."""
    system = make_system({"echo": service(python_image)})
    record, _ = inject(system, NetworkRefused(target="echo", ports=[7000]), 1)
    assert not record.effect.held
    assert "nobody tried" in record.effect.evidence
