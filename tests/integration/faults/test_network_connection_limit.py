"""network-connection-limit on real containers."""

import pytest

from shakedown.plan.faults.network import NetworkConnectionLimit
from tests.integration.faults.echo import Client, service, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_no_more_than_so_many_at_once(make_system, python_image):
    """Three work, the fourth does not; when one leaves, another gets in."""
    system = make_system({"echo": service(python_image)})

    def during():
        clients = [Client(system) for _ in range(3)]
        fine = [client.trip() for client in clients]
        fourth = trip(system, 1)
        clients[0].close()
        later = None
        for _ in range(50):
            later = later or trip(system, 1)
        for client in clients:
            client.close()
        return fine, fourth, later

    record, found = inject(system, NetworkConnectionLimit(target="echo", connections=3, ports=[7000]), 3, during)
    fine, fourth, later = found[0]
    assert all(fine)
    assert fourth is None, record.effect
    assert later is not None
    assert record.effect.held, record.effect
    assert record.effect.measured == 3
    assert record.gone.held


def test_a_limit_that_nobody_reached(make_system, python_image):
    """One connection under a limit of ten: not proved."""
    system = make_system({"echo": service(python_image)})
    plan = NetworkConnectionLimit(target="echo", connections=10, ports=[7000])
    record, _ = inject(system, plan, 1, lambda: trip(system))
    assert not record.effect.held
