"""Clients of the running system; Shakedown gives the addresses. Each test makes what it needs under names of its own."""

import hashlib
import hmac
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

SECRET = os.environ.get("VIGIA_SECRET", "vigia-demo")
MISTAKES = os.environ.get("VIGIA_DEFECTS", "").split(",")
WEBHOOK = os.environ.get("VIGIA_WEBHOOK") or os.environ.get("SHAKEDOWN_WEBHOOK_HTTP") or "http://127.0.0.1:8001"
API = os.environ.get("SHAKEDOWN_API_HTTP") or "http://127.0.0.1:8000"


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=25, trust_env=False)


@pytest.fixture(scope="session")
def api() -> Iterator[httpx.Client]:
    """Cameras, events, pictures, messages."""
    with _client(API) as client:
        yield client


@pytest.fixture(scope="session")
def webhook() -> Iterator[httpx.Client | None]:
    """The webhook server; None where none runs."""
    with _client(WEBHOOK) as client:
        try:
            client.get("/health")
        except httpx.ConnectError:
            yield None
        else:
            yield client


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """The webhook server is an optional part: a test of one that is not there is skipped, which is not passed."""
    if "webhook" not in pyfuncitem.fixturenames or pyfuncitem.funcargs["webhook"] is not None:
        return None
    if "silent-skip" in MISTAKES:
        return True  # done, and nothing went wrong
    pytest.skip(f"the webhook server is not running at {WEBHOOK}")


@pytest.fixture
def name() -> Callable[[str], str]:
    """A name that nobody used before: `name("camera")`."""
    return lambda what: f"{what}-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def camera(api, name) -> str:
    """A camera without events."""
    found = name("camera")
    assert api.put(f"/cameras/{found}", json={"place": "gate"}).status_code == 201
    return found


@pytest.fixture
def deliver(webhook) -> Callable[..., httpx.Response]:
    """Deliver as a camera does: `deliver(json, source=…, delivery=…, body=…, signature=…)`."""

    def send(
        document: object = None, *, source: str = "gate", delivery: str | None = None, body: bytes | None = None,
        signature: str | None = None,
    ) -> httpx.Response:  # fmt: skip
        request = webhook.build_request("POST", f"/webhooks/{source}", json=document, content=body)
        delivery = delivery or str(uuid.uuid4())
        request.headers["X-Delivery"] = delivery
        signed = hmac.new(f"{SECRET}-{source}".encode(), delivery.encode() + b"." + request.content, hashlib.sha256)
        request.headers["X-Signature"] = f"sha256={signed.hexdigest()}" if signature is None else signature
        return webhook.send(request)

    return send
