"""A person who talks to the service: says something, waits for the answer, says the next thing."""

import http.client
import json
import time
import uuid

from shakedown.user import User

TURNS, WITHIN = 3, 30.0


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, dict]:
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.read()
    return answer.status, json.loads(found) if found else {}


def talk(user: User) -> None:
    """Three turns, each answered once; then the conversation is what was said, in its order, and nobody else's."""
    connection = http.client.HTTPConnection(user.host, user.port, timeout=10)
    name, said = f"talk-{uuid.uuid4()}", []
    try:
        for turn in range(TURNS):
            key, words = f"{name}-{turn}", f"turn {turn} of {name}"
            with user.measure("say", key=key):
                status, _ = _ask(connection, "POST", "/messages", {"id": key, "user": name, "text": words})
                assert status == 202, f"answered with {status}"
            said.append(words)
            with user.measure("answer"):
                until = time.monotonic() + WITHIN
                while True:
                    status, found = _ask(connection, "GET", f"/messages/{key}")
                    if status == 200 and found["status"] in ("answered", "review", "reviewed"):
                        break
                    assert time.monotonic() < until, f"no answer within {WITHIN:g} s: {status} {found.get('status')}"
                    time.sleep(0.2)
                assert (found["user"], found["text"]) == (name, words), f"not what was said: {found['text']!r}"
                assert len(found["replies"]) == 1, f"answered {len(found['replies'])} times"
        with user.measure("order"):
            status, listed = _ask(connection, "GET", f"/messages?user={name}")
            texts = [message["text"] for message in listed.get("messages", [])]
            assert texts == said, f"said {len(said)} things, {len(texts)} are there, or in another order"
    finally:
        connection.close()
