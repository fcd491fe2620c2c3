"""What is wrong is refused in words; what is around works."""

import time
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


@pytest.mark.parametrize("body", [rb'{"id": "x", "user": "u", "text": "\ud800"}'])
def test_half_a_character_is_refused(api, body):
    """Text that no encoding can hold is refused, not passed on to where it breaks."""
    assert api.post("/messages", content=body).status_code == 422


API = ("queue_depth", "queue_limit", "review_depth", "pool_in_use", "database_connections", "open_sockets", "regular_files_open",
       "cache_entries", "event_loop_lag_seconds", 'circuit_state{dependency="chat-typing"}', "courier_requests_total{")  # fmt: skip
WORKER = ('circuit_state{dependency="llm-primary"}', 'circuit_state{dependency="chat"}', "outbox_depth", "dead_letters", "in_hand")  # fmt: skip


def test_metrics(api, worker):
    """The metrics hold what an observer needs; each family of series has one type."""
    for service, wanted in ((api, API), (worker, WORKER)):
        until = time.monotonic() + 10
        while True:
            lines = service.get("/metrics").text.splitlines()
            missing = [name for name in wanted if not any(line.startswith(name) for line in lines)]
            if not missing or time.monotonic() > until:
                break
            time.sleep(0.2)  # under load Redis may answer too late for one scrape: a gap, as for any scraper
        assert not missing
        types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(types) == len(set(types))
