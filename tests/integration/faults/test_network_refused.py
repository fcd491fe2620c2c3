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


def test_nobody_tried(make_system, python_image):
    """Where nobody wanted to connect, nothing was refused, and the fault is not proved."""
    system = make_system({"echo": service(python_image)})
    record, _ = inject(system, NetworkRefused(target="echo", ports=[7000]), 1)
    assert not record.effect.held
    assert "nobody tried" in record.effect.evidence
