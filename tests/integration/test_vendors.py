"""Stubs and proxies in a vendor's place, called by real clients on this machine and in containers."""

import json
import socket
import time

import httpx
import pytest
import trustme

from shakedown.plan.faults.http import HttpStatus
from shakedown.plan.faults.network import NetworkLatency
from shakedown.plan.faults.service import ServicePause
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration

CHAT = {
    "path": "/v1/chat/completions", "methods": ["POST"], "latency": "50ms", "headers": {"x-request-id": "{{ uuid() }}"},
    "json": {"model": "{{ request.json.model }}", "choices": [{"message": {"content": "you said {{ request.json.messages.0.content }}"}}]},
    "stream": {"text": "one two three", "first_after": "100ms", "interval": "50ms"},
}  # fmt: skip
STUB = {
    "stub": {
        "seed": 7,
        "routes": [
            CHAT,
            {"path": "/limited", "json": {"ok": True}, "rate_limit": {"calls": 3, "per": "60s", "retry_after": "2s"}},
            {"path": "/flaky", "body": "fine", "errors": {"share": "30%", "status": 503, "retry_after": "1s"}},
            {"path": "/files/*", "file": "answer.bin", "headers": {"content-type": "image/png"}},
            {"path": "/none/**", "status": 204},
        ],
    }
}
ASK_INSIDE = """
import json, sys, urllib.request
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", json.dumps({"model": "m", "stream": True}).encode())
with urllib.request.urlopen(request, timeout=5) as answer: print(answer.read().decode())
"""
SAID = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def vendors(make_system, python_image, tmp_path):
    """A stub, a proxy before it, and a caller."""
    (tmp_path / "answer.bin").write_bytes(bytes(range(256)))
    return make_system({
        "llm": {**STUB, "aliases": ["api.vendor.test"]},
        "way": {"proxy": {"to": "http://llm"}, "ports": {"http": 8080}, "depends_on": ["llm"]},
        "app": {"image": python_image, "entrypoint": ["sleep", "600"], "environment": {"LLM_URL": "http://way:8080"}},
    })  # fmt: skip


def client(system, name="llm") -> httpx.Client:
    """A client on this machine."""
    return httpx.Client(base_url=system.address(f"{name}.http").url, trust_env=False, timeout=10)


def stats(system, name="llm") -> dict:
    """What the stub or proxy counted."""
    with client(system, name) as http:
        return http.get("/-/stats").json()


def test_answers(vendors):
    """Routes answer as the plan says, with what the call said filled in, and are counted; others get 404 and are counted too."""
    with client(vendors) as http:
        begun = time.monotonic()
        answer = http.post("/v1/chat/completions", json=SAID)
        took = time.monotonic() - begun
        picture = http.get("/files/a.png")
        assert http.get("/none/at/all").status_code == 204
        assert http.get("/v1/chat/completions").status_code == 404
        assert http.head("/files/a.png").headers["content-length"] == "256"
    assert answer.json() == {"model": "m-1", "choices": [{"message": {"content": "you said hi"}}]}
    assert len(answer.headers["x-request-id"]) == 36
    assert took >= 0.05
    assert (picture.content, picture.headers["content-type"]) == (bytes(range(256)), "image/png")
    counted = stats(vendors)
    assert counted["routes"]["POST /v1/chat/completions"] == {
        "calls": 1, "statuses": {"200": 1}, "streamed": 0, "unfinished": 0,
    }  # fmt: skip
    assert counted["routes"]["/none/**"]["statuses"] == {"204": 1}
    assert counted["no_route"] == {"GET /v1/chat/completions": 1}
    with client(vendors) as http:
        assert 'stub_calls{route="POST /v1/chat/completions",status="200"} 1' in http.get("/-/metrics").text


def test_tokens_come_one_by_one(vendors):
    """Asked for a stream, the answer is server-sent events over time, ended as language models end theirs."""
    arrived, events = [], []
    with client(vendors) as http, http.stream("POST", "/v1/chat/completions", json={**SAID, "stream": True}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line:
                arrived.append(time.monotonic())
                events.append(line.removeprefix("data: "))
    assert events[-1] == "[DONE]"
    said = [json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1]]
    assert said == ["one", " two", " three"]
    assert arrived[2] - arrived[0] >= 0.08
    assert stats(vendors)["routes"]["POST /v1/chat/completions"]["streamed"] == 1


def test_too_many_calls(vendors):
    """Beyond the limit: 429 with Retry-After."""
    with client(vendors) as http:
        answers = [http.get("/limited") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "2"


def test_errors_follow_from_the_seed(make_system, vendors):
    """About the asked share fails, with Retry-After, and the same calls fail in every run."""
    with client(vendors) as http:
        first = [http.get("/flaky").status_code for _ in range(100)]
        assert http.get("/flaky").headers.get("retry-after", "1") == "1"
    assert 15 <= first.count(503) <= 45
    vendors.runner("llm").container().restart(timeout=1)
    with client(vendors) as http:
        for _ in range(100):
            try:
                http.get("/-/health")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        assert [http.get("/flaky").status_code for _ in range(100)] == first


@pytest.mark.parametrize("url", ["http://llm", "http://api.vendor.test", "http://way:8080"])
def test_from_inside(vendors, url):
    """Other services reach it by its name, by its aliases, and through the proxy."""
    status, output = vendors.runner("app").run_inside(["python3", "-c", ASK_INSIDE, url])
    assert status == 0, output
    assert "three" in output
    assert "[DONE]" in output
    assert stats(vendors)["calls"] == 1


def test_through_the_proxy(vendors):
    """The proxy hands calls on and answers back as they come, keeps connections, and counts on its own."""
    arrived: list[float] = []
    with client(vendors, "way") as http:
        assert http.post("/v1/chat/completions?a=b", json=SAID).json()["model"] == "m-1"
        assert http.get("/files/x").content == bytes(range(256))
        assert http.head("/files/x").headers["content-length"] == "256"
        assert http.get("/none/x").status_code == 204
        with http.stream("POST", "/v1/chat/completions", json={**SAID, "stream": True}) as answer:
            arrived += [time.monotonic() for line in answer.iter_lines() if line]
        assert http.get("/nowhere").status_code == 404
    assert len(arrived) == 4
    assert arrived[2] - arrived[0] >= 0.08
    assert stats(vendors)["calls"] == 5
    assert stats(vendors, "way")["routes"]["POST /v1/chat/completions"]["statuses"] == {"200": 2}


def test_the_other_side_is_gone(vendors):
    """A proxy without its other side answers 502, and works again when that is back."""
    with client(vendors, "way") as http:
        assert http.get("/none/x").status_code == 204
        vendors.runner("llm").container().stop(timeout=1)
        answer = http.get("/none/x")
        assert answer.status_code == 502
        assert answer.json()["error"]["type"] == "proxy"
        vendors.runner("llm").container().start()
        for _ in range(50):
            if http.get("/none/x").status_code == 204:
                break
            time.sleep(0.1)
        assert http.get("/none/x").status_code == 204


def test_faults_act_on_them(vendors):
    """They are containers as others: faults of the network and of the service work on them, and are proved."""

    def during():
        begun = time.monotonic()
        with client(vendors) as http:
            http.get("/none/x")
        return time.monotonic() - begun

    record, [took] = inject(vendors, NetworkLatency(target="llm", latency=0.3), during=during)
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held
    assert took >= 0.3
    record, _ = inject(vendors, ServicePause(target="way"))
    assert record.effect.held, record.effect
    assert record.gone.held


def test_http_faults_act_on_a_proxy(vendors):
    """What a vendor's outage looks like: 429 with Retry-After from the proxy's place, while the other side hears nothing."""

    def during():
        with client(vendors, "way") as http:
            return http.get("/none/x")

    plan = HttpStatus(target="way", status=429, answer_headers={"Retry-After": "3"})
    record, [answer] = inject(vendors, plan, during=during)
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert record.gone.held
    assert stats(vendors)["calls"] == 0
    assert during().status_code == 204


def test_tls(make_system, tmp_path):
    """A stub with a certificate, a proxy that checks it against the plan's authority, and one that trusts another."""
    authority = trustme.CA()
    own = authority.issue_cert("api.vendor.test")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    stub = {"routes": [{"path": "/a", "body": "secret"}], "tls": {"certificate": "cert.pem", "key": "key.pem"}}
    system = make_system({
        "llm": {"stub": stub, "aliases": ["api.vendor.test"]},
        "way": {"proxy": {"to": "https://api.vendor.test", "ca": "ca.pem"}, "depends_on": ["llm"]},
        "wary": {"proxy": {"to": "https://api.vendor.test", "ca": "other.pem"}, "depends_on": ["llm"]},
    })  # fmt: skip
    with client(system, "way") as http:
        assert http.get("/a").text == "secret"
        assert http.post("/a", content=b"x").text == "secret"
    with client(system, "wary") as http:
        answer = http.get("/a")
    assert answer.status_code == 502
    assert "CERTIFICATE_VERIFY_FAILED" in answer.json()["error"]["message"]


def test_a_caller_that_asks_before_it_sends(vendors):
    """`Expect: 100-continue` is told to go on."""
    address = vendors.address("llm.http")
    with socket.create_connection((address.host, address.port), timeout=5) as raw:
        raw.sendall(b"POST /none/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"ab")
        assert raw.recv(1000).startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("rubbish", [b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n"])
def test_rubbish(vendors, rubbish):
    """What is no HTTP is told so; the next caller is served."""
    address = vendors.address("llm.http")
    with socket.create_connection((address.host, address.port), timeout=5) as raw:
        raw.sendall(rubbish)
        raw.settimeout(5)
        assert b" 400 " in raw.recv(1000)
    with client(vendors) as http:
        assert http.get("/none/x").status_code == 204
