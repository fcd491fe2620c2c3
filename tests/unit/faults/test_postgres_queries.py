"""The agent's reading of PostgreSQL's protocol: which messages wait, for how long, and that every byte passes in order."""

import heapq
import itertools
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from tests.unit.faults.http_agent import agent_module

toxics = agent_module("toxics")
queries = agent_module("queries")


class Loop:
    """Simulated time."""

    def __init__(self):
        self.now, self.timers, self.order = 100.0, [], itertools.count()

    def call_later(self, wait, work):
        timer = SimpleNamespace(cancelled=False, work=work)
        timer.cancel = lambda: setattr(timer, "cancelled", True)
        heapq.heappush(self.timers, (self.now + max(wait, 0.0), next(self.order), timer))
        return timer

    def call_soon(self, work):
        return self.call_later(0.0, work)

    def until(self, when):
        while self.timers and self.timers[0][0] <= when:
            self.now, _, timer = heapq.heappop(self.timers)
            if not timer.cancelled:
                timer.work()
        self.now = when


class Talk:
    """One connection: what is fed, and what came out when."""

    def __init__(self, delay=0.2, matching=None, *, fresh=True):
        self.loop, self.out, self.ended = Loop(), [], False
        toxics.time = queries.time = SimpleNamespace(monotonic=lambda: self.loop.now)
        fault = object.__new__(queries.SlowQueries)  # its rules and agent are not needed here
        fault.delay, fault.active, fault.sum = delay, True, 0.0
        fault.matching = queries.re.compile(matching.encode(), queries.re.IGNORECASE) if matching else None
        fault.queries = fault.meant = fault.done = fault.encrypted = fault.unread = 0
        self.fault = fault
        connection = SimpleNamespace(fresh=fresh, over=False, proxy=SimpleNamespace(loop=self.loop))
        flow = SimpleNamespace(connection=connection, hold=lambda _: None, unhold=lambda _: None)
        self.stage = queries.Asking(fault, flow)
        self.stage.next = lambda data: self.out.append((round(self.loop.now - 100, 3), data))
        self.stage.next_end = lambda: setattr(self, "ended", True)

    def feed(self, *messages, until=None):
        for message in messages:
            self.stage.feed(message)
        self.loop.until(self.loop.now if until is None else 100 + until)

    @property
    def got(self):
        return b"".join(data for _, data in self.out)

    def at(self, message):
        """When a message came out."""
        return next(when for when, data in self.out if message in data)


def message(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(payload) + 4) + payload


def startup(**settings: str) -> bytes:
    payload = struct.pack("!I", 3 << 16) + b"".join(f"{k}\0{v}\0".encode() for k, v in settings.items()) + b"\0"
    return struct.pack("!I", len(payload) + 4) + payload


def simple(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def prepared(text: str, name: str = "", portal: str = "") -> bytes:
    parse = message(b"P", f"{name}\0{text}\0".encode() + b"\0\0")
    return parse + bound(name, portal)


def bound(name: str = "", portal: str = "") -> bytes:
    bind = message(b"B", f"{portal}\0{name}\0".encode() + b"\0\0\0\0\0\0")
    return bind + message(b"E", f"{portal}\0".encode() + b"\0\0\0\0") + message(b"S")


@pytest.fixture(autouse=True)
def _real_time():
    """The agent's modules have their clock back."""
    import time

    yield
    toxics.time = queries.time = time


SSL_REQUEST = struct.pack("!II", 8, 80877103)


def test_connecting_does_not_wait_and_a_query_does():
    """Start, password and the end pass at once; the query between them comes 200 ms later, and what follows it behind it."""
    talk = Talk()
    talk.feed(SSL_REQUEST, startup(user="u"), message(b"p", b"secret\0"))
    assert talk.got == SSL_REQUEST + startup(user="u") + message(b"p", b"secret\0")
    talk.feed(simple("SELECT 1"), message(b"X"), until=1)
    assert talk.at(b"SELECT 1") == pytest.approx(0.2)
    assert talk.at(message(b"X")) == pytest.approx(0.2)
    assert (talk.fault.queries, talk.fault.done) == (1, 1)
    assert talk.fault.sum == pytest.approx(0.2)


def test_queries_of_one_connection_wait_one_after_another():
    """Three sent at once: 0.2, 0.4 and 0.6 s, and each is said to have waited 0.2 s."""
    talk = Talk()
    talk.feed(startup() + simple("a") + prepared("b") + prepared("c", "named", "portal"), until=2)
    assert [talk.at(b"Q\0"), talk.at(b"E\0\0\0\x09\0"), talk.at(b"portal\0\0\0\0\0")] == pytest.approx([0.2, 0.4, 0.6])
    assert talk.fault.sum / talk.fault.done == pytest.approx(0.2)


def test_only_queries_that_match():
    """By the text that was prepared, under its name, again and again; others pass at once."""
    talk = Talk(matching=r"^select .* from orders")
    talk.feed(startup(), simple("INSERT INTO orders VALUES (1)"), prepared("SELECT * FROM orders", "one"), until=0.1)
    assert (talk.fault.queries, talk.fault.meant) == (2, 1)
    assert talk.at(b"INSERT") == 0
    talk.loop.until(101)
    talk.feed(bound("one"), until=2)
    assert (talk.fault.queries, talk.fault.meant, talk.fault.done) == (3, 2, 2)


def test_a_connection_that_was_open():
    """What it prepared before has no text: it waits where every query does, and not where a pattern chooses."""
    every, some = Talk(fresh=False), Talk(fresh=False, matching="select")
    for talk in (every, some):
        talk.feed(bound("older"), until=1)
    assert (every.fault.meant, some.fault.meant) == (1, 0)


@pytest.mark.parametrize(
    "hello", [b"\x16\x03\x01\x00\xc8" + bytes(200), SSL_REQUEST + b"\x16\x03\x01\x00\xc8" + bytes(200)]
)
def test_tls_is_told_and_passes(hello):
    """Encrypted bytes go through untouched, and the connection is counted as unreadable."""
    talk = Talk()
    talk.feed(hello, b"\x17\x03\x03" + bytes(50))
    assert talk.got == hello + b"\x17\x03\x03" + bytes(50)
    assert (talk.fault.encrypted, talk.fault.unread) == (1, 0)


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", startup() + b"\xff\xff", startup() + b"Q\0\0\0\x01abc"])
def test_what_is_no_postgresql_is_told_and_passes(rubbish):
    """Bytes of something else go through untouched, and the connection is counted."""
    talk = Talk()
    talk.feed(rubbish, b"more")
    assert talk.got == rubbish + b"more"
    assert talk.fault.unread == 1


def test_the_end_of_the_fault_lets_everything_go():
    """What waits, and the beginning of a message that is not whole, are handed on at once and in order."""
    talk = Talk(delay=60)
    whole = startup() + simple("SELECT 1") + simple("SELECT 2")
    talk.feed(whole[:-3])
    assert talk.got == startup()
    talk.stage.release()
    assert talk.got == whole[:-3]


def test_the_clients_end_comes_after_what_waits():
    """A client that asks and ends its side: the end is told when the query has gone."""
    talk = Talk()
    talk.feed(startup(), simple("SELECT 1"))
    talk.stage.end()
    assert not talk.ended
    talk.loop.until(101)
    assert talk.ended
    assert talk.got == startup() + simple("SELECT 1")


CONVERSATION = st.lists(
    st.one_of(
        st.text(max_size=30).map(lambda text: simple(text.replace("\0", ""))),
        st.text(max_size=30).map(lambda text: prepared(text.replace("\0", ""), "n")),
        st.binary(max_size=2000).map(lambda data: message(b"d", data)),
        st.just(message(b"S")),
    ),
    max_size=8,
)


@given(CONVERSATION, st.lists(st.integers(1, 400), min_size=1, max_size=20), st.sampled_from([None, "a|b"]))
def test_every_byte_passes_in_order_however_it_was_cut(conversation, cuts, matching):
    """Any conversation in chunks of any sizes: the server gets the same bytes, and the same queries wait as in one piece."""
    whole = startup(user="u") + b"".join(conversation)
    cut, one = Talk(0.01, matching), Talk(0.01, matching)
    toxics.time = queries.time = SimpleNamespace(monotonic=lambda: cut.loop.now)
    rest, sizes = whole, itertools.cycle(cuts)
    while rest:
        size = next(sizes)
        cut.feed(rest[:size])
        rest = rest[size:]
    cut.loop.until(200)
    toxics.time = queries.time = SimpleNamespace(monotonic=lambda: one.loop.now)
    one.feed(whole, until=100)
    assert cut.got == one.got == whole
    assert (cut.fault.queries, cut.fault.done) == (one.fault.queries, one.fault.done)


def test_a_pattern_that_is_none(tmp_path):
    """A wrong regular expression is an error of the plan, with its line."""
    (tmp_path / "plan.yaml").write_text("""
version: 1
name: p
services: {db: {image: "postgres:16", ports: {sql: 5432}}}
scenarios:
  s: {executor: {type: constant-vus, vus: 1, duration: 1s}, http: {target: db.sql, requests: [{name: r, get: /}]}}
stages:
  faults:
    load: s
    experiments: [{name: e, fault: {type: postgres-slow-queries, target: db, delay: 1s, matching: "select ("}, hold: 1s}]
""")
    with pytest.raises(PlanError, match="no regular expression"):
        load_plan(tmp_path / "plan.yaml", environ={})
