"""HTTP/2 and proxies: the requests of the HTTP/1.1 driver, sent by httpx, against real servers."""

import pytest
import trustme

from shakedown.ledgers.entries import read_entries
from shakedown.records.load import Outcome
from shakedown.services.ports import free_port
from tests.integration.driver_loads import ended, kinds, run, server, times, times_each
from tests.integration.test_load import server as http_server

pytestmark = pytest.mark.integration


def http(*requests, **changes) -> dict:
    return {"target": "a.http", "requests": list(requests), **changes}


SECOND = {"http_version": 2}


def test_sessions_over_http_2(tmp_path):
    """Bodies, redirects, cookies, values taken from one answer for the next, and checks work as over HTTP/1.1."""
    requests = [
        {"name": "login", "post": "/login", "json": {"id": "{{ uuid() }}"}, "ledger": "w",
         "checks": ["status == 200", 'json.path == "/home"', 'json.method == "GET"'], "extract": {"place": "json.path"}},
        {"name": "next", "get": "/next?from={{ place }}", "checks": ['json.path == "/next?from=/home"', 'json.cookie == "who=me"']},
        {"name": "lost", "get": "/missing", "checks": ["status == 404"]},
    ]  # fmt: skip
    with server("http2") as port:
        result = run(tmp_path, times_each(3, 10), port, http=http(*requests, redirects=3), via=SECOND)
    assert result.errors == []
    assert ended(result) == {(request["name"], "ok"): 30 for request in requests}
    assert len({entry.key for entry in read_entries(tmp_path / "ledgers" / "w")}) == 30
    assert sum(bucket.bytes_received for bucket in result.buckets.values()) > 30 * 100


@pytest.mark.parametrize(
    ("request_", "outcome", "kind"),
    [
        ({"get": "/missing"}, "failed", "status"),
        ({"get": "/", "checks": ["json.path == 3"]}, "failed", "check"),
        ({"get": "/silence", "timeout": "1s"}, "timed_out", "timeout-first-byte"),
        ({"get": "/away"}, "failed", "closed"),
    ],
)
def test_wrong_answers_over_http_2(tmp_path, request_, outcome, kind):
    """Each wrong answer is one error of the same kind as over HTTP/1.1; a time-out counts with its limit."""
    with server("http2") as port:
        result = run(tmp_path, times_each(2, 3), port, http=http({"name": "r", **request_}), via=SECOND)
    assert ended(result) == {("r", outcome): 6}
    # A server that closes while we write is met as closed or as reset, by who is the quicker.
    allowed = {"closed", "reset"} if kind == "closed" else {kind}
    assert {error.kind for error in result.errors} <= allowed
    assert sum(error.count for error in result.errors) == 6
    if outcome == "timed_out":
        assert times(result, "r", Outcome.TIMED_OUT).min >= 1


def test_nobody_speaks_http_2(tmp_path):
    """A refused connection, and a server of HTTP/1.1 alone, never look like answers."""
    refused = run(tmp_path, times_each(2, 2), free_port(), http=http({"name": "r", "get": "/"}), via=SECOND)
    assert kinds(refused) == {("r", "refused"): 4}
    with http_server() as (port, _):
        first = run(tmp_path, times_each(1, 2), port, http=http({"name": "r", "get": "/", "timeout": "2s"}), via=SECOND)
    assert first.counts.ok == 0
    assert first.counts.started == 2


def test_through_a_proxy(tmp_path):
    """Requests go through the proxy and nowhere else; with none there, they fail."""
    seen = http(
        {"name": "r", "get": "/", "checks": ["status == 200", 'header.via contains "proxy"', 'body contains "ok"']}
    )
    with http_server() as (port, _), server("proxy") as proxy:
        result = run(tmp_path, times_each(2, 5), port, http=seen, via={"proxy": f"http://127.0.0.1:{proxy}"})
        lost = run(tmp_path, times_each(2, 2), port, http=seen, via={"proxy": f"http://127.0.0.1:{free_port()}"})
    assert ended(result) == {("r", "ok"): 10}
    assert lost.counts.failed == 4
    assert set(kinds(lost)) <= {("r", "refused"), ("r", "proxy")}


@pytest.mark.parametrize(("shown", "let_in"), [("ours.client", True), ("strange.client", False), (None, False)])
def test_client_certificates_over_http_2(tmp_path, shown, let_in):
    """The service knows its clients by their certificates: ours is let in, a stranger's and none at all are not."""
    for who in ("ours", "strange"):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / f"{who}.ca")
        for name, host in (("server", "127.0.0.1"), ("client", "tester@example.org")):
            authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{who}.{name}")
    tls = {"ca": str(tmp_path / "ours.ca"), **({"certificate": str(tmp_path / shown)} if shown else {})}
    with server("http2", str(tmp_path / "ours.server"), str(tmp_path / "ours.ca")) as port:
        result = run(
            tmp_path, times_each(2, 3), port, tls=True, via=SECOND,
            http=http({"name": "r", "get": "/", "checks": ["status == 200"]}, tls=tls),
        )  # fmt: skip
    assert result.counts.requests == 6
    assert result.counts.ok == (6 if let_in else 0)
