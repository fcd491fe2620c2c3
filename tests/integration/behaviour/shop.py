"""A shop for tests, in one of two roles: `shop.py payments PORT`, `shop.py api PORT PAYMENTS_PORT MISTAKES`.

The api answers `GET /` with what payments say, or with a degraded answer when they say nothing. It counts its calls and
tells the state of its circuit breaker at `/metrics`. Mistakes: `no-breaker`, `retry-storm`, `no-degradation`.
"""

import asyncio
import sys
import time

TRIES = 8
OPEN_AFTER, OPEN_FOR = 3, 1.5
LIMIT = 0.3


class Circuit:
    """Opens after a few failures in a row, lets one call through after a while, closes when that succeeds."""

    def __init__(self, *, works: bool) -> None:
        self.works, self.failures, self.until, self.state = works, 0, 0.0, 0

    def allows(self) -> bool:
        if self.state == 2 and time.monotonic() >= self.until:
            self.state = 1
            return True
        return self.state == 0

    def note(self, *, ok: bool) -> None:
        self.failures = 0 if ok else self.failures + 1
        if ok:
            self.state = 0
        elif self.works and (self.failures >= OPEN_AFTER or self.state == 1):
            self.state, self.until = 2, time.monotonic() + OPEN_FOR


class Shop:
    """What answers."""

    def __init__(self, payments: int | None, mistakes: set[str]) -> None:
        self.payments, self.mistakes, self.calls = payments, mistakes, 0
        self.circuit = Circuit(works="no-breaker" not in mistakes)

    async def call(self) -> bool:
        self.calls += 1
        try:
            async with asyncio.timeout(LIMIT):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.payments)
                writer.write(b"GET / HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                return b"200" in answer
        except (OSError, TimeoutError):
            return False

    async def answer(self, path: str) -> tuple[int, str]:
        if path == "/metrics":
            return 200, f"payment_calls_total {self.calls}\ncircuit_state {self.circuit.state}\n"
        if path == "/health" or self.payments is None:
            return 200, "{}"
        for _ in range(TRIES if "retry-storm" in self.mistakes else 1):
            if not self.circuit.allows():
                break
            ok = await self.call()
            self.circuit.note(ok=ok)
            if ok:
                return 200, '{"degraded": false}'
        return (503, "{}") if "no-degradation" in self.mistakes else (200, '{"degraded": true}')

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                status, body = await self.answer(head.split(b" ")[1].decode())
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
                if b"connection: close" in head.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


async def main() -> None:
    role, port, *rest = sys.argv[1:]
    shop = Shop(int(rest[0]) if role == "api" else None, set(rest[1].split(",")) if role == "api" else set())
    server = await asyncio.start_server(shop.serve, "127.0.0.1", int(port), backlog=500)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
