"""network-slicing on real containers."""

import time

import pytest

from shakedown.plan.faults.network import NetworkSlicing
from tests.integration.faults.echo import Client, service
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_an_answer_arrives_in_pieces(make_system, python_image):
    """1000 bytes in pieces of 100, 20 ms apart, take at least 180 ms, and nothing is lost or changed."""
    system = make_system({"echo": service(python_image)})

    def during():
        with Client(system) as client:
            begun = time.monotonic()
            return client.ask(1000), time.monotonic() - begun

    record, found = inject(system, NetworkSlicing(target="echo", size=100, pause=0.02), 2, during)
    answer, seconds = found[0]
    assert answer == b"x" * 1000
    assert seconds >= 0.17
    assert record.effect.held, record.effect
    assert record.effect.measured <= 100
    assert record.gone.held
    assert during()[1] < 0.15
