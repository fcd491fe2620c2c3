"""network-bandwidth on real containers."""

import threading
import time

import pytest

from shakedown.plan.faults.network import NetworkBandwidth
from tests.integration.faults.echo import Client, service
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration


def test_two_connections_share_the_link(make_system, python_image):
    """100 kB over two connections at once on a link of 100 kB/s take a second; the rate is measured."""
    system = make_system({"echo": service(python_image)})

    def fetch(sizes):
        with Client(system) as client:
            sizes.append(len(client.ask(50_000)))

    def during():
        sizes: list[int] = []
        threads = [threading.Thread(target=fetch, args=(sizes,)) for _ in range(2)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - begun, sizes

    record, found = inject(system, NetworkBandwidth(target="echo", rate=100_000), 3, during)
    seconds, sizes = found[0]
    assert sizes == [50_000, 50_000]
    assert 0.8 <= seconds <= 2.5
    assert record.effect.held, record.effect
    assert record.effect.asked == 100_000
    assert 60_000 <= record.effect.measured <= 125_000
    assert record.gone.held
    assert during()[0] < 0.5


def test_a_limit_that_nobody_meets_is_not_held(make_system, python_image):
    """A few bytes on a wide link wait for nothing: not proved."""
    system = make_system({"echo": service(python_image)})
    record, _ = inject(system, NetworkBandwidth(target="echo", rate=100_000_000), 1, lambda: Client(system).ask(100))
    assert not record.effect.held
