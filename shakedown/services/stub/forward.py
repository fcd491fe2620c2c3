"""The proxy: calls handed on to the real one, whose answers come back byte for byte, as they come."""

import asyncio
import contextlib
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import httptools

from shakedown.services.stub.answers import Call, Counts

DIAL_WITHIN = 10.0
CHUNK = 1 << 16
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})  # RFC 9110, 9.2.2
OURS = frozenset(
    {
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "expect",
        "transfer-encoding",
        "content-length",
    }
)


class Forwarder:
    """Where calls go, and how."""

    def __init__(self, plan: dict[str, Any], counts: Counts) -> None:
        parts = urlsplit(plan["to"])
        self.host, self.counts = parts.hostname or "", counts
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = parts.netloc
        self.tls = ssl.create_default_context(cafile=plan["ca"]) if parts.scheme == "https" else None

    def way(self) -> "Way":
        """For one connection of a caller."""
        return Way(self)


class Way:
    """One connection of a caller has one to the other side, which is kept for its next call."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def hand_on(self, call: Call, caller: asyncio.StreamWriter) -> bool:
        """Hand one call on and its answer back; whether the caller's connection can stay open."""
        counts = self.forwarder.counts
        label = f"{call.method} {call.path[:80]}"
        label = label if label in counts.calls or len(counts.calls) < 100 else "others"
        counts.called(label)
        body = b"" if not call.body and call.method in ("GET", "HEAD", "DELETE", "OPTIONS") else call.body
        target = f"{call.path}?{call.query}" if call.query else call.path
        lines = [f"{call.method} {target} HTTP/1.1", f"host: {self.forwarder.name}"]
        lines += [f"{name}: {value}" for name, value in call.headers.items() if name not in OURS]
        if body or call.method not in ("GET", "HEAD", "DELETE", "OPTIONS"):
            lines.append(f"content-length: {len(body)}")
        message = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        answer = Answers(head_only=call.method == "HEAD")
        if self.reader is not None and self.reader.at_eof():  # the other side has closed it meanwhile
            self.close()
        while True:
            again = self.writer is not None and call.method in IDEMPOTENT
            try:
                if self.writer is None:
                    await self.dial()
                first = await self.send(message)
            except (TimeoutError, OSError) as error:
                self.close()
                if again:  # it was closed just now; what may be done twice is sent on a new one
                    continue
                return self.refuse(caller, label, f"{type(error).__name__}: {error}")
            if not first:
                self.close()
                if again:
                    continue
                return self.refuse(caller, label, "the other side closed the connection without an answer")
            break
        return await self.hand_back(first, answer, caller, label)

    async def dial(self) -> None:
        """Connect."""
        tls, host = self.forwarder.tls, self.forwarder.host
        dialling = asyncio.open_connection(host, self.forwarder.port, ssl=tls, server_hostname=host if tls else None)
        self.reader, self.writer = await asyncio.wait_for(dialling, DIAL_WITHIN)

    async def send(self, message: bytes) -> bytes:
        """Send a call; the first bytes of the answer."""
        assert self.reader is not None and self.writer is not None  # noqa: S101, PT018 - for the type checker
        self.writer.write(message)
        await self.writer.drain()
        return await self.reader.read(CHUNK)

    async def hand_back(self, data: bytes, answer: "Answers", caller: asyncio.StreamWriter, label: str) -> bool:
        """The answer's bytes, each as soon as it is there."""
        assert self.reader is not None  # noqa: S101 - for the type checker
        while data:
            answer.feed(data)
            caller.write(data)
            await caller.drain()
            if answer.complete:
                break
            try:
                data = await self.reader.read(CHUNK)
            except OSError:
                data = b""
        self.forwarder.counts.answered(label, answer.status)
        if not answer.complete and not answer.until_end:
            self.forwarder.counts.unfinished[label] += 1
        if not answer.complete or not answer.stays:
            self.close()
            return False
        return True

    def refuse(self, caller: asyncio.StreamWriter, label: str, why: str) -> bool:
        """The other side cannot be reached."""
        self.forwarder.counts.answered(label, 502)
        body = json.dumps({"error": {"type": "proxy", "message": f"{self.forwarder.name}: {why}"}}).encode()
        head = f"HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        caller.write(head.encode() + body)
        return True

    def close(self) -> None:
        """Let go of the other side."""
        if self.writer is not None:
            with contextlib.suppress(Exception):
                self.writer.close()
        self.reader = self.writer = None


class Answers:
    """Watches an answer pass: its status, and where it ends."""

    def __init__(self, *, head_only: bool) -> None:
        self.status, self.complete, self.stays, self.until_end = 0, False, True, False
        self._head_only, self._framed = head_only, False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """More bytes of it; what cannot be read is handed on all the same, until the other side ends."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.stays, self.until_end = False, True

    def on_header(self, name: bytes, _: bytes) -> None:
        """One of its headers."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self.status = self._parser.get_status_code()
        self.stays = self._parser.should_keep_alive()
        self.until_end = not self._framed
        if self._head_only:
            self.complete = True

    def on_message_complete(self) -> None:
        """It is whole."""
        self.complete = True
        self.stays = self.stays and self._parser.should_keep_alive()
