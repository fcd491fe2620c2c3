"""Messages from end to end."""

import time
from concurrent.futures import ThreadPoolExecutor

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


def test_same_id_at_once(api, message, done):
    """The same id sent by eight clients at the same moment is stored and answered once."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/messages", json=message).status_code, range(8)))
    assert set(answers) == {202}
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


def test_what_was_read_early_is_not_kept(api, message, done):
    """Who looked before a message was answered sees the answer when it is there."""
    api.post("/messages", json=message)
    api.get(f"/messages/{message['id']}")
    status = done(message["id"])["status"]
    assert api.get(f"/messages/{message['id']}").json()["status"] == status


def test_an_answer_is_cached(api, message, done):
    """What is final is read from the cache the second time, unchanged."""
    api.post("/messages", json=message)
    fresh = done(message["id"])
    first, second = (api.get(f"/messages/{message['id']}") for _ in range(2))
    assert first.json() == second.json() == fresh
    assert ("age" in second.headers) == (fresh["status"] == "answered")


def test_a_structured_message(api, message, done):
    """A structured message is answered by what it says."""
    api.post("/messages", json={**message, "text": 'json:{"text": "hello"}'})
    assert done(message["id"])["replies"] == ["You said 5 characters."]


@pytest.mark.parametrize("text", ["json:{", "json:[]", 'json:{"half": 1}'])
def test_a_message_that_cannot_be_processed(api, message, done, text):
    """It is set aside and said to have failed; the same user's next message is answered."""
    bad, good = f"{message['id']}-bad", f"{message['id']}-good"
    api.post("/messages", json={**message, "id": bad, "text": text})
    api.post("/messages", json={**message, "id": good})
    assert done(good)["status"] == "answered"
    assert (done(bad)["status"], done(bad)["replies"]) == ("failed", [])


def test_the_books_are_right(api, message, done):
    """Every stored message was counted once, and every answer has its outgoing message."""
    ids = [f"{message['id']}-{n}" for n in range(10)]
    for number, each in enumerate(ids):
        api.post("/messages", json={**message, "id": each, "user": f"{message['user']}-{number}"})
    for each in ids:
        done(each)
    books = api.get("/api/messages/stats").json()
    assert books["messages_counted"] == books["messages_stored"] >= len(ids)
    assert books["messages_half"] == 0
