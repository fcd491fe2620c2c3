"""A connection through the HTTP relay: what no fault chose passes byte for byte; what one chose is disturbed as asked."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.faults.http_agent import Counts, Service, faults, pieces, relay, through

GET = b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD /stats HTTP/1.1\r\nHost: a\r\n\r\n"
PAY = b"POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
EXPECT = b"POST /big HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0123456789"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\nX: y\r\n\r\n"
NO_BODY = b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"
HEADED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + OK

EXCHANGES = st.lists(
    st.sampled_from([(GET, OK), (GET, CHUNKS), (HEAD, HEADED), (PAY, OK), (PAY, NO_BODY), (CHUNKED, CHUNKS), (EXPECT, CONTINUED)]),
    min_size=1, max_size=5,
)  # fmt: skip
CUTS = st.lists(st.integers(0, 5000), max_size=12)
STATUS = {"status": 503, "headers": {"Retry-After": "2"}, "body": "busy"}


def enough(count: int):
    """Until the client has this many bytes."""
    return lambda client: len(client.got) >= count


def once(request_, answer, **fault):
    """One request under a fault; what the client got, and the counters."""
    counts = Counts(**fault)
    client, service, _ = through(counts, [request_], Service([(request_, [answer])], ends=True))
    return bytes(client.got), client, service, counts.counted()


@settings(max_examples=60)
@given(EXCHANGES, CUTS, CUTS)
def test_what_is_not_chosen_passes_byte_for_byte(exchanges, cuts, more):
    """Keep-alive, pipelining, chunks, HEAD, 204, 100-continue, cut anywhere: both sides get exactly what was sent."""
    counts = Counts("status", STATUS, methods=["DELETE"])
    service = Service([(request_, pieces(answer, more)) for request_, answer in exchanges])
    answers = b"".join(answer for _, answer in exchanges)
    stream = b"".join(request_ for request_, _ in exchanges)
    client, service, _ = through(counts, pieces(stream, cuts), service, until=enough(len(answers)))
    assert bytes(client.got) == answers
    assert bytes(service.got) == stream
    assert (counts.requests, counts.choice.matched, counts.hit) == (len(exchanges), 0, 0)


@settings(max_examples=40)
@given(EXCHANGES, CUTS, CUTS)
def test_only_the_chosen_are_answered_otherwise(exchanges, cuts, more):
    """Under a status fault on POST /pay the others get theirs byte for byte, in order, on the same connection."""
    counts = Counts("status", STATUS, methods=["POST"], path="/pay")
    through_service = [(request_, pieces(answer, more)) for request_, answer in exchanges if request_ != PAY]
    ours = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\nbusy"
    expected = b"".join(ours if request_ == PAY else answer for request_, answer in exchanges)
    stream = b"".join(request_ for request_, _ in exchanges)
    client, service, _ = through(counts, pieces(stream, cuts), Service(through_service), until=enough(len(expected)))
    assert bytes(client.got) == expected
    assert bytes(service.got) == stream.replace(PAY, b"")
    assert counts.hit == counts.choice.matched == sum(request_ == PAY for request_, _ in exchanges)


@given(st.binary(max_size=300), st.binary(max_size=300), CUTS)
def test_other_protocols_pass(sent, answered, cuts):
    """Any bytes either way: no crash, nothing lost on the way to the service."""
    counts = Counts("status", STATUS, methods=["DELETE"])
    service = Service([])
    service.send(*pieces(answered, cuts), b"")
    client, service, _ = through(counts, [*pieces(sent, cuts), b""], service)
    assert bytes(client.got) == answered
    assert sent.startswith(bytes(service.got))  # the service may have ended before it had all


@pytest.mark.parametrize(
    ("first", "why"),
    [(b"PING\r\n", "no HTTP"), (b"\x16\x03\x01\x00\x05hello", "TLS"), (b"\x00\x00\x00\x08", "no HTTP")],
)
def test_what_is_no_http_is_counted(first, why):
    """A connection that speaks something else is handed on whole, and counted under what it looked like."""
    counts = Counts("status", STATUS)
    client, service, _ = through(
        counts, [first, b"more"], Service([(first + b"more", [b"+PONG\r\n"])]), until=enough(7)
    )
    assert bytes(service.got) == first + b"more"
    assert bytes(client.got) == b"+PONG\r\n"
    assert counts.counted()["odd"] == {why: 1}


def test_a_client_that_says_too_little_is_taken_for_another_protocol(monkeypatch):
    """Few bytes that could begin a request, and silence: they are handed on rather than kept for ever."""
    counts = Counts("status", STATUS)
    monkeypatch.setattr(relay, "UNDECIDED_WITHIN", 0.05)
    client, _, _ = through(counts, [b"STAT"], Service([(b"STAT", [b"ok"])]), until=enough(2))
    assert bytes(client.got) == b"ok"


def test_an_upgraded_connection_is_bytes():
    """After 101 both directions pass as they are, whatever they look like."""
    ask = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    agreed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"
    frames = b"POST /pay HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    counts = Counts("status", STATUS, methods=["POST"])
    client, service, _ = through(counts, [ask, frames], Service([(ask, [agreed]), (frames, [b"\x81\x00"])]),
                                 until=lambda side: side.got.endswith(b"\x81\x00"))  # fmt: skip
    assert bytes(client.got) == agreed + b"\x81\x00"
    assert bytes(service.got) == ask + frames
    assert counts.counted()["odd"] == {"upgraded": 1}


def test_a_refused_upgrade_stays_http():
    """An upgrade that the service does not take: the next request on the connection is disturbed as any other."""
    ask = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    counts = Counts("status", STATUS, methods=["POST"])
    client, _, _ = through(counts, [ask + PAY], Service([(ask, [OK])]), until=lambda side: side.got.endswith(b"busy"))
    assert bytes(client.got).startswith(OK + b"HTTP/1.1 503 ")


def test_an_answer_until_the_end_of_the_connection():
    """No length: the body goes on until the service closes, and the client sees that end."""
    got, client, _, counted = once(
        GET, b"HTTP/1.0 200 OK\r\n\r\nall of it", act="header", parameters={"values": {"X": "1"}, "drop": []}
    )
    assert got == b"HTTP/1.0 200 OK\r\nX: 1\r\n\r\nall of it"
    assert client.closed == "eof"
    assert counted["disturbed"] == 1


def test_first_and_every():
    """The first N, or every Nth, of those that match; the others do not count."""
    for choice, expected in [({"first": 2}, "1100000"), ({"every": 3}, "0010010"), ({"share": 0.0}, "0000000")]:
        one = faults.Choice({"path": "/pay", **choice}, 1)
        assert "".join(str(int(one.draw())) for _ in range(7)) == expected


def test_a_share_follows_its_seed():
    """The same seed chooses the same requests, another seed others; the share is met."""
    drawn = [[faults.Choice({"share": 0.3}, seed).draw() for _ in range(1)] for seed in range(400)]
    assert 80 < sum(map(sum, drawn)) < 160
    one, same, other = (faults.Choice({"share": 0.3}, seed) for seed in (1, 1, 2))
    rolls = [[choice.draw() for _ in range(200)] for choice in (one, same, other)]
    assert rolls[0] == rolls[1] != rolls[2]


def test_headers_and_paths_choose():
    """All of method, path and headers must fit; header names in any case."""
    head = through_head(b"GET /a/b?c HTTP/1.1\r\nX-Tenant: blue\r\n\r\n")
    for choice, expected in [
        ({}, True), ({"methods": ["GET"]}, True), ({"methods": ["POST"]}, False), ({"path": "/a/.*"}, True), ({"path": "/a"}, False),
        ({"headers": {"x-tenant": "blue"}}, True), ({"headers": {"X-TENANT": "green"}}, False), ({"headers": {"X-No": ".*"}}, False),
    ]:  # fmt: skip
        assert faults.Choice(choice, 0).matches(head) is expected


def through_head(raw):
    from tests.unit.faults.http_agent import framing

    parser = framing.Requests()
    parser.feed(raw)
    return parser.next()[2]


# ------------------------------------------------------------------------------------------------------------------- acts
def test_a_status_to_head_has_no_body():
    """HEAD gets the head alone, with the length that GET would have."""
    counts = Counts("status", STATUS)
    client, _, _ = through(counts, [HEAD, GET], Service([]), until=lambda side: side.got.endswith(b"busy"))
    head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\n"
    assert bytes(client.got) == head + head + b"busy"


def test_a_status_to_a_waiting_body_comes_at_once():
    """A client that waits for 100 Continue gets the status instead, and the connection ends: its body may come or not."""
    counts = Counts("status", STATUS)
    client, service, _ = through(counts, [EXPECT[:-3]], Service([]))
    assert bytes(client.got).startswith(b"HTTP/1.1 503 ")
    assert b"Connection: close" in client.got
    assert bytes(service.got) == b""
    assert client.closed == "close"


def test_a_status_after_the_service_had_the_request():
    """With forward the service gets the request, and the client the status instead of its answer."""
    got, _, service, counted = once(PAY, OK, act="status", parameters={**STATUS, "forward": True})
    assert bytes(service.got) == PAY
    assert got.startswith(b"HTTP/1.1 503 ")
    assert counted["told"] == {"503": 1}


@pytest.mark.parametrize(("how", "closed"), [("reset", "abort"), ("close", "close")])
def test_abort(how, closed):
    """Not one byte of an answer; the connection is reset or closed."""
    got, client, service, counted = once(PAY, OK, act="abort", parameters={"how": how, "forward": False})
    assert (got, client.closed, bytes(service.got)) == (b"", closed, b"")
    assert counted["disturbed"] == 1


def test_hang_ends_when_the_client_gives_up():
    """No answer, no end, until the client closes its side."""
    counts = Counts("hang", {"forward": True})
    waits = iter([False] * 20 + [True])
    client, service, _ = through(counts, [PAY], Service([(PAY, [OK])]), until=lambda _: next(waits, True))
    assert bytes(client.got) == b""
    assert bytes(service.got) == PAY
    assert (counts.hit, counts.gave_up) == (1, 1)


@pytest.mark.parametrize("answer", [OK, CHUNKS])
@pytest.mark.parametrize("at", ["headers", "body"])
def test_delay(at, answer):
    """The answer arrives whole, and later by what is measured."""
    got, _, _, counted = once(GET, answer, act="delay", parameters={"delay": 0.05, "jitter": 0.0, "at": at})
    assert got == answer
    assert counted["waits"] == 1
    assert counted["wait"] >= 0.05


@pytest.mark.parametrize(
    ("answer", "keep", "expected"),
    [
        (OK, None, OK[:-5]), (OK, 3, OK[:-7]), (OK, 0, OK[:-10]),
        (CHUNKS, None, CHUNKS[: CHUNKS.index(b"0\r\nX")]), (CHUNKS, 7, CHUNKS[: CHUNKS.index(b"56789") + 2]),
    ],
)  # fmt: skip
def test_truncate(answer, keep, expected):
    """The head is as it was; the body ends early, chunks have no end, and then the connection ends."""
    got, client, _, counted = once(GET, answer, act="truncate", parameters={"keep": keep})
    assert got == expected
    assert client.closed == "close"
    assert counted["disturbed"] == 1


@pytest.mark.parametrize(("request_", "answer", "keep"), [(HEAD, HEADED, None), (GET, NO_BODY, None), (GET, OK, 10)])
def test_what_cannot_be_cut_is_not_counted_as_cut(request_, answer, keep):
    """No body, or one that is short enough: it passes as it is, and does not count as disturbed."""
    got, _, _, counted = once(request_, answer, act="truncate", parameters={"keep": keep})
    assert got == answer
    assert counted["disturbed"] == 0
    assert sum(counted["unfit"].values()) == 1


REPLACE = {"body": None, "pattern": "3(4)5", "replacement": r"[\1]"}


@pytest.mark.parametrize("answer", [OK, CHUNKS])
def test_body_replaced_in_part(answer):
    """The text is another one, and its length is right, also when it came in chunks."""
    got, _, _, counted = once(GET, answer, act="body", parameters=REPLACE)
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"012[4]6789"
    assert b"Content-Length: 10" in head
    assert b"chunked" not in head
    assert counted["disturbed"] == 1


def test_body_in_gzip():
    """A packed body is unpacked to be changed, and says so."""
    packed = gzip.compress(b"0123456789")
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    got, _, _, _ = once(GET, answer, act="body", parameters=REPLACE)
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012[4]6789"


def test_body_given():
    """Another body whole; status and other headers stay."""
    got, _, _, _ = once(GET, CHUNKS, act="body", parameters={"body": "{", "pattern": None, "replacement": ""})
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"


def test_a_body_without_the_text_is_untouched():
    """Nothing to replace: byte for byte as it was, chunks too, and not counted as disturbed."""
    got, _, _, counted = once(GET, CHUNKS, act="body", parameters={**REPLACE, "pattern": "no(where)"})
    assert got == CHUNKS
    assert counted["unfit"] == {"without the text": 1}


def test_a_long_body_is_untouched():
    """A body beyond what is taken in to be changed passes whole."""
    body = b"345" * 500_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    got, _, _, counted = once(GET, answer, act="body", parameters=REPLACE)
    assert got == answer
    assert counted["unfit"] == {"too long": 1}


def test_headers_set_and_removed():
    """Set in place of all of that name, removed, and the rest byte for byte."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A:1\r\nx-a: 2\r\nCache-Control: no\r\nContent-Length: 0\r\n\r\n"
    got, _, _, _ = once(GET, answer, act="header", parameters={"values": {"X-A": "3"}, "drop": ["cache-control"]})
    assert got == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nX-A: 3\r\n\r\n"


@pytest.mark.parametrize("answer", [OK, CHUNKS])
def test_slow_drip(answer):
    """Every byte arrives, in drips, as late as their number says."""
    counts = Counts("drip", {"drip": 4, "pause": 0.01})
    client, _, _ = through(counts, [GET], Service([(GET, [answer])], ends=True))
    assert bytes(client.got) == answer
    assert counts.waits >= 2
    assert counts.waited >= 0.02


def test_nothing_is_disturbed_any_more_when_the_fault_is_over():
    """A fault that has ended chooses nothing, even on connections that it still sees."""
    counts = Counts("status", STATUS)
    counts.active = False
    client, _, _ = through(counts, [PAY], Service([(PAY, [OK])], ends=True))
    assert bytes(client.got) == OK
    assert counts.hit == 0
