"""HTTP faults on connections that speak TLS, which ends in the proxy with a certificate of the plan's."""

import http.client
import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
import trustme

from shakedown.faults import build_fault
from shakedown.faults.http.tls import tls_problem
from shakedown.plan.faults.http import HttpBody, HttpDelay, HttpStatus, HttpTruncate
from shakedown.services.foreground import ProxyOrders, proxy_command
from shakedown.services.ports import free_port
from tests.integration.faults.harness import inject
from tests.integration.faults.web import BODY, PROGRAM

pytestmark = pytest.mark.integration

# The same service in TLS; it takes HTTP/1.1 alone, and certificate and key from its environment.
SECURE = PROGRAM.replace(
    'Server(("", 8000), Handler).serve_forever()',
    """
import os, ssl
open("/tmp/pair.pem", "w").write(os.environ["PAIR"])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/pair.pem")
context.set_alpn_protocols(["http/1.1"])
server = Server(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
import threading
threading.Thread(target=Server(("", 8000), Handler).serve_forever).start()
server.serve_forever()
""",
)
TLS = {"certificate": "shown.pem", "key": "shown.key", "ca": "service-ca.pem"}


class Authority:
    """An authority of the tests."""

    def __init__(self, folder: Path, name: str):
        self.own = trustme.CA()
        self.folder, self.name = folder, name
        self.own.cert_pem.write_to_path(folder / f"{name}-ca.pem")

    def issue(self, file: str, *names: str) -> str:
        issued = self.own.issue_cert(*names)
        issued.private_key_pem.write_to_path(self.folder / f"{file}.key")
        issued.cert_chain_pems[0].write_to_path(self.folder / f"{file}.pem")
        return (issued.cert_chain_pems[0].bytes() + issued.private_key_pem.bytes()).decode()

    def trusted(self, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.own.cert_pem.bytes().decode())
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


@pytest.fixture
def authorities(tmp_path):
    """One that clients trust, with a certificate for the plan; one that vouches for the service behind; a stranger."""
    clients, service = Authority(tmp_path, "client"), Authority(tmp_path, "service")
    clients.issue("shown", "web.test", "127.0.0.1")
    Authority(tmp_path, "other")
    return clients, service


class Session(http.client.HTTPSConnection):
    """A client that calls `web.test` at whatever address it is, and checks its certificate."""

    def __init__(self, address, trusting: ssl.SSLContext):
        super().__init__("web.test", address.port, timeout=5, context=trusting)
        self.address = (address.host, address.port)

    def connect(self):
        self.sock = self._context.wrap_socket(
            socket.create_connection(self.address, timeout=5), server_hostname="web.test"
        )

    def ask(self, method: str, path: str, body: bytes | None = None):
        """The status and body, or the error's name; a connection that was reset is made anew next time."""
        try:
            self.request(method, path, body)
            answer = self.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return type(error).__name__


def test_on_a_container(make_system, python_image, tmp_path, authorities):
    """Status, delay and truncate are held on verifying clients' TLS; clear connections feel them too; then all is as before."""
    clients, service = authorities
    pair = service.issue("own", "web.test")
    system = make_system({"web": {
        "image": python_image, "entrypoint": ["python3", "-u", "-c", SECURE], "environment": {"PAIR": pair},
        "ports": {"tls": 8443, "http": 8000}, "health": {"tcp": "tls", "within": "60s"}}})  # fmt: skip

    def under(plan, ask):
        def during():
            session = Session(system.address("web.tls"), clients.trusted())
            return [ask(session) for _ in range(3)], session.sock and session.sock.version()

        record, found = inject(system, plan, 2.0, during)
        assert record.error is None, record.error
        assert record.gone.held, record.gone
        return record, found[0]

    record, (answers, version) = under(
        HttpStatus(target="web", status=503, body="no", path="/stats", tls=TLS), lambda one: one.ask("GET", "/stats")
    )
    assert answers == [(503, b"no")] * 3
    assert version == "TLSv1.3"
    assert record.effect.held, record.effect
    assert "TLS ended in the proxy on 1 connections (TLSv1.3: 1)" in record.effect.evidence
    assert "TLS ends in the proxy" in record.mechanism

    def timed(session):
        begun = time.monotonic()
        assert session.ask("GET", "/stats") == (200, BODY)
        return time.monotonic() - begun

    record, (answers, _) = under(HttpDelay(target="web", delay=0.3, path="/stats", tls=TLS), timed)
    assert min(answers) >= 0.3
    assert record.effect.held, record.effect
    record, (answers, _) = under(
        HttpTruncate(target="web", path="/stats", tls=TLS), lambda one: one.ask("GET", "/stats")
    )
    assert answers == ["IncompleteRead"] * 3  # and no error of TLS: it said goodbye
    assert record.effect.held, record.effect

    def in_clear(_):
        with httpx.Client(base_url=system.address("web.http").url, trust_env=False) as session:
            return session.get("/stats").status_code

    record, (answers, _) = under(HttpStatus(target="web", status=503, tls=TLS), in_clear)
    assert answers == [503] * 3
    assert " connections without TLS" in record.effect.evidence
    # Nothing of it is left: the service's own certificate is shown again, which these clients do not know.
    assert Session(system.address("web.tls"), clients.trusted()).ask("GET", "/stats") == "SSLCertVerificationError"
    assert Session(system.address("web.tls"), service.trusted()).ask("GET", "/stats") == (200, BODY)
    wrong = HttpStatus(target="web", status=503, tls={**TLS, "ca": "other-ca.pem"})
    record, _ = inject(system, wrong, 1.0)
    assert record.refused.startswith("the certificate that `web` shows at port 8443 is not accepted: ")
    assert "self-signed" in record.refused or "unable to get" in record.refused
    key = "".join((tmp_path / "shown.key").read_text().splitlines()[1:3])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".key")
    assert key.encode() not in written.replace(b"\n", b"").replace(b"\\n", b"")


def test_on_a_stand_in(make_system, authorities):
    """A stub with a certificate needs no other: the fault shows the stub's own, and its clients notice nothing of TLS."""
    authorities[1].issue("own", "web.test")
    stub = {"routes": [{"path": "/stats", "body": "0"}], "tls": {"certificate": "own.pem", "key": "own.key"}}
    system = make_system({"llm": {"stub": stub}})
    assert system.environment()["SHAKEDOWN_LLM_HTTP"].startswith("https://127.0.0.1:")
    assert system.inner_environment()["SHAKEDOWN_LLM_HTTP"] == "https://llm:443"

    def during():
        return Session(system.address("llm.http"), authorities[1].trusted()).ask("GET", "/stats")

    record, found = inject(system, HttpStatus(target="llm", status=429), 2.0, during)
    assert found[0][0] == 429
    assert record.effect.held, record.effect
    assert during() == (200, b"0")


class Server:
    """A service in TLS on this machine, a thread for each connection."""

    def __init__(self, context: ssl.SSLContext, speak):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context, self.speak, self.names = context, speak, []
        context.sni_callback = lambda _, name, __: self.names.append(name)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(raw,), daemon=True).start()

    def one(self, raw):
        try:
            with raw, self.context.wrap_socket(raw, server_side=True) as session:
                self.speak(session)
        except OSError:
            return


LARGE = bytes(range(256)) * 8192  # 2 MiB


def answer(session: ssl.SSLSocket) -> None:
    """/stats: the usual; /large: 2 MiB; /ragged: a body that ends with the connection, without a goodbye."""
    taken = session.makefile("rb")
    while line := taken.readline():
        while taken.readline().strip():
            pass
        path = line.split()[1]
        if path == b"/ragged":
            session.sendall(b"HTTP/1.1 200 OK\r\n\r\n01234")
            os.close(session.detach())  # says nothing in TLS
            return
        body = LARGE if path == b"/large" else BODY
        session.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Alone:
    """The proxy by itself before such a server."""

    def __init__(self, folder: Path, server: Server):
        self.folder, self.port = folder, free_port()
        self.process = subprocess.Popen(
            proxy_command([(f"127.0.0.1:{self.port}", f"127.0.0.1:{server.port}")]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
        )  # fmt: skip
        self.orders = ProxyOrders(self.process, "the proxy")
        self.orders.ask("hello")
        self.tags: list[str] = []

    @property
    def host(self) -> str:
        return "127.0.0.1"

    def begin(self, plan, monkeypatch):
        monkeypatch.chdir(self.folder)
        fault = build_fault(plan, None)
        kind, order = fault.order_in_front(1)
        self.tags.append(f"shakedown:{len(self.tags)}")
        self.orders.ask("inject", kind=kind, tag=self.tags[-1], deadline=time.time() + 60, **order)
        return fault

    def told(self, fault, number: int = 0):
        """The evidence, and why it would not count."""
        stats = self.orders.ask("stats", tag=self.tags[number])
        return fault.met(stats), tls_problem(stats["tls"])


@pytest.fixture
def alone(tmp_path, authorities):
    """Start such a pair."""
    made: list[Alone] = []

    def make(change=lambda _: None, speak=answer) -> Alone:
        authorities[1].issue("own", "web.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "own.pem", tmp_path / "own.key")
        change(context)
        server = Server(context, speak)
        made.append(Alone(tmp_path, server))
        made[-1].server = server
        return made[-1]

    yield make
    for each in made:
        each.orders.end()
        assert each.process.wait(5) == 0
        each.server.listener.close()


def test_what_passes_through(alone, authorities, monkeypatch):
    """Keep-alive, large bodies and ends without a goodbye arrive as they were; the service is called by the client's name."""
    proxy = alone()
    fault = proxy.begin(HttpStatus(target="x", status=503, path="/none", tls=TLS), monkeypatch)
    session = Session(proxy, authorities[0].trusted())
    assert [session.ask("GET", path) for path in ("/stats", "/large", "/stats")] == [
        (200, BODY), (200, LARGE), (200, BODY)]  # fmt: skip
    assert session.sock.selected_alpn_protocol() == "http/1.1"
    assert proxy.server.names == ["web.test"]
    strict = authorities[0].trusted()
    with strict.wrap_socket(
        socket.create_connection((proxy.host, proxy.port), timeout=5), server_hostname="web.test",
        suppress_ragged_eofs=False,
    ) as raw:  # fmt: skip
        raw.sendall(b"GET /ragged HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while not got.endswith(b"01234"):
            got += raw.recv(1000)
        with pytest.raises(ssl.SSLEOFError):
            raw.recv(1000)
    assert proxy.told(fault)[1] is None


def test_a_connection_outlives_its_fault(alone, authorities, monkeypatch):
    """Taken back, the connection goes on in TLS and undisturbed; new ones meet the service's own certificate."""
    proxy = alone()
    proxy.begin(HttpStatus(target="x", status=503, tls=TLS), monkeypatch)
    proxy.begin(HttpBody(target="x", text="345", replacement="-", tls=TLS), monkeypatch)
    session = Session(proxy, authorities[0].trusted())
    assert session.ask("GET", "/stats")[0] == 503
    kept = session.sock
    proxy.orders.ask("revert", tag=proxy.tags[0])
    time.sleep(0.3)
    assert session.ask("GET", "/stats") == (200, b"012-6789")
    proxy.orders.ask("revert", tag=proxy.tags[1])
    time.sleep(0.3)
    assert session.ask("GET", "/stats") == (200, BODY)
    assert session.sock is kept
    assert Session(proxy, authorities[0].trusted()).ask("GET", "/stats") == "SSLCertVerificationError"
    assert Session(proxy, authorities[1].trusted()).ask("GET", "/stats") == (200, BODY)


def only(version: ssl.TLSVersion):
    def change(context):
        context.maximum_version = version

    return change


def test_an_old_version(alone, authorities, monkeypatch):
    """TLS 1.2 on both sides."""
    proxy = alone(only(ssl.TLSVersion.TLSv1_2))
    fault = proxy.begin(HttpStatus(target="x", status=503, tls=TLS), monkeypatch)
    trusting = authorities[0].trusted()
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    assert Session(proxy, trusting).ask("GET", "/stats")[0] == 503
    assert "TLSv1.2: 1" in proxy.told(fault)[0]


def test_who_offers_only_http_2_is_left_alone(alone, authorities, monkeypatch):
    """Such a client sees the service itself, and it is said; one that offers both is brought down to HTTP/1.1."""
    proxy = alone(lambda context: context.set_alpn_protocols(["h2", "http/1.1"]))
    fault = proxy.begin(HttpStatus(target="x", status=503, tls=TLS), monkeypatch)
    with (
        authorities[1]
        .trusted(("h2",))
        .wrap_socket(socket.create_connection((proxy.host, proxy.port), timeout=5), server_hostname="web.test") as raw
    ):
        assert raw.selected_alpn_protocol() == "h2"
    evidence, problem = proxy.told(fault)
    assert problem is None
    assert "1 connections of clients that offer only h2 left alone" in evidence
    session = Session(proxy, authorities[0].trusted(("h2", "http/1.1")))
    assert session.ask("GET", "/stats")[0] == 503


def needs_a_client_certificate(context):
    context.verify_mode = ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("tls", "change", "words"),
    [
        ({"ca": "other-ca.pem"}, lambda _: None, "certificate"),
        ({"server_name": "else.test"}, lambda _: None, "Hostname mismatch"),
        ({}, needs_a_client_certificate, "certificate required"),
    ],
)
def test_a_service_that_is_not_accepted(alone, authorities, monkeypatch, tls, change, words):
    """The wrong authority, the wrong name, a certificate of clients wanted: the client is cut off, and that does not count."""
    proxy = alone(change)
    fault = proxy.begin(HttpStatus(target="x", status=200, path="/none", tls={**TLS, **tls}), monkeypatch)
    outcome = Session(proxy, authorities[0].trusted()).ask("GET", "/stats")
    assert isinstance(outcome, str), outcome
    problem = proxy.told(fault)[1]
    assert problem.startswith("1 connections to the service failed: ")
    assert words in problem


def test_a_client_that_does_not_accept_ours(alone, authorities, monkeypatch):
    """A client that trusts another authority does not get through, and that does not count as the fault."""
    proxy = alone()
    fault = proxy.begin(HttpStatus(target="x", status=503, tls={**TLS, "ca": None, "verify": False}), monkeypatch)
    assert Session(proxy, authorities[1].trusted()).ask("GET", "/stats") == "SSLCertVerificationError"
    evidence, problem = proxy.told(fault)
    assert "1 clients did not accept the certificate given: " in problem
    assert "the service's certificate was not looked at" in evidence
