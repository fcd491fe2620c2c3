"""What both servers have in common: answers in words, health, metrics."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from vigia import defects
from vigia.store import Busy, Conflict, Missing, Store
from vigia.wrong import Wrong

LARGEST = 8 * 2**20
_STATUS = {Wrong: 422, Missing: 404, Conflict: 409, Busy: 503}


def refuse(error: str, status: int) -> web.Response:
    """An answer in words."""
    return web.json_response({"error": error}, status=status, headers={"Retry-After": "1"} if status == 503 else {})


@web.middleware
async def in_words(request: web.Request, handler) -> web.StreamResponse:
    """Whatever goes wrong has a status and says why."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = refuse(error.reason, error.status)
    except tuple(_STATUS) as error:
        response = refuse(str(error), _STATUS[type(error)])
    request.app["answers"][response.status] += 1
    return response


async def document(request: web.Request) -> Any:
    """The body, which is JSON.

    Raises:
        HTTPBadRequest: it is none.
    """
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(reason="the body is not JSON") from None


async def _health(request: web.Request) -> web.Response:
    try:
        await asyncio.wait_for(request.app["store"].ping(), 0.5)
    except (Busy, asyncio.TimeoutError) as error:
        return web.json_response({"status": "degraded", "store": f"down: {error}"}, status=503)
    return web.json_response({"status": "ok"})


async def _metrics(request: web.Request) -> web.Response:
    lines = ["# TYPE answers_total counter"]
    lines += [f'answers_total{{status="{status}"}} {count}' for status, count in sorted(request.app["answers"].items())]
    for name, value in request.app["figures"]().items():
        lines += [f"# TYPE {name} gauge", f"{name} {value}"]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


def serve(routes: list[web.RouteDef], prepare: Callable[[web.Application], Callable[[], dict[str, float]]]) -> None:
    """Run a server.

    Args:
        prepare: puts what the routes need into the application, beside its `store`; gives what the metrics show.
    """
    import uvloop

    defects.check()
    uvloop.install()
    app = web.Application(middlewares=[in_words], client_max_size=LARGEST)
    app["store"], app["answers"] = Store(), Counter()
    app["figures"] = prepare(app)
    app.add_routes([*routes, web.get("/health", _health), web.get("/metrics", _metrics)])

    async def start(app: web.Application) -> None:
        while True:
            try:
                return await app["store"].prepare()
            except Exception:  # at the start the database may not be there yet
                await asyncio.sleep(0.2)

    app.on_startup.append(start)
    web.run_app(app, port=int(os.environ.get("PORT", 8000)), access_log=None, print=None, backlog=512)
