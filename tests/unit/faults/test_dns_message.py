"""DNS messages by hand: round trips, compression that ends, and rubbish of every kind."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.faults.http_agent import agent_module

wire = agent_module("dns_message")

LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


def query(name="api.vendor.test", kind=1, identity=4711):
    return wire.ask(identity, name, kind)


@given(NAME, st.sampled_from(sorted(wire.TYPES.values())))
def test_a_question_is_read_back(name, kind):
    """What is asked is what is read."""
    message = wire.ask(1, name, kind)
    found = wire.question(message)
    assert (found.name, found.type, found.end) == (name, kind, len(message))


@given(st.binary(max_size=600))
def test_rubbish_is_no_question_and_raises_nothing(data):
    """Whatever comes in is a question, or none; an answer, or none."""
    found = wire.question(data)
    assert found is None or found.end <= len(data)
    told = wire.told(data)
    assert told is None or isinstance(told[0], str)


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_damaged_messages_raise_nothing(seed, damages):
    """Real messages with bytes changed, and cut, raise nothing either."""
    chance = random.Random(seed)
    message = query()
    data = bytearray(wire.answer(message, wire.question(message), 0, ["192.0.2.1"], 5))
    for _ in range(damages):
        data[chance.randrange(len(data))] = chance.randrange(256)
    data = bytes(data[: chance.randrange(len(data) + 1)])
    wire.question(data)
    wire.told(data)


@pytest.mark.parametrize("pointer", [b"\xc0\x0c", b"\xc0\x0e", b"\xc0\xff"])
def test_compression_never_goes_round(pointer):
    """A pointer to itself, forwards, or beyond the message is no name."""
    message = query()[:12] + pointer + b"\0\1\0\1"
    assert wire.question(message) is None


def test_compression_goes_so_far_and_no_further():
    """A chain of pointers is followed to a limit."""
    chain = b"\1a\0" + b"".join(b"\xc0" + bytes([at]) for at in [0, *range(3, 3 + 2 * 60, 2)])
    assert wire.read_name(chain, 3) == ("a", 5)
    assert wire.read_name(chain, 3 + 2 * (wire.POINTERS - 1)) is not None
    assert wire.read_name(chain, 3 + 2 * wire.POINTERS) is None


def test_names_are_not_longer_than_names_may_be():
    """255 bytes, and not one more."""
    label = b"\x3f" + b"a" * 63
    assert wire.read_name(label * 3 + b"\x3d" + b"a" * 61 + b"\0", 0) is not None
    assert wire.read_name(label * 4 + b"\0", 0) is None


@pytest.mark.parametrize("flags", [0x8180, 0x2000])
def test_what_is_no_query_is_left_alone(flags):
    """Answers, and operations other than queries, have no question for us."""
    message = query()
    assert wire.question(message[:2] + struct.pack(">H", flags) + message[4:]) is None


@pytest.mark.parametrize(("code", "name"), [(wire.NXDOMAIN, "NXDOMAIN"), (wire.SERVFAIL, "SERVFAIL")])
def test_codes(code, name):
    """The answer has the query's number and question, the code, and nothing that could be remembered."""
    message = query()
    reply = wire.answer(message, wire.question(message), code)
    assert reply[:2] == message[:2]
    assert reply[12:] == message[12:]
    assert reply[2] & 0x80
    assert struct.unpack(">4H", reply[4:12]) == (1, 0, 0, 0)
    assert wire.told(reply) == (name, [])


@pytest.mark.parametrize(
    ("kind", "address", "told"),
    [("A", "192.0.2.1", ["192.0.2.1"]), ("AAAA", "192.0.2.1", []), ("AAAA", "2001:db8::1", ["2001:db8::1"]), ("HTTPS", "192.0.2.1", [])],
)  # fmt: skip
def test_addresses_of_the_family_that_was_asked_for(kind, address, told):
    """A has IPv4, AAAA has IPv6, and the other type an empty answer that is no error."""
    message = query(kind=wire.TYPES[kind])
    assert wire.told(wire.answer(message, wire.question(message), 0, [address])) == ("NOERROR", told)


def test_the_case_of_a_name_comes_back_and_does_not_matter():
    """Clients that mix cases to be safe against forgery get theirs back."""
    message = query("ApI.vEndor.TEST")
    assert wire.question(message).name == "api.vendor.test"
    assert b"ApI\x06vEndor" in wire.answer(message, wire.question(message), 3)


def test_other_parts_after_the_question_are_left_out():
    """An OPT record that follows the question is not taken for an answer."""
    message = query()
    extended = message[:10] + b"\0\1" + message[12:] + b"\0\0\x29\x10\0\0\0\0\0\0\0"
    assert wire.told(wire.answer(extended, wire.question(extended), 3)) == ("NXDOMAIN", [])
