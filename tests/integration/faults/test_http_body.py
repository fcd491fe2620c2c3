"""http-body on a real container."""

import pytest

from shakedown.plan.faults.http import HttpBody
from tests.integration.faults.web import Once

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


def test_another_text_and_another_body(once):
    """A text is replaced in plain bodies and chunks, a body by another one; the client reads them whole, on one connection."""

    def during(session):
        return [session.get(path).text for path in ("/stats", "/chunks", "/stats")]

    record, bodies = once.under(HttpBody(target="web", regex="3(.)5", replacement=r"<\1\1>"), during)
    assert bodies == ["012<44>6789"] * 3
    assert record.effect.held, record.effect
    record, bodies = once.under(HttpBody(target="web", body='{"error": ', path="/stats"), during)
    assert bodies == ['{"error": ', "0123456789", '{"error": ']
    assert record.effect.held, record.effect


def test_a_text_that_is_nowhere_changes_nothing(once):
    """Not held, and the evidence says that the text was not there."""
    record, body = once.under(
        HttpBody(target="web", text="absent", replacement="x"), lambda session: session.get("/stats").text
    )
    assert body == "0123456789"
    assert not record.effect.held
    assert "without the text" in record.effect.evidence
