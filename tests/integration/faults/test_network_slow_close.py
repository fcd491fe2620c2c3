"""network-slow-close on real containers."""

import time

import pytest

from shakedown.plan.faults.network import NetworkSlowClose
from tests.integration.faults.echo import Client, service
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_the_end_comes_late(make_system, python_image):
    """Bytes pass at once; the server's end is seen half a second later."""
    system = make_system({"echo": service(python_image)})

    def during():
        with Client(system) as client:
            first = client.trip()
            begun = time.monotonic()
            client.socket.sendall(b"BYE\n")
            return first, client.ends(3), time.monotonic() - begun

    record, found = inject(system, NetworkSlowClose(target="echo", delay=0.5), 3, during)
    first, how, seconds = found[0]
    assert first < 0.4
    assert how == "end"
    assert 0.49 <= seconds <= 2
    assert record.effect.held, record.effect
    assert record.effect.measured >= 0.49
    assert record.gone.held
    assert during()[2] < 0.4
