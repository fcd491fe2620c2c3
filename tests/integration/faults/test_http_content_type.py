"""http-content-type on a real container."""

import pytest

from shakedown.plan.faults.http import HttpContentType
from tests.integration.faults.web import Once

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


def test_the_wrong_type_with_the_right_body(once):
    """Content-Type is the other one, for chosen requests alone; the body is whole."""
    plan = HttpContentType(target="web", content_type="text/html; charset=x", path="/stats", headers={"accept": "*"})
    record, answers = once.under(
        plan, lambda session: [session.get(path, headers={"accept": "a"}) for path in ("/stats", "/paid")]
    )
    assert [answer.headers["content-type"] for answer in answers] == ["text/html; charset=x", "text/plain"]
    assert answers[0].text == "0123456789"
    assert record.effect.held, record.effect
