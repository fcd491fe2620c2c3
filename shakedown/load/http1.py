"""One HTTP/1.1 connection: sends bytes, parses one answer, and never holds more of it than it must."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

__all__ = ["HttpAnswer", "HttpConnection", "TransportFault"]

HEADER_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024  # of what checks look at; longer bodies are counted and thrown away
FIRST_FINAL_STATUS = 200


@dataclass(slots=True)
class HttpAnswer:
    """An answer, as far as it was kept."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    latency: float = 0.0
    size: int = 0


class TransportFault(Exception):  # noqa: N818 - a fault of the connection, told to the slot, never raised at a user
    """What went wrong below the answer's contents.

    Attributes:
        kind: refused, reset, closed, protocol, dns.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class HttpConnection(asyncio.Protocol):
    """A connection that serves one request at a time.

    Args:
        on_answer: called with the whole answer, or with what went wrong instead.
    """

    def __init__(self, on_answer: Callable[[HttpAnswer | None, TransportFault | None], None]) -> None:
        self._on_answer = on_answer
        self.transport: asyncio.Transport | None = None
        self._busy = False
        self._head = False
        self._keep_body = False
        self._keep_headers = False
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer = HttpAnswer()
        self._chunks: list[bytes] = []
        self._kept = 0
        self._in_headers = True
        self._head_bytes = 0
        self._bounded = False
        self._done = False
        self._reusable = False

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self.transport is not None and not self.transport.is_closing()

    def send(self, data: bytes, *, head: bool, keep_body: bool, keep_headers: bool) -> None:
        """Send one request."""
        self._busy, self._head, self._keep_body, self._keep_headers = True, head, keep_body, keep_headers
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
            self.abort()
            return
        if self._in_headers:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("protocol", "the server switched protocols")
            return
        except httptools.HttpParserError as error:
            if not self._done:
                self._fail("protocol", f"not HTTP: {error}")
                return
            self._reusable = False
        # Told only now, and never from within the parser: it would take an error of the listener's for one of the
        # server's, and go on with what follows the answer as if it belonged to the next one.
        if self._done:
            self._finish(reusable=self._reusable)
        elif self._in_headers and self._head_bytes > HEADER_LIMIT:
            self._fail("protocol", f"more than {HEADER_LIMIT} bytes of headers")

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self._busy:
            return
        if exc is not None:
            self._fail("reset", str(exc) or type(exc).__name__)
        elif not self._in_headers and not self._bounded:  # a body without a length ends with the connection
            self._finish(reusable=False)
        else:
            where = "before an answer" if self._in_headers else "in mid-answer"
            self._fail("closed", f"the server closed the connection {where}")

    # ------------------------------------------------------------------------------------------------- from httptools
    def on_message_begin(self) -> None:
        if self._done:  # a second answer to one request: whatever comes here next cannot be told apart
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._done:
            return
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._bounded = True
        if self._keep_headers:
            self._answer.headers[lower.decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._done:
            return
        status = self._parser.get_status_code()
        if status < FIRST_FINAL_STATUS:  # 100 Continue and the like: the answer is still to come
            return
        self._in_headers = False
        self._answer.status = status
        if self._head:
            self._done = True
            self._reusable = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if self._done:
            self._reusable = False
            return
        self._answer.size += len(data)
        if self._keep_body and self._kept < BODY_LIMIT:
            self._chunks.append(data)
            self._kept += len(data)

    def on_message_complete(self) -> None:
        if not self._in_headers and not self._done:
            self._done = True
            self._reusable = self._parser.should_keep_alive()

    # -------------------------------------------------------------------------------------------------------- endings
    def _finish(self, *, reusable: bool) -> None:
        self._busy = False
        answer = self._answer
        answer.body = b"".join(self._chunks)
        if reusable:
            self._reset()
        elif self.transport is not None:
            self.transport.close()
            self.transport = None
        self._on_answer(answer, None)

    def _fail(self, kind: str, text: str) -> None:
        if not self._busy:
            return
        self._busy = False
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
        self._on_answer(None, TransportFault(kind, text))
