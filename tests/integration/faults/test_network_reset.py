"""network-reset on real containers."""

import pytest

from shakedown.plan.faults.network import NetworkReset
from tests.integration.faults.echo import Client, service, told, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_reset_after_a_time(make_system, python_image):
    """A connection works, and half a second later it is gone at both ends."""
    system = make_system({"echo": service(python_image)})

    def during():
        with Client(system) as client:
            first = client.trip()
            return first, client.ends(3)

    record, found = inject(system, NetworkReset(target="echo", after=0.5, ports=[7000]), 3, during)
    assert found[0][0] < 0.5
    assert found[0][1] in ("reset", "end")
    assert record.effect.held, record.effect
    assert record.gone.held
    opened, ended = told(system)
    assert opened == ended
    assert trip(system) is not None


def test_reset_after_so_many_bytes(make_system, python_image):
    """The answer breaks off once 1000 bytes have passed, both directions together."""
    system = make_system({"echo": service(python_image)})

    def during():
        with Client(system) as client:
            try:
                return len(client.ask(5000))
            except ConnectionResetError:
                return 0

    record, found = inject(system, NetworkReset(target="echo", bytes=1000), 2, during)
    assert found[0] < 1000
    assert record.effect.held, record.effect
    assert during() == 5000
