"""network-data-limit on real containers."""

import pytest

from shakedown.plan.faults.network import NetworkDataLimit
from tests.integration.faults.echo import Client, service
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_exactly_so_many_bytes(make_system, python_image):
    """The client gets 1000 bytes of 5000, to the byte, then the end."""
    system = make_system({"echo": service(python_image)})

    def during():
        with Client(system) as client:
            return len(client.ask(5000))

    record, found = inject(system, NetworkDataLimit(target="echo", bytes=1000), 2, during)
    assert found == [1000]
    assert record.effect.held, record.effect
    assert record.gone.held
    assert during() == 5000
