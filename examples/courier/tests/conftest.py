"""Clients of the running system; Shakedown gives the addresses."""

import os
import time
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest


def _client(variable: str) -> httpx.Client:
    return httpx.Client(base_url=os.environ[variable], timeout=5, trust_env=False)


@pytest.fixture(scope="session")
def api() -> Iterator[httpx.Client]:
    """The intake."""
    with _client("SHAKEDOWN_API_HTTP") as client:
        yield client


@pytest.fixture(scope="session")
def worker() -> Iterator[httpx.Client]:
    """The worker's own endpoints."""
    with _client("SHAKEDOWN_WORKER_HTTP") as client:
        yield client


@pytest.fixture(scope="session")
def chat() -> Iterator[httpx.Client]:
    """The chat vendor."""
    with _client("SHAKEDOWN_CHAT_HTTP") as client:
        yield client


@pytest.fixture
def message() -> dict[str, str]:
    """A message that nobody sent before, from a user of its own."""
    return {"id": f"test-{uuid.uuid4()}", "user": f"user-{uuid.uuid4()}", "text": "hello"}


@pytest.fixture(scope="session")
def done(api: httpx.Client) -> Callable[[str], dict]:
    """Wait until a message was processed; looks past the cache."""

    def wait(message: str) -> dict:
        until = time.monotonic() + 20
        while True:
            answer = api.get(f"/messages/{message}", headers={"Cache-Control": "no-cache"})
            if answer.status_code == 200 and answer.json()["status"] in ("answered", "review", "failed"):
                return answer.json()
            assert time.monotonic() < until, f"not processed within 20 s: {answer.status_code} {answer.text}"
            time.sleep(0.1)

    return wait
