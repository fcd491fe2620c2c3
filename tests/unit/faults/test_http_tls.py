"""TLS that ends in the proxy: what is wrong with the files is said beforehand; what a client says first is read."""

import datetime as dt
import re
import ssl
from pathlib import Path

import pytest
import trustme
import yaml
from pydantic import TypeAdapter

from shakedown.errors import PlanError
from shakedown.faults.http.tls import tls_of, tls_problem
from shakedown.plan import load_plan
from shakedown.plan.faults import FaultPlan
from shakedown.plan.faults.http import HttpStatus
from shakedown.plan.faults.tls import Tls
from shakedown.plan.services import StubService
from tests.unit.faults.http_agent import agent_module

tls = agent_module("tls")
LONG_AGO, NEVER = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2001, 2090))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pairs that fit, that do not, that are too old and too new; and what is none."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    dates = {"a": {}, "b": {}, "old": {"not_before": LONG_AGO, "not_after": LONG_AGO + dt.timedelta(1)},
             "new": {"not_before": NEVER, "not_after": NEVER + dt.timedelta(1)}}  # fmt: skip
    for name, given in dates.items():
        issued = authority.issue_cert("web", **given)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "none").write_text("no PEM")
    (folder / "locked.key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    return folder


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"ca": "ca.pem"}, []),
        ({"certificate": "gone.pem"}, ["no such file: gone.pem"]),
        ({"key": "b.key"}, ["b.key: does not belong to the certificate a.pem"]),
        ({"certificate": "old.pem", "key": "old.key"}, ["old.pem: has expired"]),
        ({"certificate": "new.pem", "key": "new.key"}, ["new.pem: is not valid yet"]),
        ({"certificate": "none"}, ["none: holds no certificate in PEM"]),
        ({"key": "none"}, ["none: holds no private key in PEM"]),
        ({"key": "locked.key"}, ["locked.key: is protected by a passphrase"]),
        ({"ca": "none"}, ["none: holds no certificates in PEM: no start line: cadata does not contain a certificate"]),
        ({"ca": "gone.pem"}, ["no such file: gone.pem"]),
    ],
)
def test_files(files, given, words):
    """Each thing that can be wrong with the files is one clear sentence."""
    found = Tls.model_validate({"certificate": "a.pem", "key": "a.key", **given}).problems(files)
    assert [message for _, message, _ in found] == words


def test_a_plan_with_such_a_file_is_not_loaded(files, tmp_path):
    """The error names the place in the plan, before anything starts."""
    path = tmp_path / "plan.yaml"
    path.write_text(f"""
version: 1
name: t
services: {{web: {{image: x, ports: {{http: 80}}}}}}
scenarios: {{s: {{executor: {{type: constant-vus, vus: 1, duration: 1s}}, http: {{target: web.http, requests: [{{name: r, get: /}}]}}}}}}
stages:
  faults:
    load: s
    experiments:
      - name: e
        fault: {{type: http-status, target: web, status: 503, tls: {{certificate: {files}/old.pem, key: {files}/old.key}}}}
        hold: 1s
        recover_within: 5s
""")
    with pytest.raises(PlanError) as raised:
        load_plan(path, environ={})
    told = f"{raised.value} {raised.value.details}"
    assert "old.pem: has expired" in told
    assert "tls.certificate" in told


def hello(name="web.test", protocols=("h2", "http/1.1")) -> bytes:
    """What a real client says first."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake message in records of so many bytes."""
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(data[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_a_clients_first_words():
    """Name and protocols are read from a whole one, in one record or many; of a part nothing is said."""
    said = hello()
    for data in (said, in_records(said, 50)):
        found = tls.read_hello(data)
        assert (found.name, found.protocols) == ("web.test", ["h2", "http/1.1"])
        assert all(tls.read_hello(data[:length]) is None for length in range(1, len(data)))
    bare = tls.read_hello(hello("127.0.0.1", ()))
    assert (bare.name, bare.protocols) == ("", None)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16GET", b"\x17\x03\x03\x00\x01x", b"\x16\x03\x01\x00\x04\x02abc",
                                  b"\x16\x03\x01\x00\x05\x01\x00\x00\x01x", b"\x16\x03\x01" + b"\xff" * 70000])  # fmt: skip
def test_what_is_none(data):
    """HTTP, another record, another message, one that contradicts itself, one without an end: none of TLS's first words."""
    assert tls.read_hello(data) is False


def test_the_documents_example():
    """Every fault that docs/proxy.md shows is one."""
    page = (Path(__file__).parents[3] / "docs" / "proxy.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\nfault:\n(.+?)```", page, re.DOTALL)
    assert len(shown) == 2
    for text in shown:
        TypeAdapter(FaultPlan).validate_python(yaml.safe_load(text))


def test_stand_ins_bring_their_own(files):
    """A stub with a certificate needs no `tls`; what the fault says counts more; two of them are no choice."""
    plan = type("Plan", (), {})()
    stub = StubService.model_validate(
        {"stub": {"routes": [{"path": "/"}], "tls": {"certificate": "a.pem", "key": "a.key"}}}
    )
    plan.services = {"llm": stub, "pay": stub}
    given, names = tls_of(HttpStatus(target="llm", status=500), plan)
    assert (given.certificate, given.ca, names) == ("a.pem", "a.pem", False)
    assert tls_of(HttpStatus(target="api", status=500, direction="out", peers=["llm"]), plan)[0].key == "a.key"
    assert tls_of(HttpStatus(target="api", status=500, direction="out", peers=["llm", "pay"]), plan) is None
    own = Tls(certificate="b.pem", key="b.key")
    assert tls_of(HttpStatus(target="llm", status=500, tls=own), plan) == (own, True)


def test_what_does_not_count():
    """Whoever was cut off by certificates was not disturbed by the fault."""
    fine = {"ended": 3, "failed": {}, "refused": {}}
    assert tls_problem(None) is None
    assert tls_problem(fine) is None
    assert tls_problem({**fine, "failed": {"expired": 2}}) == "2 connections to the service failed: expired"
    assert "1 clients did not accept" in tls_problem({**fine, "refused": {"unknown ca": 1}})
