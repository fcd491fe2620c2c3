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
