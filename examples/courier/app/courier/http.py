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

QUICK = 0.05


class Look:
    """A question to a dependency, asked once at a time: one that is in trouble is not helped by ten more, nor by ten that
    are broken off. Who asks waits for a short time, and hardly at all while the last answer was none."""

    def __init__(self, ask: Callable[[], Awaitable[Any]]) -> None:
        self._ask, self._task, self._down = ask, None, False

    async def answer(self) -> Any:
        """What the dependency says.

        Raises:
            QueueUnavailable, StoreUnavailable, asyncio.TimeoutError: nothing.
        """
        if self._task is None or self._task.done():
            self._down = self._task is not None and _failed(self._task)  # it may have come after nobody waited any more
            self._task = asyncio.create_task(self._look())
            self._task.add_done_callback(_failed)  # perhaps nobody waits for it
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=QUICK if self._down else SETTINGS.health_timeout)
        self._down = not done or _failed(task)
        if not done:
            raise asyncio.TimeoutError
        return task.result()

    async def _look(self) -> Any:
        return await asyncio.wait_for(self._ask(), SETTINGS.call_timeout)


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


async def health_of(looks: dict[str, Look]) -> tuple[int, dict[str, Any]]:
    """The health of what a service depends on."""
    if defects.on("lying-health"):
        return 200, {"status": "ok"}

    async def part(look: Look) -> str:
        try:
            await look.answer()
        except (QueueUnavailable, StoreUnavailable, asyncio.TimeoutError) as error:
            return f"down: {type(error).__name__}"
        return "ok"

    parts = dict(zip(looks, await asyncio.gather(*(part(look) for look in looks.values()))))
    healthy = set(parts.values()) == {"ok"}
    return (200 if healthy else 503), {"status": "ok" if healthy else "degraded", **parts}


@web.middleware
async def measure(request: web.Request, handler: Any) -> web.StreamResponse:
    """Count and time every request; what goes wrong inside is a 500 with a body, not a broken connection."""
    begun = time.monotonic()
    route = request.match_info.route.resource.canonical if request.match_info.route.resource else "unknown"
    status = 500
    try:
        response = await handler(request)
        if SETTINGS.slower:
            # More work to do: nothing else runs meanwhile. What took long because it had to wait does not take longer still.
            time.sleep(SETTINGS.slower * min(time.monotonic() - begun, 0.02))
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

    looks = {"redis": Look(queue.ping), "postgres": Look(store.ping)}
    figures = Look(queue.figures), Look(store.figures)

    async def health(_: web.Request) -> web.Response:
        status, body = await health_of(looks)
        return web.json_response(body, status=status)

    async def metrics(_: web.Request) -> web.Response:
        gauges = METRICS.gauges
        gauges |= {**store.connections(), **queue.connections(), "queue_limit": SETTINGS.queue_limit}
        for known in ("queue_depth", "review_depth", "database_connections", "outbox_depth"):
            gauges.pop(known, None)  # unknown is not zero
        for figure in figures:
            try:
                gauges |= await figure.answer()
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
