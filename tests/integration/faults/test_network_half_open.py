"""network-half-open on real containers."""

import pytest

from shakedown.plan.faults.network import NetworkHalfOpen
from tests.integration.faults.echo import Client, service, told, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_the_client_sees_the_end_and_the_server_does_not(make_system, python_image):
    """The client's side ends; the server's stays open until the fault is over."""
    system = make_system({"echo": service(python_image)})

    def during():
        opened, ended = told(system)
        with Client(system) as client:
            first = client.trip()
            how = client.ends(2)
        now = told(system)
        return first, how, now[0] - opened, now[1] - ended

    record, found = inject(system, NetworkHalfOpen(target="echo", after=0.3, ports=[7000]), 3, during)
    first, how, opened, ended = found[0]
    assert first < 0.3
    assert how in ("reset", "end")
    assert (opened, ended) == (1, 0)
    assert record.effect.held, record.effect
    assert record.gone.held
    for _ in range(50):
        opened, ended = told(system)
        if opened == ended:
            break
    assert opened == ended
    assert trip(system) < 1


def test_the_server_sees_the_end_and_the_client_does_not(make_system, python_image):
    """The other way round: the client waits on a connection that nobody holds."""
    system = make_system({"echo": service(python_image)})

    def during():
        opened, ended = told(system)
        client = Client(system)
        client.trip()
        how = client.ends(1)
        now = told(system)
        client.close()
        return how, now[0] - opened, now[1] - ended

    plan = NetworkHalfOpen(target="echo", after=0.3, seen_by="server", ports=[7000])
    record, found = inject(system, plan, 3, during)
    assert found == [("open", 1, 1)]
    assert record.effect.held, record.effect
