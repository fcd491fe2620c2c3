"""http-abort on a real container."""

import pytest

from shakedown.plan.faults.http import HttpAbort
from tests.integration.faults.web import Once, outcome

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


@pytest.mark.parametrize(
    ("how", "errors"), [("reset", {"ReadError", "RemoteProtocolError"}), ("close", {"RemoteProtocolError"})]
)
def test_no_answer_but_an_end(once, how, errors):
    """Clients see the connection end; the service never had the request; others pass."""
    plan = HttpAbort(target="web", how=how, methods=["POST"])
    record, (ends, paid) = once.under(
        plan,
        lambda session: ([outcome(session, "POST", "/pay", content=b"x") for _ in range(4)], session.get("/paid").text),
    )
    assert set(ends) <= errors  # the engine's forwarder hands a reset on as an end
    assert paid == "0"
    assert record.effect.held, record.effect
    assert record.effect.measured == 1


def test_the_answer_is_lost_after_the_work_was_done(once):
    """With forward the service did it once, and the client cannot know."""
    record, (end, paid) = once.under(
        HttpAbort(target="web", path="/pay", forward=True),
        lambda session: (outcome(session, "POST", "/pay", content=b"x"), session.get("/paid").text),
    )
    assert isinstance(end, str)
    assert paid == "1"
    assert record.effect.held, record.effect
