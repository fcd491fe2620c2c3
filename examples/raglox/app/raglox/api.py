"""What the service answers: tasks, reports, sessions, documents, health, metrics."""

import asyncio
import json
import os
from collections import Counter
from typing import Any

from aiohttp import web

from raglox import defects
from raglox.cache import Cache, CacheUnavailable
from raglox.limits import Limits
from raglox.store import Refused, Store, TooSlow, Unavailable

LARGEST = 16 * 2**20
REQUESTS: Counter = Counter()
KEPT: list[bytes] = []


def _refuse(error: str, status: int = 422, **more: Any) -> web.Response:
    return web.json_response(
        {"error": error, **more}, status=status, headers={"Retry-After": "1"} if status >= 429 else {}
    )


@web.middleware
async def around(request: web.Request, handler) -> web.StreamResponse:
    """Limits, and an answer in words to whatever goes wrong."""
    if not request.app["limits"].allows(request.headers.get("X-Client", "")):
        response: web.StreamResponse = _refuse("too many requests", 429)
    else:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _refuse(error.reason, error.status)
        except TooSlow:
            response = _refuse("it took too long", 504)
        except (Unavailable, CacheUnavailable) as error:
            response = _refuse(f"{type(error).__name__}: try again", 503)
    REQUESTS[response.status] += 1
    return response


def _wrong(document: Any) -> str | None:
    """Why a task cannot be taken; quantities are the database's to judge."""
    if not isinstance(document, dict):
        return "the body must be an object"
    for key in ("id", "name"):
        value = document.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= 200 or "\x00" in value:
            return f"{key} must be a text of 1 to 200 characters"
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{key} holds half a character"
    items = document.get("items", [])
    if not isinstance(items, list) or len(items) > 100:
        return "items must be a list of at most 100"
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str) or type(item.get("quantity")) is not int:
            return "an item has a name and a whole quantity"
        if abs(item["quantity"]) > 10**9:
            return "a quantity is at most a thousand million"
    return None


async def post_task(request: web.Request) -> web.Response:
    """Take a task with its items: all of it or nothing."""
    try:
        document = json.loads(await request.text())
    except (ValueError, UnicodeDecodeError, RecursionError):
        if defects.on("no-validation"):
            raise
        return _refuse("the body is not JSON", 400)
    if not defects.on("no-validation") and (wrong := _wrong(document)):
        return _refuse(wrong)
    items = [(item["name"], item["quantity"]) for item in document.get("items", [])]
    try:
        new = await request.app["store"].add(document["id"], document["name"], items)
    except Refused as error:
        return _refuse(str(error), id=document["id"])
    return web.json_response({"id": document["id"]}, status=201 if new else 200)


async def get_task(request: web.Request) -> web.Response:
    """A task: from the cache, or, if that does not answer, from the database."""
    task, cache = request.match_info["id"], request.app["cache"]
    try:
        kept = await cache.task(task)
    except CacheUnavailable:
        if defects.on("cache-needed"):
            raise
        kept = None
    if kept is not None:
        return web.Response(body=kept, content_type="application/json")
    found = await request.app["store"].task(task)
    if found is None:
        return _refuse("no such task", 404)
    text = json.dumps(found).encode()
    try:
        await cache.keep_task(task, text)
    except CacheUnavailable:
        if defects.on("cache-needed"):
            raise
    return web.Response(body=text, content_type="application/json")


async def get_report(request: web.Request) -> web.Response:
    """Figures that take a while to compute."""
    try:
        seconds = min(max(float(request.query.get("seconds", "0")), 0.0), 60.0)
    except ValueError:
        return _refuse("seconds must be a number")
    return web.json_response({"tasks": await request.app["store"].report(seconds)})


async def put_session(request: web.Request) -> web.Response:
    """Keep a session."""
    await request.app["cache"].put_session(request.match_info["id"], await request.read())
    return web.Response(status=204)


async def get_session(request: web.Request) -> web.Response:
    """A session."""
    found = await request.app["cache"].session(request.match_info["id"])
    return _refuse("no such session", 404) if found is None else web.Response(body=found)


async def delete_session(request: web.Request) -> web.Response:
    """Forget a session."""
    return web.Response(status=204 if await request.app["cache"].drop_session(request.match_info["id"]) else 404)


async def post_document(request: web.Request) -> web.Response:
    """Count the words of a document."""
    body = await request.read()
    if defects.on("keeps-bodies") and len(KEPT) < 40:  # even a leak is bounded here
        KEPT.append(body)
    return web.json_response({"bytes": len(body), "words": body.count(b" ") + 1})


async def health(request: web.Request) -> web.Response:
    """What it depends on, asked for at most half a second."""
    parts = {}
    for name in ("store", "cache"):
        try:
            await asyncio.wait_for(request.app[name].ping(), 0.5)
            parts[name] = "ok"
        except (Unavailable, TooSlow, CacheUnavailable, asyncio.TimeoutError) as error:
            parts[name] = f"down: {type(error).__name__}"
    healthy = parts["store"] == "ok"  # without the cache it is slower, and well
    return web.json_response({"status": "ok" if healthy else "degraded", **parts}, status=200 if healthy else 503)


async def metrics(request: web.Request) -> web.Response:
    """For an observer."""
    lines = ["# TYPE requests_total counter"]
    lines += [f'requests_total{{status="{status}"}} {count}' for status, count in sorted(REQUESTS.items())]
    gauges = {**request.app["store"].figures(), "documents_kept": len(KEPT)}
    for name, value in gauges.items():
        lines += [f"# TYPE {name} gauge", f"{name} {value}"]
    lines += ["# TYPE limited_total counter", f"limited_total {request.app['limits'].refused}"]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


def main() -> None:
    """Run the api."""
    import uvloop

    defects.check()
    uvloop.install()
    app = web.Application(middlewares=[around], client_max_size=LARGEST)
    app["store"], app["cache"], app["limits"] = Store(), Cache(), Limits()
    app.add_routes([
        web.post("/tasks", post_task), web.get("/tasks/{id}", get_task), web.get("/report", get_report),
        web.put("/sessions/{id}", put_session), web.get("/sessions/{id}", get_session),
        web.delete("/sessions/{id}", delete_session), web.post("/documents", post_document),
        web.get("/health", health), web.get("/metrics", metrics),
    ])  # fmt: skip

    async def start(app: web.Application) -> None:
        while True:
            try:
                return await app["store"].prepare()
            except Exception:  # at the start the database may not be there yet
                await asyncio.sleep(0.2)

    app.on_startup.append(start)
    web.run_app(app, port=int(os.environ.get("PORT", 8000)), access_log=None, print=None)


if __name__ == "__main__":
    main()
