"""The intake: accepts messages, answers questions about them."""

import asyncio
import json
import time
from typing import Any

import aiohttp
from aiohttp import web

from courier import defects
from courier.audit import Audit
from courier.cache import Cache
from courier.http import make_app, patiently, serve
from courier.metrics import METRICS
from courier.presence import Presence
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable

TEXT_LIMIT = 10_000
EVENTS = ("message", "status", "delivery")
PAGE = 100
KEPT = 800_000_000  # bytes of contexts: even a leak is bounded here, below 1 GB
FLUSH_EVERY = 0.3
CACHE_FOR = 30.0


class Intake:
    """Where accepted messages go."""

    def __init__(self, queue: Queue, store: Store) -> None:
        self._queue, self._store = queue, store
        self._buffer: list[tuple[str, str, str]] = []
        self._contexts: list[bytes] = []

    async def accept(self, message: str, user: str, text: str) -> str:
        """`accepted`, `duplicate` or `full`; with defects, what the mistake makes of it."""
        if defects.on("leak-memory") and len(self._contexts) * SETTINGS.context < KEPT:
            self._contexts.append(text.encode() + b"x" * SETTINGS.context)
        if defects.on("lose-writes"):
            self._buffer.append((message, user, text))
            return "accepted"
        if defects.on("cascade") and await self._store.message(message) is not None:
            return "duplicate"
        return await self._queue.accept(message, user, text)

    async def flush_for_ever(self) -> None:
        """The mistake of lose-writes: what cannot be stored now is forgotten."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            batch, self._buffer = self._buffer, []
            for item in batch:
                try:
                    await self._queue.accept(*item)
                except QueueUnavailable:
                    break


class Review:
    """Whether there is room for more messages that wait for a person: looked at twice a second."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store, self._limit, self.full = store, limit, False

    async def watch(self) -> None:
        """Look for ever; while nobody can tell, what was seen last counts."""
        while self._limit:
            await asyncio.sleep(0.5)
            try:
                self.full = (await self._store.figures())["review_depth"] >= self._limit
            except StoreUnavailable:
                continue


class RateLimit:
    """A bucket of tokens per client."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def allows(self, client: str) -> bool:
        """Take a token, if there is one."""
        if not self._rate:
            return True
        now = time.monotonic()
        tokens, last = self._buckets.get(client, (self._rate, now))
        tokens = min(self._rate, tokens + (now - last) * self._rate)
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


def _refuse(status: int, error: str) -> web.HTTPException:
    kind = {400: web.HTTPBadRequest, 422: web.HTTPUnprocessableEntity}[status]
    return kind(reason=error)


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.text())
    except (ValueError, UnicodeDecodeError):
        raise _refuse(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise _refuse(422, "the body must be an object")
    return document


def _text(document: dict[str, Any], key: str, limit: int) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _refuse(422, f"{key} must be a text that is not empty")
    if len(value) > limit or "\x00" in value:
        raise _refuse(422, f"{key} is longer than {limit} characters, or holds a zero")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refuse(422, f"{key} holds half a character") from None
    return value


async def post_message(request: web.Request) -> web.Response:
    """Accept a message; the same id again is the same message."""
    if not request.app["limit"].allows(request.remote or ""):
        return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
    document = await _document(request)
    message, user, text = _text(document, "id", 100), _text(document, "user", 100), _text(document, "text", TEXT_LIMIT)
    if request.app["review"].full:
        return web.json_response({"error": "too much waits for review"}, status=503, headers={"Retry-After": "5"})
    state = await request.app["intake"].accept(message, user, text)
    METRICS.counters[f'messages_total{{outcome="{state}"}}'] += 1
    if state == "full":
        return web.json_response({"error": "the queue is full"}, status=503, headers={"Retry-After": "2"})
    request.app["audit"].note(message, user)
    request.app["presence"].typing(user)
    return web.json_response({"id": message, "status": "accepted"}, status=202)


async def get_message(request: web.Request) -> web.Response:
    """A message, as far as it got. Answers that are final come from a cache, unless the client asks for a fresh one."""
    message, cache = request.match_info["id"], request.app["cache"]
    fresh = request.headers.get("Cache-Control") == "no-cache"
    kept = None if fresh else cache.get(message)
    if kept is not None:
        return web.json_response(kept[0], headers={"Age": str(int(kept[1]))})
    found = await request.app["store"].message(message)
    if found is None and await request.app["queue"].knows(message):
        found = await request.app["store"].message(message) or {"id": message, "status": "queued", "replies": []}
    if found is None:
        return web.json_response({"error": "no such message"}, status=404)
    if not fresh and (found["status"] == "answered" or defects.on("stale-cache")):
        cache.put(message, found)
    return web.json_response(found)


async def list_messages(request: web.Request) -> web.Response:
    """A user's messages in order, from `after` on."""
    user, after = request.query.get("user", ""), request.query.get("after", "0")
    if not user or not after.isdigit():
        raise _refuse(422, "user is needed, and after must be a number")
    return web.json_response({"messages": await request.app["store"].of_user(user, int(after), PAGE)})


async def webhook(request: web.Request) -> web.Response:
    """An event from outside, checked before it is believed."""
    document = await _document(request)
    if document.get("event") not in EVENTS:
        raise _refuse(422, f"event must be one of {', '.join(EVENTS)}")
    if not isinstance(document.get("data"), dict):
        raise _refuse(422, "data must be an object")
    return web.json_response({"received": True})


async def inventory(request: web.Request) -> web.Response:
    """Figures from the database."""
    return web.json_response(await request.app["store"].inventory())


async def review_done(request: web.Request) -> web.Response:
    """A person looked at all that waited for one."""
    return web.json_response({"reviewed": await request.app["store"].reviewed()})


async def message_figures(request: web.Request) -> web.Response:
    """Figures of the messages, and whether the books are right."""
    return web.json_response(await request.app["store"].books())


def main() -> None:
    """Run the api."""
    defects.check()
    queue, store = Queue(), Store("api")
    app = make_app(queue, store)
    app["intake"], app["limit"], app["audit"] = Intake(queue, store), RateLimit(SETTINGS.rate_limit), Audit()
    app["review"] = Review(store, SETTINGS.review_limit)
    app["cache"] = Cache(SETTINGS.cache_size, float("inf") if defects.on("stale-cache") else CACHE_FOR)
    app.router.add_post("/messages", post_message)
    app.router.add_get("/messages", list_messages)
    app.router.add_get("/messages/{id}", get_message)
    app.router.add_post("/webhook", webhook)
    app.router.add_get("/api/inventory/stats", inventory)
    app.router.add_get("/api/messages/stats", message_figures)
    app.router.add_post("/review/done", review_done)

    async def start(app: web.Application) -> None:
        await patiently(queue.prepare)
        await patiently(store.prepare)
        app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10, ttl_dns_cache=2))
        app["presence"] = Presence(app["session"])
        app["reviewing"] = asyncio.create_task(app["review"].watch())
        if defects.on("lose-writes"):
            app["flusher"] = asyncio.create_task(app["intake"].flush_for_ever())

    async def end(app: web.Application) -> None:
        if "session" in app:
            await app["session"].close()

    app.on_startup.append(start)
    app.on_cleanup.append(end)
    serve(app)


if __name__ == "__main__":
    main()
