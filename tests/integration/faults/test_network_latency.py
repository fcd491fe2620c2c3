"""network-latency on real containers."""

import time

import pytest

from shakedown.plan.faults.network import NetworkLatency
from shakedown.services import Address
from tests.integration.faults.echo import Client, service, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration

# Seconds that a line takes from inside a container to a server and back, over a connection of its own.
TRIP = """
import socket, sys, time
made = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
begun = time.monotonic()
made.sendall(b"x\\n"); made.recv(10)
print(time.monotonic() - begun)
"""


def from_inside(system, name: str, host: str, port: int) -> float:
    code, output = system.runner(name).run_inside(["python3", "-c", TRIP, host, str(port)])
    assert code == 0, output
    return float(output)


def test_a_round_trip_takes_longer_by_what_was_asked(make_system, python_image):
    """200 ms: felt by a client, measured by the proof, gone afterwards; the proxy's own cost is told."""
    system = make_system({"echo": service(python_image)})
    record, found = inject(
        system, NetworkLatency(target="echo", latency=0.2), during=lambda: [trip(system) for _ in range(3)]
    )
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert 0.16 <= record.effect.measured <= 0.3
    assert "the proxy itself adds" in record.effect.evidence
    assert all(0.19 <= felt <= 0.5 for felt in found[0])
    assert record.gone.held, record.gone
    assert trip(system) < 0.15


def test_a_connection_that_was_open_is_reset_once(make_system, python_image):
    """An old connection cannot go round the proxy, and the server's side of it ends too; with `keep` it goes on as before."""
    system = make_system({"echo": service(python_image)})
    with Client(system) as old:
        old.trip()
        record, found = inject(
            system, NetworkLatency(target="echo", latency=0.2), during=lambda: (old.ends(1), trip(system))
        )
        assert found[0][0] in ("reset", "end")  # the engine's forwarder hands a reset on as an end
        assert found[0][1] >= 0.19
        assert "open before reset once" in record.effect.evidence
    with Client(system) as old:
        old.trip()
        record, found = inject(
            system, NetworkLatency(target="echo", latency=0.2, existing="keep"),
            during=lambda: (old.trip(), trip(system)),
        )  # fmt: skip
        assert found[0][0] < 0.15
        assert found[0][1] >= 0.19
        assert old.trip() < 0.15


def test_connections_to_the_containers_own_address_are_caught_too(make_system, python_image, engine):
    """Not by the engine's forwarder but straight to the container: slow, and an old connection sees RST itself."""
    system = make_system({"echo": service(python_image)})
    container = engine.containers.get(system.handle("echo").container)
    address = container.attrs["NetworkSettings"]["Networks"][system.network]["IPAddress"]
    system.handle("echo").addresses["http"] = Address(address, 7000)
    with Client(system) as old:
        old.trip()
        record, found = inject(
            system, NetworkLatency(target="echo", latency=0.2, ports=[7000]), 2, lambda: (old.ends(1), trip(system))
        )
    assert found[0][0] == "reset"
    assert found[0][1] >= 0.19
    assert "1 that were open before reset once" in record.effect.evidence
    assert record.gone.held


def test_a_connection_through_the_proxy_outlives_the_fault(make_system, python_image):
    """Slow while the fault lasts, quick after it, and never broken."""
    from shakedown.faults.network.latency import LatencyFault
    from tests.integration.faults.harness import context_of

    system = make_system({"echo": service(python_image)})
    context = context_of(system)
    fault = LatencyFault(NetworkLatency(target="echo", latency=0.2), context)
    fault.check()
    fault.inject(time.time() + 30)
    with Client(system) as client:
        assert client.trip() >= 0.19
        client.socket.sendall(b"z" * 9 + b"\n")
        fault.revert()
        assert client.take(10) == b"z" * 9 + b"\n"
        assert min(client.trip() for _ in range(3)) < 0.1
        again = LatencyFault(NetworkLatency(target="echo", latency=0.3), context)
        again.check()
        again.inject(time.time() + 30)
        assert client.trip() >= 0.29
        again.revert()
        assert client.trip() < 0.2
    assert fault.gone().held
    context.agents.close()


def test_only_connections_with_the_peers_are_met(make_system, python_image):
    """`peers`: the other service is slow, the host is not; `out`: what the target calls is slow, what calls it is not."""
    system = make_system({"echo": service(python_image), "other": service(python_image)})

    def during():
        return trip(system), from_inside(system, "other", "echo", 7000), from_inside(system, "echo", "other", 7000)

    record, found = inject(system, NetworkLatency(target="echo", latency=0.2, peers=["other"]), 3, during)
    assert record.error is None, record.error
    host, inward, outward = found[0]
    assert host < 0.15
    assert inward >= 0.19
    assert outward < 0.15
    assert record.effect.held, record.effect
    record, found = inject(
        system, NetworkLatency(target="echo", latency=0.2, direction="out", peers=["other"]), 3, during
    )
    host, inward, outward = found[0]
    assert host < 0.15
    assert inward < 0.15
    assert outward >= 0.19
    assert record.effect.held, record.effect
    assert record.gone.held


def test_some_of_the_connections_are_met(make_system, python_image):
    """`share`: the lot falls once on each connection, and about so many are slow."""
    system = make_system({"echo": service(python_image)})

    def during():
        clients = [Client(system) for _ in range(40)]
        slow = [[client.trip() >= 0.045 for _ in range(2)] for client in clients]
        for client in clients:
            client.close()
        return slow

    record, found = inject(system, NetworkLatency(target="echo", latency=0.05, share=0.5), 4, during)
    slow = found[0]
    assert sum(first == second for first, second in slow) >= 36  # a busy machine may make a quick one slow
    assert 10 <= sum(first for first, _ in slow) <= 30
    assert record.effect.held
    assert " of " in record.effect.evidence


def test_what_nobody_met_is_not_held(make_system, python_image):
    """No connection came: the fault is not proved, whatever was asked."""
    system = make_system({"echo": service(python_image)})
    record, _ = inject(system, NetworkLatency(target="echo", latency=0.2, ports=[7000]), 1)
    assert not record.effect.held
    assert record.gone.held
