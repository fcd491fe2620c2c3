"""Faults of packets: what a plan may say, what conflicts, and when a counted share is the one that was asked for."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shakedown.faults.network.packets import judge_share
from shakedown.faults.network.shares import Counted
from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.faults.packets import (
    NetworkCorruption,
    NetworkDelay,
    NetworkDuplication,
    NetworkLoss,
    NetworkPartition,
    NetworkReordering,
)  # fmt: skipfrom shakedown.plan.model import Plan
from shakedown.plan.model import Plan
from tests.unit.faults.http_agent import agent_module

FAULT = TypeAdapter(FaultPlan)


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        ({"type": "network-loss", "target": "a", "share": "5%"}, NetworkLoss),
        ({"type": "network-corruption", "target": "a", "share": 0.01, "undetected": True}, NetworkCorruption),
        ({"type": "network-duplication", "target": "a", "share": "1%", "peers": ["b"]}, NetworkDuplication),
        ({"type": "network-reordering", "target": "a", "share": "10%", "gap": "5ms", "ports": [80]}, NetworkReordering),
        ({"type": "network-delay", "target": "a", "latency": "50ms", "jitter": "10ms"}, NetworkDelay),
        ({"type": "network-partition", "between": [["a"], ["b", "c"]]}, NetworkPartition),
    ],
)
def test_entries_are_read(entry, model):
    """Every fault of packets is an entry of a plan."""
    assert isinstance(FAULT.validate_python(entry), model)


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"type": "network-loss", "target": "a"}, "share"),
        ({"type": "network-loss", "target": "a", "share": 0}, "greater than 0"),
        ({"type": "network-loss", "target": "a", "share": "101%"}, "less than or equal to 1"),
        ({"type": "network-loss", "target": "a", "share": "5%", "direction": "up"}, "direction"),
        ({"type": "network-loss", "target": "a", "share": "5%", "ports": list(range(1, 17))}, "at most 15"),
        ({"type": "network-reordering", "target": "a", "share": "100%"}, "less than 1"),
        ({"type": "network-delay", "target": "a", "latency": "1m"}, "less than or equal to 10"),
        ({"type": "network-delay", "target": "a", "latency": "1s", "jitter": "2s"}, "at most `latency`"),
        ({"type": "network-partition"}, "`between: "),
        ({"type": "network-partition", "target": "a", "between": [["a"], ["b"]]}, "or groups"),
        ({"type": "network-partition", "between": [["a"], []]}, "none of them empty"),
        ({"type": "network-partition", "between": [["a"], ["a"]]}, "two groups"),
        ({"type": "network-partition", "between": [["a"], ["b"], ["c"]], "direction": "in"}, "one-way"),
    ],
)
def test_limits(entry, word):
    """What is out of limits is an error of the plan, and the message says what is allowed."""
    with pytest.raises(ValidationError, match=word):
        FAULT.validate_python(entry)


def test_what_goes_together():
    """Different faults of one target go together, the same twice does not; nor reordering with a delay."""
    loss, again = NetworkLoss(target="a", share=0.1), NetworkLoss(target="a", share=0.2)
    delay = NetworkDelay(target="a", latency=0.1)
    assert conflict(loss, delay) is None
    assert conflict(loss, again) == "a:network-loss"
    assert conflict(loss, NetworkLoss(target="b", share=0.1)) is None
    assert conflict(delay, NetworkReordering(target="a", share=0.1)) == "a:network-delay"
    groups = NetworkPartition(between=[["a"], ["b"]])
    assert conflict(groups, NetworkPartition(target="b")) == "b:network-partition"


@pytest.mark.parametrize(
    ("seen", "hit", "asked", "agrees"),
    [
        (1000, 50, 0.05, True),
        (1000, 10, 0.05, False),  # a fifth of what was asked
        (1000, 120, 0.05, False),  # more than twice
        (300, 15, 0.05, False),  # the right share of too few
        (0, 0, 0.05, False),
        (8, 8, 1.0, True),
        (8, 7, 1.0, False),  # all were to be lost, and one was not
        (4, 4, 1.0, False),
        (100_000, 4_000, 0.05, False),  # so many that four is not five
    ],
)
def test_a_share_is_as_asked(seen, hit, asked, agrees):
    """Enough packets, the asked share within the interval, and not off by half; else it is not proved."""
    assert Counted(seen, hit).agrees(asked) is agrees


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_interval_holds_the_share(seen, part):
    """The interval lies within 0 and 1, around what was counted."""
    counted = Counted(seen, round(seen * part))
    low, high = counted.interval()
    assert 0 <= low <= counted.share + 1e-9
    assert counted.share - 1e-9 <= high <= 1


def test_a_direction_that_disagrees_spoils_the_whole():
    """Twice too much one way and next to nothing the other is not the asked share on the whole."""
    assert judge_share({"in": Counted(1000, 52), "out": Counted(1000, 47)}, 0.05, "dropped").held
    skewed = judge_share({"in": Counted(1000, 98), "out": Counted(1000, 4)}, 0.05, "dropped")
    assert not skewed.held
    assert skewed.measured == pytest.approx(0.051)


# ------------------------------------------------------------------------------------------------------ in a plan
SERVICES = {
    "api": {"image": "api", "ports": {"http": 8000}},
    "redis": {"image": "redis", "health": {"tcp": 6379}},
    "job": {"process": ["job"], "ports": {"http": 9000}},
    "vendor": {"url": "http://127.0.0.1:7000"},
}


def said(entry: dict, services: dict | None = None) -> list[str]:
    """What is wrong with a fault in the plan."""
    plan = Plan.model_validate({
        "version": 1, "name": "p", "services": services or SERVICES,
        "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                            "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}},
        "stages": {"baseline": {"scenarios": ["s"]}},
    })  # fmt: skip
    return [message for _, message, _ in FAULT.validate_python(entry).problems(plan)]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"type": "network-loss", "target": "nobody", "share": "5%"}, "no such service"),
        ({"type": "network-loss", "target": "job", "share": "5%"}, "works on `docker` services"),
        ({"type": "network-loss", "target": "api", "share": "5%", "peers": ["api"]}, "no such other service"),
        ({"type": "network-loss", "target": "api", "share": "5%", "peers": ["job"]}, "the machine's own address"),
        ({"type": "network-delay", "target": "api", "latency": "1s", "ports": [0]}, "0 is no port"),
        ({"type": "network-partition", "target": "vendor"}, "`vendor` is external"),
        ({"type": "network-partition", "target": "api", "peers": ["nobody"]}, "no such other service"),
        ({"type": "network-partition", "between": [["api"], ["nobody"]]}, "no such service"),
        ({"type": "network-partition", "between": [["api"], ["job"]]}, "`job` is process"),
    ],
)
def test_wrong_in_this_plan(entry, word):
    """What cannot work with the plan's services is found before anything starts."""
    assert any(word in message for message in said(entry)), said(entry)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "network-loss", "target": "api", "share": "5%", "peers": ["redis", "vendor"], "ports": [6379]},
        {"type": "network-partition", "target": "api"},
        {"type": "network-partition", "between": [["api"], ["redis"]], "direction": "in"},
    ],
)
def test_right_in_this_plan(entry):
    """What can work has no problem."""
    assert said(entry) == []


def test_a_lonely_container_cannot_be_cut_off():
    """With no other container there is nothing that a partition would drop."""
    alone = {name: SERVICES[name] for name in ("api", "vendor")}
    assert "no other container" in said({"type": "network-partition", "target": "api"}, alone)[0]
    assert said({"type": "network-partition", "target": "api", "peers": ["vendor"]}, alone) == []


# -------------------------------------------------------------------------------------------------- in the agent
@pytest.fixture(scope="module")
def agent():
    """The agent's own files."""
    return {name: agent_module(name) for name in ("packets", "netem", "queued")}


def datagram(payload: bytes) -> bytes:
    """A packet of UDP over IPv4 with a right checksum."""
    source, target = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    udp = struct.pack("!HHHH", 1234, 9000, 8 + len(payload), 0) + payload
    checksum = _checksum(source + target + struct.pack("!BBH", 0, 17, len(udp)) + udp) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", checksum) + udp[8:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + source + target + udp


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def fits(packet: bytes) -> bool:
    """Whether the receiver would take it."""
    udp = packet[20:]
    return _checksum(packet[12:20] + struct.pack("!BBH", 0, 17, len(udp)) + udp) == 0


@given(payload=st.binary(min_size=1, max_size=200), seed=st.integers(0, 2**32))
def test_a_flipped_bit(agent, payload, seed):
    """One bit beyond the headers differs, and the checksum finds it; asked to fit, the checksum does."""
    packet = datagram(payload)
    assert fits(packet)
    wrong = agent["queued"].flip(packet, random.Random(seed), False)
    assert wrong[:28] == packet[:28]
    assert sum((a ^ b).bit_count() for a, b in zip(wrong, packet, strict=True)) == 1
    assert not fits(wrong)
    undetected = agent["queued"].flip(packet, random.Random(seed), True)
    assert undetected[28:] == wrong[28:]
    assert fits(undetected)


def test_nothing_to_flip(agent):
    """Without a payload a detected flip is in the transport's header, behind the ports; an undetected one is none."""
    packet = datagram(b"")
    wrong = agent["queued"].flip(packet, random.Random(1), False)
    assert wrong[:26] == packet[:26]
    assert wrong != packet
    assert agent["queued"].flip(packet, random.Random(1), True) is None


def test_rules_choose_each_packet_once(agent):
    """Addresses and ports make groups with no packet in common; loopback is never among them."""
    order = {"addresses": ["10.0.0.1", "fd00::1"], "ports": [80, 443]}
    found = list(agent["packets"].matches(order, "in"))
    assert [(family, words[4], words[6]) for family, words in found] == [
        (4, "10.0.0.1", "tcp"), (4, "10.0.0.1", "udp"), (6, "fd00::1", "tcp"), (6, "fd00::1", "udp"),
    ]  # fmt: skip
    assert all(words[:3] == ["!", "-i", "lo"] for _, words in found)
    assert list(agent["packets"].matches({"addresses": []}, "out")) == [(None, ["!", "-o", "lo"])]


def test_netem_never_replaces(agent):
    """The command lines only add; the removal names our handle, so that the kernel refuses it for another's."""
    lines = agent["netem"].commands("eth0", 0x5D17, ["delay", "5ms"])
    assert [line[:3] for line in lines] == [["tc", "qdisc", "add"]] * 2
    assert agent["netem"].removal("eth0", 0x5D17)[-2:] == ["handle", "5d17:"]
