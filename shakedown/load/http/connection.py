"""One HTTP/1.1 connection: sends bytes, parses one answer, and never holds more of it than it must.

A service answers with few different heads (status line and header fields): the same head, byte for byte, means the
same. So each distinct head is parsed once, by httptools, and known from then on; only its body is still counted. What
is not framed by a content length (chunks, a body that ends with the connection) is always parsed whole.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

__all__ = ["Head", "Heads", "HttpAnswer", "HttpConnection", "TransportFault"]

HEADER_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024  # of what checks look at; longer bodies are counted and thrown away
FIRST_FINAL_STATUS = 200
HEADS_KNOWN = 512
LONGEST_KNOWN = 4096
_END_OF_HEAD = b"\r\n\r\n"
_BLANK = b"\r\n"  # some servers send a line's end after a body
_EXCESS = "more bytes than the answer has, on a connection with one request"


@dataclass(slots=True)
class HttpAnswer:
    """An answer, as far as it was kept.

    Attributes:
        headers: by lower-case name; shared between answers, so read only. Of a field that comes several times the last.
        cookies: the values of Set-Cookie fields, in order.
        latency: seconds from the send to the end; whoever sent knows.
        size: the body's whole length as it came, also of what was not kept.
        truncated: the body is longer than what was kept of it.
        head: what its head means, when that was known already.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()
    body: bytes = b""
    latency: float = 0.0
    size: int = 0
    head: "Head | None" = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What a head means: the same for every answer that begins with these bytes.

    Attributes:
        judged: what checks that look at no more than the head found, by request.
        answer: with this head, for requests whose bodies are not kept; its latency is that of the latest.
    """

    status: int
    length: int
    headers: dict[str, str]
    cookies: tuple[str, ...]
    judged: dict[object, str | None] = field(default_factory=dict)
    answer: HttpAnswer = field(init=False)

    def __post_init__(self) -> None:
        """One answer serves all whose body nobody wants: whoever is told of it is done with it before the next comes."""
        object.__setattr__(
            self, "answer", HttpAnswer(self.status, self.headers, self.cookies, b"", 0.0, self.length, self)
        )


class Heads:
    """The heads that were met, as long as the same ones come again."""

    __slots__ = ("_hits", "_known", "_useful")

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._hits = 0
        self._useful = True

    def find(self, head: bytes) -> Head | None:
        """A head that was met before."""
        known = self._known.get(head)
        if known is not None:
            self._hits += 1
        return known

    def learn(self, data: bytes, head: Head) -> None:
        """Remember a head; a service whose heads are all different is not remembered for long."""
        if not self._useful:
            return
        if len(self._known) >= HEADS_KNOWN:
            self._useful = self._hits > HEADS_KNOWN
            self._hits = 0
            self._known.clear()
        self._known[data] = head


class TransportFault(Exception):  # noqa: N818 - a fault of the connection, told to the slot, never raised at a user
    """What went wrong below the answer's contents.

    Attributes:
        kind: refused, reset, closed, protocol, dns, tls, local, connect.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class HttpConnection(asyncio.Protocol):
    """A connection that serves one request at a time.

    Args:
        on_answer: called with the whole answer, or with what went wrong instead.
        heads: the heads known so far, shared by all connections of a load.
    """

    def __init__(
        self,
        on_answer: Callable[[HttpAnswer | None, TransportFault | None], None],
        heads: Heads | None = None,
    ) -> None:
        self._on_answer = on_answer
        self._heads = heads if heads is not None else Heads()
        self.transport: asyncio.Transport | None = None
        self.served = 0  # answers so far
        self.why_lost = ("closed", "the server closed the connection before it was asked anything")
        self.answering = False  # whether the answer under way has begun
        self._busy = False
        self._head = False
        self._keep_body = False
        self._known: Head | None = None  # of the answer under way, when its head was known
        self._missing = 0  # bytes of its body that are still to come
        self._parser: httptools.HttpResponseParser | None = None
        self._answer = HttpAnswer()
        self._chunks: list[bytes] = []
        self._kept = 0

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self.transport is not None and not self.transport.is_closing()

    def send(self, data: bytes, *, head: bool, keep_body: bool) -> None:
        """Send one request.

        Args:
            head: it is a HEAD request, whose answer has no body whatever its fields say.
            keep_body: whether the answer's body is wanted.
        """
        self._busy, self._head, self._keep_body, self.answering = True, head, keep_body, False
        assert self.transport is not None  # noqa: S101 - `usable` was looked at
        self.transport.write(data)

    def abort(self) -> None:
        """Cut the connection; nothing more is told."""
        self._busy = False
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    # --------------------------------------------------------------------------------------------------- from asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream transport, as create_connection makes

    def data_received(self, data: bytes) -> None:
        if not self._busy:  # an answer that nobody asked for: this connection cannot be trusted any more
            self.why_lost = ("protocol", "the server answered before it was asked")
            self.abort()
            return
        if self._known is not None:
            self._more_of_known(data)
            return
        if not self.answering:
            self.answering = True
            if not self._head:
                end = data.find(_END_OF_HEAD) + 4
                known = self._heads.find(data[:end]) if end > 3 else None
                if known is not None:
                    if self._keep_body or len(data) - end != known.length:
                        self._begin_known(known, data, end)
                        return
                    # The usual case, without a detour: nothing was kept or parsed, so nothing is to be put away.
                    self._busy = False
                    self.served += 1
                    self._on_answer(known.answer, None)
                    return
            self._begin_parsing()
        self._parse(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self._busy:
            return
        if exc is not None:
            self._fail("reset", str(exc) or type(exc).__name__)
        elif self._parser is not None and not self._in_headers and not self._bounded:
            self._finish_parsed(reusable=False)  # a body without a length ends with the connection
        else:
            where = "in mid-answer" if self._known or (self._parser and not self._in_headers) else "before an answer"
            self._fail("closed", f"the server closed the connection {where}")

    # --------------------------------------------------------------------------------------------- heads that are known
    def _begin_known(self, known: Head, data: bytes, end: int) -> None:
        have = len(data) - end
        if have == known.length:
            body = data[end:] if self._keep_body else b""
            self._finish(known, body[:BODY_LIMIT], reusable=True)
            return
        self._known, self._missing = known, known.length
        self._more_of_known(data[end:])

    def _more_of_known(self, data: bytes) -> None:
        known = self._known
        assert known is not None  # noqa: S101 - whoever calls looked
        if self._keep_body and self._kept < BODY_LIMIT:
            self._chunks.append(data)
            self._kept += len(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        if self._missing < 0 and data[self._missing :].strip(_BLANK):
            self._fail("protocol", _EXCESS)
            return
        body = b"".join(self._chunks)[: min(known.length, BODY_LIMIT)]
        reusable = self._missing == 0
        self._known = None
        self._finish(known, body, reusable=reusable)

    def _finish(self, head: Head, body: bytes, *, reusable: bool) -> None:
        answer = HttpAnswer(head.status, head.headers, head.cookies, body, 0.0, head.length, head)
        if self._keep_body and head.length > BODY_LIMIT:
            answer.truncated = True
        self._settle(reusable=reusable)
        self._on_answer(answer, None)

    # -------------------------------------------------------------------------------------------------- parsing in full
    def _begin_parsing(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer = HttpAnswer()
        self._cookies: list[str] = []
        self._first = b""
        self._in_headers = True
        self._head_bytes = 0
        self._length: int | None = None
        self._bounded = False
        self._done = False
        self._second = False
        self._idle_bytes = 0
        self._reusable = False

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None  # noqa: S101 - `_begin_parsing` made it
        if self._in_headers:
            self._head_bytes += len(data)
            if len(self._first) <= LONGEST_KNOWN:
                self._first += data
        size = self._answer.size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("protocol", "the server switched protocols")
            return
        except httptools.HttpParserError as error:
            self._fail("protocol", _EXCESS if self._done and not self._head else f"not HTTP: {error}")
            return
        # Told only now, and never from within the parser: it would take an error of the listener's for one of the
        # server's, and go on with what follows the answer as if it belonged to the next one.
        if self._second:
            self._fail("protocol", _EXCESS)
        elif self._done:
            self._finish_parsed(reusable=self._reusable)
        elif self._in_headers:
            if self._head_bytes > HEADER_LIMIT:
                self._fail("protocol", f"more than {HEADER_LIMIT} bytes of headers")
        elif self._answer.size == size:  # no body in it: fields after a chunked one, or a chunk's endless extension
            self._idle_bytes += len(data)
            if self._idle_bytes > HEADER_LIMIT:
                self._fail("protocol", f"more than {HEADER_LIMIT} bytes that are no body")
        else:
            self._idle_bytes = 0

    def on_message_begin(self) -> None:
        self._second = self._second or self._done  # two answers to one request: neither can be believed

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._done or not self._in_headers:  # fields after a chunked body are nobody's concern
            return
        lower, text = name.lower().decode("latin-1"), value.decode("latin-1")
        if lower == "content-length":
            self._bounded = True
        elif lower == "transfer-encoding":
            self._bounded, self._length = True, -1
        elif lower == "set-cookie":
            self._cookies.append(text)
        self._answer.headers[lower] = text

    def on_headers_complete(self) -> None:
        if self._done:
            return
        assert self._parser is not None  # noqa: S101 - it calls
        status = self._parser.get_status_code()
        if status < FIRST_FINAL_STATUS:  # 100 Continue and the like: the answer is still to come
            self._answer.headers.clear()
            self._cookies.clear()
            self._length = -1  # the head as a whole is no single one any more
            return
        self._in_headers = False
        self._answer.status = status
        self._answer.cookies = tuple(self._cookies)
        if self._head:
            self._done = True
            self._reusable = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if self._done:
            self._second = True
            return
        self._answer.size += len(data)
        if self._keep_body and self._kept < BODY_LIMIT:
            self._chunks.append(data)
            self._kept += len(data)

    def on_message_complete(self) -> None:
        if not self._in_headers and not self._done:
            assert self._parser is not None  # noqa: S101 - it calls
            self._done = True
            self._reusable = self._parser.should_keep_alive()

    def _finish_parsed(self, *, reusable: bool) -> None:
        answer = self._answer
        answer.body = b"".join(self._chunks)[:BODY_LIMIT]
        answer.truncated = self._keep_body and answer.size > BODY_LIMIT
        end = self._first.find(_END_OF_HEAD) + 4
        if reusable and self._length is None and not self._head and 3 < end <= LONGEST_KNOWN:
            # The answer was framed by its head alone, and whole: the next one that begins alike is read alike.
            self._heads.learn(self._first[:end], Head(answer.status, answer.size, answer.headers, answer.cookies))
        self._settle(reusable=reusable)
        self._on_answer(answer, None)

    # -------------------------------------------------------------------------------------------------------- endings
    def _settle(self, *, reusable: bool) -> None:
        """An answer is whole: be ready for the next one, or close."""
        self._busy = False
        self.served += 1
        self._parser = None
        if self._chunks:
            self._chunks = []
        self._kept = 0
        if not reusable and self.transport is not None:
            self.transport.close()
            self.transport = None

    def _fail(self, kind: str, text: str) -> None:
        if not self._busy:
            return
        self._busy = False
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
        self._on_answer(None, TransportFault(kind, text))
