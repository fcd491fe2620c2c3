"""http-delay on a real container."""

import time

import httpx
import pytest

from shakedown.plan.faults.http import HttpDelay
from tests.integration.faults.web import BODY, Once

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


def timed(session, path):
    begun = time.monotonic()
    body = session.get(path).content
    return time.monotonic() - begun, body


@pytest.mark.parametrize("at", ["headers", "body"])
def test_answers_come_later(once, at):
    """200 ms asked: felt by the client and measured by the proof, whole bodies; other paths are quick."""
    record, found = once.under(
        HttpDelay(target="web", delay=0.2, at=at, path="/stats"),
        lambda session: [timed(session, path) for path in ("/stats", "/chunks", "/stats")],
    )
    (first, body), (other, _), (second, _) = found
    assert body == BODY
    assert min(first, second) >= 0.19
    assert other < 0.15
    assert record.effect.held, record.effect
    assert record.effect.asked == 0.2
    assert 0.19 <= record.effect.measured <= 0.35


def test_headers_come_at_once_when_the_delay_is_in_the_body(once):
    """In mid-body: the status is there long before the end of the body, also of chunks."""

    def during(session):
        begun = time.monotonic()
        with session.stream("GET", "/chunks") as answer:
            head = time.monotonic() - begun
            body = answer.read()
        return head, time.monotonic() - begun, body

    record, (head, whole, body) = once.under(HttpDelay(target="web", delay=0.4, at="body", path="/chunks"), during)
    assert body == BODY
    assert whole - head >= 0.3
    assert record.effect.held, record.effect


def test_clients_that_give_up_are_told(once):
    """A delay that nobody waits for is in effect all the same: the evidence says who gave up."""

    def during(session):
        with pytest.raises(httpx.ReadTimeout):
            session.get("/stats", timeout=0.3)

    record, _ = once.under(HttpDelay(target="web", delay=60, path="/stats"), during)
    assert record.effect.held, record.effect
    assert "1 clients gave up" in record.effect.evidence
