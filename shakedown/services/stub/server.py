"""HTTP/1.1 to the callers: each connection's calls one after the other, each counted.

`GET /-/stats` (JSON) and `/-/metrics` (Prometheus) tell what was called; they are not counted themselves.
"""

import asyncio
import json
import signal
import ssl
import sys
from collections import deque
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httptools
import uvloop

from shakedown.services.stub.answers import Answer, Call, Counts, Stub
from shakedown.services.stub.forward import Forwarder

LARGEST_BODY = 32 << 20
CHUNK = 1 << 16


class Calls:
    """Puts requests together from bytes."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Call, bool]] = deque()  # and whether the connection stays open after it
        self.size = 0
        self.waits = False  # the caller asked whether it may send the body
        self.parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """More bytes.

        Raises:
            ValueError: no HTTP, or too much of it.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ValueError(str(error)) from None

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url, self.body, self.size = b"", bytearray(), 0
        self.headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self.url += url
        self._more(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._more(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self.waits = self.headers.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._more(len(body))
        self.body += body

    def _more(self, number: int) -> None:
        self.size += number
        if self.size > LARGEST_BODY:
            raise ValueError("a request of more than 32 MiB")

    def on_message_complete(self) -> None:
        """It is whole."""
        path, _, query = self.url.decode("latin-1").partition("?")
        if "://" in path:  # an absolute form, as proxies get it
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        method = self.parser.get_method().decode("latin-1")
        call = Call(method, path.partition("#")[0], query, self.headers, bytes(self.body))
        self.ready.append((call, self.parser.should_keep_alive()))


class Server:
    """What answers: a stub, or a way through to the real one."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.counts = Counts()
        self.stub = Stub(plan, self.counts) if plan["kind"] == "stub" else None
        self.forwarder = Forwarder(plan, self.counts) if plan["kind"] == "proxy" else None

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        calls, through = Calls(), self.forwarder.way() if self.forwarder else None
        try:
            while True:
                while calls.ready:
                    call, stays = calls.ready.popleft()
                    own = self.own(call)
                    if own is not None:
                        await send(writer, own, stays=stays, head_only=call.method == "HEAD")
                    elif through is not None:
                        stays = await through.hand_on(call, writer) and stays
                    elif self.stub is not None:
                        label, answer = await self.stub.answer(call)
                        try:
                            await send(writer, answer, stays=stays, head_only=call.method == "HEAD")
                        except ConnectionError:
                            self.counts.unfinished[label] += 1
                            raise
                    if not stays:
                        return
                data = await reader.read(CHUNK)
                if not data:
                    return
                calls.feed(data)
                if calls.waits and not calls.ready:
                    calls.waits = False
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        except ValueError as error:
            await send(
                writer, Answer(400, {"content-type": "text/plain"}, f"{error}\n".encode()), stays=False, head_only=False
            )
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            if through is not None:
                through.close()
            writer.close()

    def own(self, call: Call) -> Answer | None:
        """What is asked about the server itself."""
        if call.path == "/-/stats":
            return Answer(200, {"content-type": "application/json"}, json.dumps(self.counts.stats()).encode())
        if call.path == "/-/metrics":
            return Answer(200, {"content-type": "text/plain; version=0.0.4"}, self.counts.metrics().encode())
        if call.path == "/-/health":
            return Answer(200, {"content-type": "text/plain"}, b"ok\n")
        return None


async def send(writer: asyncio.StreamWriter, answer: Answer, *, stays: bool, head_only: bool) -> None:
    """Write an answer."""
    reason = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "Status"
    head = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers.items())]
    if not stays:
        head.append("connection: close")
    bodiless = answer.status in (204, 304)
    if answer.events is not None:
        head.append("transfer-encoding: chunked")
    elif not bodiless:
        head.append(f"content-length: {len(answer.body)}")
    text = "\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in head)
    body = b"" if head_only or bodiless or answer.events is not None else answer.body
    writer.write(f"{text}\r\n\r\n".encode("latin-1", "replace") + body)
    await writer.drain()
    if answer.events is not None and not head_only:
        await send_events(writer, answer.events)


async def send_events(writer: asyncio.StreamWriter, events: AsyncIterator[bytes]) -> None:
    """Events as they come, each at once.

    Raises:
        ConnectionError: the caller is gone.
    """
    async for event in events:
        if writer.is_closing():
            raise ConnectionResetError
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def tls_of(plan: dict[str, Any]) -> ssl.SSLContext | None:
    """What is shown to callers, if anything."""
    if plan["tls"] is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(plan["tls"]["certificate"], plan["tls"]["key"])
    return context


async def main(plan: dict[str, Any]) -> None:
    """Serve until told to end."""
    ending = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, ending.set)
    server = Server(plan)
    await asyncio.start_server(server.connection, None, plan["port"], ssl=tls_of(plan), backlog=1024)
    await ending.wait()
    sys.stdout.write(json.dumps(server.counts.stats()) + "\n")


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
