"""Where HTTP messages begin and end: exactly, however the bytes are cut; and never a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.faults.http_agent import framing, pieces

REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\nGET /two HTTP/1.1\nHost: bare\n\n",
    b"POST /pay?x=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"HEAD http://host/abs HTTP/1.0\r\nCONTENT-length:  0 \r\n\r\n",
]
CUTS = st.lists(st.integers(0, 10_000), max_size=30)


def events(parser, chunks):
    found = []
    for chunk in chunks:
        parser.feed(chunk)
        while (event := parser.next()) is not None:
            found.append(event)
    return found


def kinds(found):
    """The kinds, bodies' pieces as one."""
    names = [kind for kind, _, _ in found]
    return [name for index, name in enumerate(names) if name != framing.BODY or names[index - 1] != framing.BODY]


@given(st.lists(st.sampled_from(REQUESTS), max_size=6), CUTS)
def test_requests_are_told_apart_and_lose_no_byte(requests, cuts):
    """Pipelined requests, cut anywhere: every one is found, and the events are the input byte for byte."""
    stream = b"".join(requests)
    found = events(framing.Requests(), pieces(stream, cuts))
    assert b"".join(raw for _, raw, _ in found) == stream
    assert [head.raw for kind, _, head in found if kind == framing.HEAD] == [
        request[: len(request) - len(request.lstrip(b"\r\n")) + request.lstrip(b"\r\n").index(b"\n\r\n" if b"\r\n\r\n" in request else b"\n\n") + (3 if b"\r\n\r\n" in request else 2)]
        for request in requests
    ]  # fmt: skip
    assert sum(kind == framing.END for kind, _, _ in found) == len(requests)


@given(st.binary(max_size=400), CUTS)
def test_any_bytes_pass(data, cuts):
    """Whatever a client or server sends: no exception, and not one byte lost, changed or out of order."""
    for parser in (framing.Requests(), framing.Answers()):
        found = events(parser, pieces(data, cuts))
        assert b"".join(raw for _, raw, _ in found) + bytes(parser.buffer) == data


@given(st.sampled_from(REQUESTS), st.integers(0, 200), st.binary(min_size=1, max_size=3), CUTS)
def test_broken_requests_pass(request_, place, noise, cuts):
    """A request with noise in it: read or taken for bytes, and not one byte lost."""
    place %= len(request_)
    data = request_[:place] + noise + request_[place:] + REQUESTS[0]
    parser = framing.Requests()
    found = events(parser, pieces(data, cuts))
    assert b"".join(raw for _, raw, _ in found) + bytes(parser.buffer) == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01\x02\x00", "TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "no HTTP"),
        (b"*1\r\n$4\r\nPING\r\n", "no HTTP"),
        (b"PING\r\n", "no HTTP"),
        (b"A" * 40, "no HTTP"),
        (b"GET /" + b"a" * 20_000, "a request line without an end"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 60_000, "a head without an end"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a header that is none"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "a header that is none"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "two lengths"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "a length that is none"),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "a length that is none"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "a transfer coding that is not known"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk that is none"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "a chunk longer than it says"),
    ],
)
def test_what_is_no_http_is_said_to_be_none(data, why):
    """Other protocols and malformed requests are bytes at once, with a reason, even when no head ever ends."""
    parser = framing.Requests()
    found = events(parser, [data])
    assert found[-1][0] == framing.OPAQUE
    assert parser.why == why
    assert b"".join(raw for _, raw, _ in found) == data


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ["head", "body", "end"]),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", ["head", "end"]),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", ["head", "end"]),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ["head", "end"]),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ["head", "end", "head", "end"]),
        ("GET", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nbytes", ["head", "opaque"]),
        ("CONNECT", b"HTTP/1.1 200\r\n\r\nbytes", ["head", "opaque"]),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ["head", "body", "end"]),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\nuntil the end", ["head", "body"]),
        ("GET", b"+PONG\r\n", ["opaque"]),
    ],
)  # fmt: skip
def test_answers_end_where_the_rules_say(method, answer, expected):
    """HEAD, 1xx, 204, 304, upgrades, chunks and bodies that end with the connection."""
    for size in (1, 3, len(answer)):
        parser = framing.Answers()
        parser.method = method
        found = events(parser, [answer[at : at + size] for at in range(0, len(answer), size)])
        assert [kind for kind in kinds(found) if kind != framing.OPAQUE] == [k for k in expected if k != framing.OPAQUE]
        assert (framing.OPAQUE in kinds(found)) == (framing.OPAQUE in expected)
        assert b"".join(raw for _, raw, _ in found) == answer
    assert (parser.end() is not None) == (expected == ["head", "body"])


def test_a_target_is_its_path():
    """Neither host nor query belong to the path."""
    for target, path in [("/a/b?c=/d", "/a/b"), ("http://host:80/x?y", "/x"), ("*", "*"), ("http://host", "/")]:
        assert framing.Head(b"", "1.1", [], target=target).path == path
