"""http-header on a real container."""

import pytest

from shakedown.plan.faults.http import HttpHeader
from tests.integration.faults.web import Once

pytestmark = pytest.mark.integration


@pytest.fixture
def once(make_system, python_image):
    return Once(make_system, python_image)


def test_headers_set_and_removed(once):
    """What is set is there once, what is removed is not, everything else as it was."""
    plan = HttpHeader(target="web", set={"Cache-Control": "max-age=60", "content-type": "x/y"}, remove=["Server"])
    record, answer = once.under(plan, lambda session: session.get("/stats"))
    assert answer.headers.get_list("content-type") == ["x/y"]
    assert answer.headers["cache-control"] == "max-age=60"
    assert "server" not in answer.headers
    assert "date" in answer.headers
    assert answer.text == "0123456789"
    assert record.effect.held, record.effect
