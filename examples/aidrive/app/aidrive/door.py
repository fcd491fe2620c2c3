"""The door: HTTP/1.1 connections, and how many requests are let in at once.

To refuse must cost next to nothing, or refusing is what brings a service down. So a request is refused right where it
arrives, in one write and before anything is made for it: 503, and when to come again.
"""

import asyncio
import json
import os
import signal
import time
from typing import Any, Awaitable, Callable

from aidrive import defects
from aidrive.metrics import METRICS, watch_the_loop

LIMIT = int(os.environ.get("AIDRIVE_LIMIT", 128))  # requests inside at once
CONNECTIONS, BACKLOG = 200, 2048
LARGEST = 16 * 1024
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error",
           502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip

Answer = tuple[int, bytes]
Handler = Callable[[str], Awaitable[Answer]]


def as_json(document: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return status, json.dumps(document).encode()


def _written(status: int, body: bytes) -> bytes:
    kind = b"application/json" if body[:1] in b"{[" else b"text/plain; version=0.0.4"
    again = b"Retry-After: 1\r\n" if status == 503 else b""
    head = b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n"
    return head % (status, REASONS[status].encode(), kind, again, len(body)) + body


FULL = _written(503, b'{"error": "too much to do: come again"}')
_LATER = asyncio.Semaphore(200) if defects.on("backlog") else None


class House:
    """Routes, and who is inside.

    Args:
        routes: by path; one that ends in `/` takes all below it.
        always: those that are let in however full it is: who watches must see.
    """

    def __init__(self, routes: dict[str, Handler], always: frozenset[str] = frozenset({"/health", "/metrics"})) -> None:
        self._routes, self._always = routes, always
        self._prefixes = tuple(path for path in routes if path.endswith("/"))
        self.inside = self.connections = 0
        self.requests = METRICS.counters
        self.requests["shed_total"] = 0
        METRICS.readers.append(
            lambda: {"in_flight": self.inside, "in_flight_limit": LIMIT, "connections": self.connections}
        )

    def enter(self, method: bytes, target: str, reply: Callable[[bytes], None]) -> None:
        """A request: refused at once, or begun."""
        path = target.partition("?")[0]
        route = path if path in self._routes else next((each for each in self._prefixes if path.startswith(each)), None)
        if method != b"GET":
            reply(_written(405, b'{"error": "GET alone"}'))
        elif route is None:
            reply(_written(404, b'{"error": "no such page"}'))
        elif self.inside >= LIMIT and route not in self._always and not defects.on("no-admission"):
            self.requests["shed_total"] += 1
            if _LATER is not None:
                asyncio.get_running_loop().create_task(self._do_later(route, path))
            reply(FULL)
        else:
            self.inside += route not in self._always
            asyncio.get_running_loop().create_task(self._serve(route, path, reply))

    async def _serve(self, route: str, path: str, reply: Callable[[bytes], None]) -> None:
        counted = route not in self._always
        begun = time.monotonic()
        try:
            status, body = await self._routes[route](path)
        except Exception as error:  # a request that goes wrong takes nobody with it
            status, body = as_json({"error": type(error).__name__}, 500)
        finally:
            self.inside -= counted
        if counted:
            METRICS.observe(time.monotonic() - begun)
        self.requests[f'requests_total{{path="{route}",status="{status}"}}'] += 1
        reply(_written(status, body))

    async def _do_later(self, route: str, path: str) -> None:
        async with _LATER:
            for _ in range(3):  # nobody waits: it may as well be thorough
                await self._routes[route](path)


class Connection(asyncio.Protocol):
    """One connection; one request at a time, in their order."""

    def __init__(self, house: House) -> None:
        self._house, self._left, self._busy, self._last = house, b"", False, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._house.connections += 1
        if defects.on("few-connections") and self._house.connections > CONNECTIONS:
            transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._house.connections -= 1

    def data_received(self, data: bytes) -> None:
        self._left += data
        if len(self._left) > LARGEST:
            self._transport.close()
        self._next()

    def _next(self) -> None:
        while not self._busy and not self._last:
            head, found, rest = self._left.partition(b"\r\n\r\n")
            if not found:
                return
            self._left, self._busy = rest, True
            words = head.partition(b"\r\n")[0].split(b" ")
            fields = head.lower()
            self._last = b"\r\nconnection: close" in fields or words[-1] != b"HTTP/1.1"
            if len(words) != 3 or b"\r\ntransfer-encoding:" in fields or b"\r\ncontent-length:" in fields:
                self._last = True
                self._reply(_written(400, b'{"error": "a request without a body was expected"}'))
            else:
                self._house.enter(words[0], words[1].decode("latin-1"), self._reply)

    def _reply(self, answer: bytes) -> None:
        self._busy = False
        if self._transport.is_closing():
            return
        self._transport.write(answer)
        if self._last:
            self._transport.close()
        elif self._left:
            self._next()


async def _run(house: House, prepare: Callable[[], Awaitable[None]]) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    await prepare()
    watching = loop.create_task(watch_the_loop())
    server = await loop.create_server(
        lambda: Connection(house), port=int(os.environ.get("PORT", 8000)), backlog=BACKLOG
    )
    await end.wait()
    server.close()
    watching.cancel()
    until = time.monotonic() + 1.0
    while house.inside and time.monotonic() < until:
        await asyncio.sleep(0.01)


def serve(house: House, prepare: Callable[[], Awaitable[None]]) -> None:
    """Run until SIGTERM."""
    import uvloop

    defects.check()
    uvloop.install()
    asyncio.run(_run(house, prepare))
