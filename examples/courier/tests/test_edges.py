"""What is wrong is refused in words; what is around works."""

import pytest

BAD = [
    ({}, 422), ({"id": "x"}, 422), ({"id": None, "user": "u", "text": "t"}, 422), ({"id": "x", "user": 5, "text": "t"}, 422),
    ({"id": "x", "user": "u", "text": ""}, 422), ({"id": "x", "user": "u", "text": ["t"]}, 422), ([], 422), ("text", 422),
    ({"id": "x" * 101, "user": "u", "text": "t"}, 422), ({"id": "x", "user": "u", "text": "a\x00b"}, 422),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BAD)
def test_wrong_message_is_refused(api, body, status):
    """A message that is not whole is refused with a reason."""
    answer = api.post("/messages", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"nonsense"])
def test_what_is_not_json_is_refused(api, body):
    """A body that is not JSON is a 400, not a crash."""
    assert api.post("/messages", content=body).status_code == 400


def test_webhook_accepts_a_known_event(api):
    """A known event with data is received."""
    answer = api.post("/webhook", json={"event": "message", "data": {"a": 1}})
    assert (answer.status_code, answer.json()) == (200, {"received": True})


@pytest.mark.parametrize(
    "body", [{}, {"event": "other", "data": {}}, {"event": "message", "data": None}, {"event": None}]
)
def test_webhook_refuses_the_rest(api, body):
    """An event that is unknown or without data is refused."""
    assert api.post("/webhook", json=body).status_code == 422


def test_inventory(api):
    """The inventory's figures come from the database."""
    figures = api.get("/api/inventory/stats").json()
    assert figures["items"] == 500
    assert 0 < figures["low"] < figures["items"]


def test_health(api, worker):
    """Everything that a service depends on is named in its health."""
    for service in (api, worker):
        answer = service.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"


def test_metrics(api):
    """The metrics hold the depth of the queue and the requests by route."""
    text = api.get("/metrics").text
    assert "queue_depth " in text
    assert 'route="/health"' in text
