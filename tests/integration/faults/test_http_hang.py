"""http-hang on a real container."""

import pytest

from shakedown.plan.faults.http import HttpHang
from tests.integration.faults.web import Once, outcome

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


def test_no_answer_until_the_client_gives_up(once):
    """A client with a time-out times out; one without waits until the fault ends, which closes its connection."""
    record, (impatient, other) = once.under(
        HttpHang(target="web", path="/pay"),
        lambda session: (
            outcome(session, "POST", "/pay", content=b"x", timeout=0.5),
            outcome(session, "GET", "/stats"),
        ),
    )
    assert (impatient, other) == ("ReadTimeout", 200)
    assert record.effect.held, record.effect
    record, patient = once.under(
        HttpHang(target="web", path="/pay"), lambda session: outcome(session, "POST", "/pay", content=b"x", timeout=30)
    )
    assert patient in ("RemoteProtocolError", "ReadError")
    assert record.effect.held, record.effect
