"""What api, worker and recovery share: health, metrics, answers to what goes wrong, an orderly end."""

import asyncio
import time
from typing import Any, Awaitable, Callable

from aiohttp import web

from courier import defects
from courier.metrics import METRICS, watch_the_loop
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable


async def look(queue: Queue, store: Store) -> tuple[int, dict[str, Any]]:
    """The health of what a service depends on, looked at within a short time."""
    if defects.on("lying-health"):
        return 200, {"status": "ok"}

    async def part(check: Callable[[], Awaitable[None]]) -> str:
        try:
            await _soon(check())
        except (QueueUnavailable, StoreUnavailable, asyncio.TimeoutError) as error:
            return f"down: {type(error).__name__}"
        return "ok"

    redis, postgres = await asyncio.gather(part(queue.ping), part(store.ping))
    healthy = redis == postgres == "ok"
    return (200 if healthy else 503), {"status": "ok" if healthy else "degraded", "redis": redis, "postgres": postgres}


async def _soon(work: Awaitable[Any]) -> Any:
    """What comes within a short time. Not `wait_for`: that waits for the end of what it cancels, and a driver takes long
    to take leave of a database that does not answer."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody else may look
    done, _ = await asyncio.wait({task}, timeout=SETTINGS.health_timeout)
    if not done:
        task.cancel()
        raise asyncio.TimeoutError
    return task.result()


@web.middleware
async def measure(request: web.Request, handler: Any) -> web.StreamResponse:
    """Count and time every request; what goes wrong inside is a 500 with a body, not a broken connection."""
    begun = time.monotonic()
    route = request.match_info.route.resource.canonical if request.match_info.route.resource else "unknown"
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        return web.json_response({"error": error.reason}, status=status, headers=_keep(error))
    except (QueueUnavailable, StoreUnavailable) as error:
        status = 503
        return web.json_response(
            {"error": f"{type(error).__name__}: try again"}, status=503, headers={"Retry-After": "1"}
        )
    finally:
        METRICS.observe(route, status, time.monotonic() - begun)


def _keep(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}


async def patiently(step: Callable[[], Awaitable[None]]) -> None:
    """Try until it succeeds: at the start a dependency may not be there yet."""
    while True:
        try:
            return await step()
        except (QueueUnavailable, StoreUnavailable):
            await asyncio.sleep(0.2)


def make_app(queue: Queue, store: Store) -> web.Application:
    """An application with /health and /metrics."""
    app = web.Application(middlewares=[measure], client_max_size=64 * 1024)
    app["queue"], app["store"] = queue, store

    async def start(app: web.Application) -> None:
        app["watch"] = asyncio.create_task(watch_the_loop())

    app.on_startup.append(start)

    async def health(_: web.Request) -> web.Response:
        status, body = await look(queue, store)
        return web.json_response(body, status=status)

    async def metrics(_: web.Request) -> web.Response:
        gauges = METRICS.gauges
        gauges |= {**store.connections(), **queue.connections(), "queue_limit": SETTINGS.queue_limit}
        for known in ("queue_depth", "review_depth", "database_connections", "outbox_depth"):
            gauges.pop(known, None)  # unknown is not zero
        for read in (queue.figures, store.figures):
            try:
                gauges |= await _soon(read())
            except (QueueUnavailable, StoreUnavailable, asyncio.TimeoutError):
                continue
        return web.Response(text=METRICS.text(), content_type="text/plain")

    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    return app


def serve(app: web.Application) -> None:
    """Run until SIGTERM; what is under way is finished first (`on_shutdown`), within seconds."""
    import uvloop

    uvloop.install()
    web.run_app(app, port=SETTINGS.port, access_log=None, shutdown_timeout=1.0, print=None, backlog=1024)
