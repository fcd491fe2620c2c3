"""What a plan may say of DNS faults, which queries they take, and what goes together."""

import ipaddress
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter, ValidationError

from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.faults.dns import DnsNxdomain, DnsServfail, DnsSlow, DnsTimeout, DnsWrongAddress
from tests.unit.faults.http_agent import agent_module

dns = agent_module("dns")
wire = agent_module("dns_message")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("redis", "redis"), ("API.Vendor.test.", "api.vendor.test"), ("*.vendor.test", "*.vendor.test"),
     ("_http._tcp.web", "_http._tcp.web"), ("büro.test", "xn--bro-hoa.test"), ("*.büro.test", "*.xn--bro-hoa.test")],
)  # fmt: skip
def test_names(given, kept):
    """Names are kept as queries have them."""
    assert DnsNxdomain(target="web", names=[given]).names == [kept]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "a b",
        "a..b",
        "-a",
        "a.*.b",
        "http://a",
        "a:53",
        "x" * 64,
        "a." * 127 + "aa",
        "10.0.0.1",
        "::1",
        "*.*.a",
    ],
)
def test_no_names(name):
    """What is no name of a host is refused, with the value."""
    with pytest.raises(ValidationError, match=r"no name of a host|is an address"):
        DnsNxdomain(target="web", names=[name])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "169.254.169.254", "224.0.0.1", "fe80::1%eth0"])
def test_no_strangers_address(address):
    """The target's traffic is never sent to somebody outside."""
    with pytest.raises(ValidationError, match="may be somebody's"):
        DnsWrongAddress(target="web", names=["a"], address=address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.1.2.3", "127.0.0.1", "2001:db8::1", "::1"])
def test_addresses_of_nobody(address):
    """Documentation's, private and loopback addresses."""
    assert DnsWrongAddress(target="web", names=["a"], address=address).address == str(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("kind", "given", "match"),
    [
        (DnsSlow, {}, "latency"),
        (DnsSlow, {"latency": "0s"}, "greater than 0"),
        (DnsSlow, {"latency": "61s"}, "less than or equal to 60"),
        (DnsSlow, {"latency": "1s", "jitter": "2s"}, "more than `latency`"),
        (DnsTimeout, {"share": 0}, "greater than 0"),
        (DnsServfail, {"records": ["Z"]}, "AAAA"),
        (DnsWrongAddress, {}, "names"),
        (DnsWrongAddress, {"names": ["a"], "address": "nobody"}, "is no address"),
        (DnsWrongAddress, {"names": ["a"], "records": ["MX"]}, "have no address"),
        (DnsWrongAddress, {"names": ["a"], "ttl": "2h"}, "3600"),
    ],
)
def test_limits(kind, given, match):
    """Parameters have limits, and the error says which."""
    with pytest.raises(ValidationError, match=match):
        kind(target="web", **given)


def test_names_that_nobody_looks_up():
    """A container finds itself and localhost in its own /etc/hosts; a fault of these names could never take effect."""
    plan = SimpleNamespace(services={"web": SimpleNamespace(kind="docker"), "out": SimpleNamespace(kind="external")})
    problems = list(DnsNxdomain(target="web", names=["a", "web", "localhost"]).problems(plan))
    assert [where for where, _, _ in problems] == [("names", 1), ("names", 2)]
    assert "/etc/hosts" in problems[0][1]
    assert "works on `docker`" in next(DnsNxdomain(target="out").problems(plan))[1]


def test_a_plan_may_name_them():
    """Each is one of the plan's faults, by its type."""
    for kind in ("dns-nxdomain", "dns-servfail", "dns-timeout"):
        assert TypeAdapter(FaultPlan).validate_python({"type": kind, "target": "web"}).type == kind


@pytest.mark.parametrize(
    ("first", "second", "touch"),
    [
        (DnsNxdomain(target="web", names=["a"]), DnsServfail(target="web", names=["b"]), None),
        (DnsNxdomain(target="web", names=["a"]), DnsServfail(target="web", names=["b", "a"]), "web:dns:a"),
        (DnsNxdomain(target="web"), DnsServfail(target="web", names=["b"]), "web:dns:b"),
        (DnsNxdomain(target="web"), DnsSlow(target="web", latency=1), "web:dns"),
        (DnsNxdomain(target="web"), DnsNxdomain(target="api"), None),
        (
            DnsNxdomain(target="web", names=["*.v.test"]),
            DnsServfail(target="web", names=["a.v.test"]),
            "web:dns:a.v.test",
        ),
        (
            DnsNxdomain(target="web", names=["a.v.test"]),
            DnsServfail(target="web", names=["*.test"]),
            "web:dns:a.v.test",
        ),
        (
            DnsNxdomain(target="web", names=["*.test"]),
            DnsServfail(target="web", names=["*.v.test"]),
            "web:dns:*.v.test",
        ),
        (DnsNxdomain(target="web", names=["*.v.test"]), DnsServfail(target="web", names=["v.test", "a.w.test"]), None),
        (DnsNxdomain(target="web", names=["*.v.test"]), DnsServfail(target="api", names=["a.v.test"]), None),
    ],
)
def test_what_goes_together(first, second, touch):
    """Two faults cannot answer the same name of the same target, by whatever patterns they mean it."""
    assert conflict(first, second) == touch


class _Agent:
    """Enough of the agent for a fault that is never started."""

    resolver = None


def taken(queries, search=(), **order):
    """Which of these queries a fault takes."""
    agent = _Agent()
    dns.resolver_of(agent).search = list(search)
    fault = dns.Code(agent, {"code": "NXDOMAIN", **order})
    found = [query for query in queries if fault.takes(wire.Query(query, 1, 0))]
    return found, fault.stats()


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ([], ["redis", "vendor.test", "api.vendor.test", "a.b.vendor.test", "evilvendor.test"]),
        (["redis"], ["redis"]),
        (["vendor.test"], ["vendor.test"]),
        (["*.vendor.test"], ["api.vendor.test", "a.b.vendor.test"]),
    ],
)
def test_which_queries_are_meant(names, meant):
    """A name is itself, `*.` is what is below and not the name itself, none is all; what is not meant is counted too."""
    queries = ["redis", "vendor.test", "api.vendor.test", "a.b.vendor.test", "evilvendor.test"]
    found, stats = taken(queries, names=names)
    assert found == meant
    assert stats["passed"] == len(queries) - len(meant)


def test_domains_that_clients_append_are_seen_through():
    """`redis` is also meant when the client's resolver makes redis.corp.test of it."""
    found, _ = taken(["redis.corp.test", "redis.other.test"], search=["corp.test"], names=["redis"])
    assert found == ["redis.corp.test"]


def test_types_of_records():
    """Only the types that are meant."""
    fault = dns.Code(_Agent(), {"code": "NXDOMAIN", "records": ["AAAA"]})
    assert not fault.takes(wire.Query("a", 1, 0))
    assert fault.takes(wire.Query("a", 28, 0))


def test_the_share_follows_from_the_seed():
    """The same seed draws the same lots, another one others, and about the asked share."""
    queries = [f"n{number}" for number in range(400)]
    first, _ = taken(queries, share=0.25, seed="1")
    again, _ = taken(queries, share=0.25, seed="1")
    other, _ = taken(queries, share=0.25, seed="2")
    assert first == again != other
    assert 60 < len(first) < 140


def test_a_flood_of_names_is_counted_in_little_room():
    """However many different names are asked for, few are kept by name and all are counted."""
    _, stats = taken([f"n{number}" for number in range(5000)], names=["x"])
    assert stats["passed"] == 5000
    assert len(stats["others"]) <= dns.SHOWN
