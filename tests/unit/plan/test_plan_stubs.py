"""Services in a vendor's place, as a plan writes them."""

import re

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.plan.services import ProxyService, Service, StubService, ports_of
from shakedown.plan.stubs import Forward, Route, RouteErrors, RouteLimit, RouteStream
from tests.conftest import ROOT

SERVICE: TypeAdapter = TypeAdapter(Service)
ROUTE = {"path": "/v1/chat"}


def service(**given):
    """A service of a plan."""
    return SERVICE.validate_python(given)


def route(**given):
    """A stub with one route."""
    return service(stub={"routes": [{**ROUTE, **given}]})


def test_a_stub_is_a_container_of_its_own():
    """It counts as a container for faults, has port http and a health of its own, and can have both given."""
    stub = route()
    assert isinstance(stub, StubService)
    assert (stub.kind, ports_of(stub), stub.health.tcp) == ("docker", {"http": 80}, "http")
    assert service(stub={"routes": [ROUTE]}, ports={"http": 8000}).ports == {"http": 8000}
    tls = {"certificate": "a.pem", "key": "b.pem"}
    assert service(stub={"routes": [ROUTE], "tls": tls}).ports == {"http": 443}
    assert isinstance(service(proxy={"to": "https://api.vendor.example/"}), ProxyService)


@pytest.mark.parametrize(
    "stub", [route(json={"a": [1, None]}, stream={}), service(proxy={"to": "http://llm:8000", "allow": True})]
)
def test_what_was_loaded_loads_again(stub):
    """A service written out and read in is the same, by alias and by name."""
    assert SERVICE.validate_python(stub.model_dump()) == stub
    assert SERVICE.validate_python(stub.model_dump(mode="json", by_alias=True)) == stub


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"path": "chat"}, "pattern"),
        ({"path": "/a?b=c"}, "pattern"),
        ({"path": "/-/stats"}, "the stub's own"),
        ({"status": 199}, "greater than or equal to 200"),
        ({"methods": ["post"]}, "pattern"),
        ({"json": {}, "body": ""}, "one of"),
        ({"headers": {"content-length": "1"}}, "own affair"),
        ({"headers": {"a b": "1"}}, "no name of a header"),
        ({"headers": {"a": "1\r\nb: 2"}}, "line break"),
        ({"json": {"a": ["{{ request.jsn.a }}"]}}, "request.jsn.a"),
        ({"body": "{{ token }}"}, "unknown here"),
        ({"body": "{{ __import__('os') }}"}, "unknown here"),
        ({"rate_limit": {"calls": 0}}, "calls"),
        ({"errors": {"share": 0}}, "share"),
        ({"latency": "1h"}, "600"),
        ({"stream": {"tokens": 0}}, "tokens"),
        ({"stream": {"event": {"a": "{{ tokn }}"}}}, "tokn"),
        ({"stream": {"name": "a\nb"}}, "pattern"),
    ],
)
def test_routes_have_limits(given, match):
    """What no route can be is refused, with the reason."""
    with pytest.raises(ValidationError, match=match):
        route(**given)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"stub": {"routes": []}}, "at least 1"),
        ({"stub": {"routes": [ROUTE, ROUTE]}}, "there twice"),
        ({"stub": {"routes": [ROUTE]}, "image": "x"}, "its own program"),
        ({"stub": {"routes": [ROUTE]}, "ports": {"web": 80}}, "one port"),
        ({"proxy": {"to": "api.vendor.example"}}, "no address of a server"),
        ({"proxy": {"to": "https://api.vendor.example/v1"}}, "without a path"),
        ({"proxy": {"to": "https://user:secret@api.vendor.example"}}, "no address of a server"),
        ({"image": "x", "aliases": ["a b"]}, "pattern"),
    ],
)
def test_services_have_limits(given, match):
    """What no such service can be is refused, with the reason."""
    with pytest.raises(ValidationError, match=match):
        service(**given)


def problems(tmp_path, services) -> list[str]:
    """What is wrong with a plan of these services."""
    plan = {
        "version": 1, "name": "test", "services": services,
        "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                            "http": {"target": "llm.http", "requests": [{"name": "r", "get": "/"}]}}},
        "stages": {"baseline": {"scenarios": ["s"]}},
    }  # fmt: skip
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    try:
        load_plan(path, environ={})
    except PlanError as error:
        return [str(problem) for problem in error.problems]
    return []


STUB = {"stub": {"routes": [ROUTE]}}


@pytest.mark.parametrize(
    ("proxy", "wrong"),
    [
        ({"to": "https://api.vendor.example"}, "not on this machine"),
        ({"to": "https://api.vendor.example", "allow": True}, None),
        ({"to": "http://llm"}, None),
        ({"to": "http://llm:81"}, "has no port 81"),
        ({"to": "http://127.0.0.1:9000", "allow": True}, "is that container"),
        ({"to": "http://way"}, "the proxy itself"),
        ({"to": "http://llm", "ca": "none.pem"}, "no such file: none.pem"),
    ],
)
def test_calls_go_outside_only_if_they_may(tmp_path, proxy, wrong):
    """To another service of the plan without a word; to anybody else only with `allow`; to itself never."""
    found = problems(tmp_path, {"llm": STUB, "way": {"proxy": proxy}})
    assert len(found) == (wrong is not None), found
    assert wrong is None or wrong in found[0]


def test_files_must_be_there(tmp_path):
    """A body, a certificate and a key that are not there are problems of the plan, each in its place."""
    stub = {"routes": [{**ROUTE, "file": "a.bin"}], "tls": {"certificate": "c.pem", "key": "k.pem"}}
    found = problems(tmp_path, {"llm": {"stub": stub}})
    assert [name for name in ("a.bin", "c.pem", "k.pem") if any(name in text for text in found)] == [
        "a.bin",
        "c.pem",
        "k.pem",
    ]


EXAMPLES = re.findall(
    r"<!-- example: services -->\n```yaml\n(.*?)```",
    (ROOT / "docs" / "stubs.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_documentations_examples_load(tmp_path, example):
    """Each example of docs/stubs.md is a part of a plan without a problem."""
    (tmp_path / "answer.bin").write_bytes(b"x")
    assert problems(tmp_path, yaml.safe_load(example)) == []


def test_every_key_is_documented():
    """docs/stubs.md names each key of routes and streams."""
    page = (ROOT / "docs" / "stubs.md").read_text(encoding="utf-8")
    names = {
        field.alias or name
        for kind in (Route, RouteStream, RouteLimit, RouteErrors, Forward)
        for name, field in kind.model_fields.items()
    }
    assert {name for name in names if f"`{name}" not in page and f"{name}:" not in page} == set()
