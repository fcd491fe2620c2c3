"""http-slow-drip on a real container."""

import time

import pytest

from shakedown.plan.faults.http import HttpSlowDrip
from tests.integration.faults.web import Once

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


def test_a_body_in_drips(once):
    """Ten bytes, two at a time, 100 ms apart: four pauses, felt and measured; the body is whole, and its head came at once."""

    def during(session):
        begun = time.monotonic()
        with session.stream("GET", "/stats") as answer:
            head = time.monotonic() - begun
            body = answer.read()
        return head, time.monotonic() - begun, body

    record, (head, whole, body) = once.under(HttpSlowDrip(target="web", drip=2, pause=0.1, path="/stats"), during)
    assert body == b"0123456789"
    assert whole - head >= 0.3
    assert record.effect.held, record.effect
    assert 0.09 <= record.effect.measured <= 0.2
