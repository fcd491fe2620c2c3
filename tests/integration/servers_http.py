"""A real HTTP server for tests, in a process of its own: an application, every way to misbehave, and counts of what it saw.

`GET /__seen` tells the counts and the rows that were noted; it is not counted itself.
"""

import asyncio
import base64
import contextlib
import functools
import gzip
import json
import re
import ssl
import sys
import zlib
from collections import Counter
from urllib.parse import parse_qs, urlsplit

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HOSTILE = {
    "garbage": b"nonsense\r\n\r\n",
    "http09": b"<html>hello</html>\n",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "bad-chunks": CHUNKED + b"zz\r\nbad\r\n",
    "half-chunk": CHUNKED + b"10\r\nhalf",
    "nothing": b"",
    "too-long": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and much more than that",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "two-answers": OK + OK,
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
    "bad-status": b"HTTP/1.1 9999 What\r\n\r\n",
    "both-lengths": CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "nul-header": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
}
ENDLESS = {
    "endless-header": (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536),
    "endless-headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 8192),
    "endless-trailers": (CHUNKED + b"2\r\nok\r\n0\r\n", b"X-A: b\r\n" * 8192),
    "endless-trailer": (CHUNKED + b"2\r\nok\r\n0\r\nX: ", b"a" * 65536),
    "endless-chunk-size": (CHUNKED + b"2;x=", b"a" * 65536),
    "continue-flood": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2048),
    "endless-body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "endless-chunks": (CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
}


@functools.cache
def bomb() -> bytes:
    """200 MB of nothing, packed small; made once, for that takes a while."""
    return gzip.compress(bytes(200_000_000), 1)


class Seen:
    """What came in."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rows: list[str] = []


class Peer:
    """One connection."""

    def __init__(self, reader, writer, seen: Seen, mode: str) -> None:
        self.reader, self.writer, self.seen, self.mode = reader, writer, seen, mode
        self.served = 0

    async def serve(self) -> None:
        if self.mode == "early":
            self.writer.write(OK)
            await self.writer.drain()
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").rstrip().split("\r\n")
            method, target, _ = line.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            path = urlsplit(target).path
            if path == "/__seen":
                self.answer(200, {"counts": self.seen.counts, "rows": self.seen.rows})
                continue
            self.seen.counts["requests"] += 1
            self.seen.counts[f"{method} {path}"] += 1
            if not self.served:
                self.seen.counts["connections"] += 1
            self.served += 1
            if not await self.act(method, target, headers, body) or headers.get("connection") == "close":
                return

    def answer(
        self, status: int, data: object = None, headers: dict[str, str] | None = None, raw: bytes | None = None
    ) -> bool:
        body = raw if raw is not None else json.dumps(data).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body)
        return True

    async def act(self, method, target, headers, body) -> bool:  # noqa: PLR0915 - one case for each way
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        name, _, rest = parts.path[1:].partition("/")
        number = self.seen.counts["requests"]
        match name:
            case "hostile":
                return await self.misbehave(rest)
            case "echo":
                found = {"method": method, "target": target, "headers": headers, "body": body.decode("latin-1")}
                return self.answer(200, found, {"X-Number": str(number)})
            case "extra":  # one answer, and some time later another
                self.answer(200, {"target": target})
                await self.writer.drain()
                await asyncio.sleep(0.02)
                self.writer.write(OK)
                return True
            case "note":
                self.seen.rows.append(query.get("row", ""))
                return self.answer(int(query.get("status", "200")), {"row": query.get("row")})
            case "login":
                self.seen.counts["logins"] += 1
                token = f"t{self.seen.counts['logins']}"
                data = {"access_token": token, "user": {"ids": [7, 8]}}
                return self.answer(200, data, {"Set-Cookie": f"session=s-{token}; Path=/; HttpOnly"})
            case "items" if method == "POST":
                token = headers.get("authorization", "").removeprefix("Bearer ")
                return self.answer(201, {}, {"Location": f"/items/{token[1:]}"}) if token else self.answer(401, {})
            case "items":
                token = headers.get("authorization", "").removeprefix("Bearer ")
                whole = token == f"t{rest}" and headers.get("cookie") == f"session=s-{token}"
                self.seen.counts["whole sessions"] += whole
                return self.answer(200 if whole else 403, {"id": rest})
            case "page":
                return self.answer(200, raw=b'<input name="csrf" value="c-%d">' % number)
            case "redirect":
                left = int(rest or "0")
                to = f"/redirect/{left - 1}" if left > 1 else "/echo"
                return self.answer(int(query.get("status", "302")), {}, {"Location": to})
            case "away":
                return self.answer(302, {}, {"Location": query["to"]})
            case "loop":
                return self.answer(302, {}, {"Location": "/loop"})
            case "gate":  # sends back to itself with a cookie
                if "pass=yes" in headers.get("cookie", ""):
                    return self.answer(200, {})
                return self.answer(302, {}, {"Location": "/gate", "Set-Cookie": "pass=yes"})
            case "gzip":
                return self.answer(200, raw=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
            case "deflate":
                return self.answer(200, raw=zlib.compress(b'{"a": 1}'), headers={"Content-Encoding": "deflate"})
            case "bomb":
                return self.answer(200, raw=bomb(), headers={"Content-Encoding": "gzip"})
            case "torn-gzip":
                return self.answer(200, raw=gzip.compress(b'{"a": 1}' * 99)[:-12], headers={"Content-Encoding": "gzip"})
            case "once":  # serves one request of a connection, and closes it when the second one comes
                if self.served > 1:
                    self.seen.counts["dropped"] += 1
                    return False
                return self.answer(200, {})
            case "basic":
                given = base64.b64decode(headers.get("authorization", "").removeprefix("Basic "))
                return self.answer(200 if given == b"ann:s3cret-word" else 401, {"password": "s3cret-word"})
            case "leak":
                return self.answer(
                    500, {"error": "no", "api_key": "k-very-secret", "got": headers.get("authorization")}
                )
            case "big":
                self.answer(200, raw=b"x" * int(rest))
                await self.writer.drain()
                return True
            case "slow-first":
                await asyncio.sleep(30)
                return False
            case "slow-body":
                self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                await asyncio.sleep(30)
                return False
            case "hints":
                self.writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
                return self.answer(200, {"final": True})
            case "bare":
                length = b"Content-Length: 5\r\n" if method == "HEAD" else b""
                self.writer.write(f"HTTP/1.1 {rest} X\r\n".encode() + length + b"\r\n")
                return True
            case "status":
                return self.answer(int(rest), {})
        return self.answer(404, {})

    async def misbehave(self, kind: str) -> bool:
        if kind in ENDLESS:
            first, more = ENDLESS[kind]
            self.writer.write(first)
            while True:
                self.writer.write(more)
                await self.writer.drain()
        if kind == "gigabyte":
            self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            piece = b"x" * 100_000
            for _ in range(10_000):
                self.writer.write(piece)
                await self.writer.drain()
            return True
        if kind == "drip":
            for byte in OK + b"x" * 1000:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(0.05)
            return False
        if kind == "reset":
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER of no time: close with a reset
            self.writer.transport.abort()
            return False
        self.writer.write(HOSTILE[kind])
        await self.writer.drain()
        return False


async def serve(port: int, mode: str, tls: list[str]) -> None:
    seen = Seen()

    async def handle(reader, writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            await Peer(reader, writer, seen, mode).serve()
        writer.close()

    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls[0])
        if len(tls) > 1:
            context.load_verify_locations(tls[1])
            context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(handle, "127.0.0.1", port, ssl=context)
    print("ready", flush=True)  # noqa: T201 - told to the parent
    await server.serve_forever()


if __name__ == "__main__":
    assert re.fullmatch(r"\d+", sys.argv[1])
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
