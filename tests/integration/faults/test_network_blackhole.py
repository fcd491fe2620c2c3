"""network-blackhole on real containers."""

import pytest

from shakedown.plan.faults.network import NetworkBlackhole
from tests.integration.faults.echo import Client, service, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_bytes_vanish_and_the_connection_stays_open(make_system, python_image):
    """Connecting works, no answer comes and no end; a connection with a gap is reset when the fault ends."""
    system = make_system({"echo": service(python_image)})
    left = []

    def during():
        client = Client(system)
        left.append(client)
        client.socket.sendall(b"hello\n")
        return client.ends(1.0)

    record, found = inject(system, NetworkBlackhole(target="echo"), 2, during)
    assert found == ["open"]
    assert record.effect.held, record.effect
    assert record.effect.measured >= 6
    assert record.gone.held
    assert left[0].ends(3) in ("reset", "end")
    assert trip(system) < 1


def test_connections_that_were_open_are_silent_too(make_system, python_image):
    """An old connection stays open and gets nothing, and when the fault ends everything arrives; with `reset` it is reset."""
    system = make_system({"echo": service(python_image)})
    with Client(system) as old:
        old.trip()
        old.socket.settimeout(1)

        def during():
            old.socket.sendall(b"hello\n")
            return old.ends(1.0)

        record, found = inject(system, NetworkBlackhole(target="echo", ports=[7000]), 2, during)
        assert found == ["open"]
        assert record.effect.held, record.effect
        assert "packets of connections that were open before" in record.effect.evidence
        assert record.gone.held
        old.socket.settimeout(8)
        assert old.take(6) == b"hello\n"
        plan = NetworkBlackhole(target="echo", ports=[7000], existing="reset")
        record, found = inject(system, plan, 1, lambda: old.ends(1.0))
        assert found[0] in ("reset", "end")
