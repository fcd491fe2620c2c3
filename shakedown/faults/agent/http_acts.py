"""What an HTTP fault does to an answer: one class each.

`change` disturbs the service's answer as it passes. Where `replaces` is set, `answer` gives ours instead, and `forward`
says whether the service gets the request all the same. An act tells its fault (`http_faults.Http`) what it did:
`disturbed` with what was measured, or `unfit` when there was nothing to disturb (no body to cut, no such text).
"""

import re
import zlib

from http_relay import Close

BODY_LIMIT = 1024 * 1024  # bytes of a body that is taken in whole to be changed
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
    409: "Conflict", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


def rewritten(raw, values, drop=()):
    """A head with some headers set (in place of all of that name) or dropped; the rest byte for byte."""
    gone = {name.lower() for name in (*values, *drop)}
    first, *lines = raw.lstrip(b"\r\n").split(b"\n")
    end = b"\r\n" if first.endswith(b"\r") else b"\n"
    kept = [
        line + b"\n" for line in lines if line.strip() and line.split(b":")[0].decode("latin-1").lower() not in gone
    ]
    added = [f"{name}: {value}".encode("latin-1") + end for name, value in values.items()]
    return b"".join([first + b"\n", *kept, *added, end])


class Act:
    """What every one has."""

    replaces = False
    forward = True

    def __init__(self, fault, parameters):
        self.fault = fault
        for name, value in parameters.items():
            setattr(self, name, value)


class Status(Act):
    """A status, headers and a body instead of the service's."""

    replaces, forward = True, False

    async def answer(self, relay, exchange):
        body = self.body.encode() if exchange.request.method != "HEAD" and self.status not in (204, 304) else b""
        fields = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        if self.status not in (204, 304):
            fields["Content-Length"] = str(len(self.body.encode()))
        if exchange.last or exchange.expects:
            fields["Connection"] = "close"
        head = f"HTTP/1.1 {self.status} {REASONS.get(self.status, '')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        relay.client.write(head.encode("latin-1") + b"\r\n" + body)
        await relay.client.drain()
        self.fault.disturbed(exchange, self.status)


class Abort(Act):
    """No answer: the connection is reset, or closed."""

    replaces, forward = True, False

    async def answer(self, relay, exchange):
        self.fault.disturbed(exchange, "reset" if self.how == "reset" else "closed")
        if self.how == "reset":
            relay.client.abort()
        raise Close


class Hang(Act):
    """No answer until the client gives up, or the fault ends; then the connection is closed."""

    replaces, forward = True, False

    async def answer(self, relay, exchange):
        self.fault.disturbed(exchange, "no answer")
        self.fault.measured(await self.fault.pause(None, relay, until_gone=True))
        raise Close


class Delay(Act):
    """The answer's head, or the second half of its body, comes later."""

    async def change(self, relay, exchange, head):
        if self.at == "headers":
            await self.wait(relay, exchange, head)
            relay.client.write(head.raw)
            await relay.rest()
            return
        length = relay.length
        relay.client.write(head.raw)
        before = length // 2 if isinstance(length, int) else 1  # bytes of the body before the delay
        waited = False
        async for raw, payload in relay.body():
            if not waited and payload and len(payload) > before:
                relay.client.write(raw[:before])
                raw = raw[before:]
                await relay.client.drain()
                await self.wait(relay, exchange, head)
                waited = True
            if payload and not waited:
                before -= len(payload)
            relay.client.write(raw)
            await relay.client.drain()
        if not waited:
            self.fault.unfit(exchange, "no body", head.status)

    async def wait(self, relay, exchange, head):
        extra = self.jitter * (2 * self.fault.random.random() - 1)
        asked = max(self.delay + extra, 0.0)
        self.fault.disturbed(exchange, f"{head.status}, late")
        waited = await self.fault.pause(asked, relay)
        if waited >= asked:  # not when the fault ended
            self.fault.measured(waited)


class Truncate(Act):
    """The body ends too early: fewer bytes than Content-Length says, or chunks without an end; then the connection."""

    async def change(self, relay, exchange, head):
        length = relay.length
        if length in (None, 0) or (self.keep is not None and length != "chunked" and length <= self.keep):
            self.fault.unfit(exchange, "no body to cut" if length in (None, 0) else "short", head.status)
            relay.client.write(head.raw)
            await relay.rest()
            return
        left = self.keep if self.keep is not None else None if length == "chunked" else length // 2
        relay.client.write(head.raw)
        async for raw, payload in relay.body():
            if left is None:  # all chunks but the last, which is the one of size 0
                if not payload and raw.strip(b"0; \t\r\n") == b"" and b"0" in raw:
                    break
                relay.client.write(raw)
            elif payload and len(payload) >= left:
                relay.client.write(raw[:left])
                break
            else:
                left -= len(payload)
                if raw.strip(b"0; \t\r\n") == b"" and not payload and b"0" in raw:
                    break
                relay.client.write(raw)
            await relay.client.drain()
        await relay.client.drain()
        self.fault.disturbed(exchange, f"{head.status}, cut")
        raise Close


class Body(Act):
    """Another body, or another text in it; Content-Length is kept right."""

    async def change(self, relay, exchange, head):
        if exchange.request.method == "HEAD" or relay.length == 0:
            return await self.unchanged(relay, exchange, head, [], "no body")
        if self.body is not None:
            await relay.discard()
            return await self.give(relay, exchange, head, self.body.encode(), drop=("content-encoding",))
        coding = (head.get("content-encoding") or "identity").strip().lower()
        if coding not in ("identity", "gzip"):
            return await self.unchanged(relay, exchange, head, [], f"in coding {coding}")
        raws, payloads, size = [], [], 0
        async for raw, payload in relay.body():
            raws.append(raw)
            payloads.append(payload)
            size += len(raw)
            if size > BODY_LIMIT:
                return await self.unchanged(relay, exchange, head, raws, "too long")
        body = b"".join(payloads)
        if coding == "gzip":
            try:
                unpacker = zlib.decompressobj(31)
                body = unpacker.decompress(body, 8 * BODY_LIMIT)
                if unpacker.unconsumed_tail:
                    return await self.unchanged(relay, exchange, head, raws, "too long", whole=True)
            except zlib.error:
                return await self.unchanged(relay, exchange, head, raws, "no gzip", whole=True)
        text, times = re.subn(self.pattern, self.replacement, body.decode("utf-8", "surrogateescape"))
        if not times:
            return await self.unchanged(relay, exchange, head, raws, "without the text", whole=True)
        drop = ("content-encoding",) if coding == "gzip" else ()
        return await self.give(relay, exchange, head, text.encode("utf-8", "surrogateescape"), drop)

    async def give(self, relay, exchange, head, body, drop):
        values = {"Content-Length": str(len(body))}
        relay.client.write(rewritten(head.raw, values, ("transfer-encoding", "trailer", *drop)) + body)
        await relay.client.drain()
        self.fault.disturbed(exchange, f"{head.status}, changed")

    async def unchanged(self, relay, exchange, head, raws, why, whole=False):
        self.fault.unfit(exchange, why, head.status)
        relay.client.write(head.raw + b"".join(raws))
        if not whole:
            await relay.rest()
        await relay.client.drain()


class Header(Act):
    """Headers set or removed."""

    async def change(self, relay, exchange, head):
        if not self.values and not any(head.get(name.lower()) is not None for name in self.drop):
            self.fault.unfit(exchange, "without the header", head.status)
            relay.client.write(head.raw)
        else:
            relay.client.write(rewritten(head.raw, self.values, self.drop))
            self.fault.disturbed(exchange, f"{head.status}, changed")
        await relay.rest()


class Drip(Act):
    """The body in drips."""

    async def change(self, relay, exchange, head):
        relay.client.write(head.raw)
        await relay.client.drain()
        first, met = True, False
        async for raw, _ in relay.body():
            for start in range(0, len(raw), self.drip):
                if not first:
                    if not met:
                        self.fault.disturbed(exchange, f"{head.status}, dripping")
                    met = True
                    waited = await self.fault.pause(self.pause, relay)
                    if waited >= self.pause:
                        self.fault.measured(waited)
                first = False
                relay.client.write(raw[start : start + self.drip])
                await relay.client.drain()
        if not met:
            self.fault.unfit(exchange, "no body" if first else "short", head.status)


ACTS = {
    "status": Status, "abort": Abort, "hang": Hang, "delay": Delay, "truncate": Truncate, "body": Body,
    "header": Header, "drip": Drip,
}  # fmt: skip
