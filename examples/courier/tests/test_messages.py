"""Messages from end to end."""

import time

import pytest


def test_accepted(api, message):
    """A message is accepted under its own id."""
    answer = api.post("/messages", json=message)
    assert answer.status_code == 202
    assert answer.json() == {"id": message["id"], "status": "accepted"}


def test_answered_once(api, message, done):
    """A message gets exactly one reply."""
    api.post("/messages", json=message)
    assert len(done(message["id"])["replies"]) == 1


def test_same_id_is_the_same_message(api, message, done):
    """The same id sent five times is stored and answered once."""
    answers = {api.post("/messages", json=message).status_code for _ in range(5)}
    assert answers == {202}
    assert len(done(message["id"])["replies"]) == 1


@pytest.mark.parametrize(
    "text", ["grüße 東京 🚚", "‮right to left", "a" * 5000, "line\nbreak\ttab", "'; DROP TABLE messages; --"]
)
def test_text_comes_back_unchanged(api, message, done, text):
    """Any text is stored and read back identical."""
    api.post("/messages", json={**message, "text": text})
    assert done(message["id"])["text"] == text


def test_order_of_a_user(api, message, done):
    """A user's messages are listed in the order in which they were sent."""
    ids = [f"{message['id']}-{n}" for n in range(5)]
    for each in ids:
        api.post("/messages", json={**message, "id": each})
    done(ids[-1])
    listed = api.get("/messages", params={"user": message["user"]}).json()["messages"]
    assert [item["id"] for item in listed] == ids


def test_unknown_message(api):
    """A message that was never sent is not found."""
    assert api.get("/messages/never-sent").status_code == 404


def test_chat_message_is_sent_once(api, chat, message, done):
    """An answered message leads to one chat message."""
    api.post("/messages", json=message)
    expected = 1 if done(message["id"])["status"] == "answered" else 0
    until = time.monotonic() + 10
    while chat.get("/sent", params={"message": message["id"]}).json()["count"] < expected and time.monotonic() < until:
        time.sleep(0.1)
    assert chat.get("/sent", params={"message": message["id"]}).json()["count"] == expected
