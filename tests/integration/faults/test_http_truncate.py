"""http-truncate on a real container."""

import httpx
import pytest

from shakedown.plan.faults.http import HttpTruncate
from tests.integration.faults.web import Once

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


@pytest.mark.parametrize("path", ["/stats", "/chunks"])
def test_the_client_sees_a_broken_body(once, path):
    """Fewer bytes than were promised: an error at the client, never a short body that looks whole."""

    def during(session):
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            session.get(path)
        return str(caught.value), session.head("/stats").status_code

    record, (words, head) = once.under(HttpTruncate(target="web", methods=["GET"], path=path), during)
    assert "without sending complete message body" in words or "incomplete" in words
    assert head == 200
    assert record.effect.held, record.effect


def test_what_has_no_body_cannot_be_cut(once):
    """HEAD answers pass, and a fault that met nothing else is not held."""
    plan = HttpTruncate(target="web", methods=["HEAD"])
    record, status = once.under(plan, lambda session: session.head("/stats").status_code)
    assert status == 200
    assert not record.effect.held
    assert "no body to cut: 1" in record.effect.evidence
