"""What api, worker and recovery share: metrics, health, an orderly end."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, Awaitable, Callable

from aiohttp import web

from courier import defects
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters and gauges in the Prometheus text format."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.latency: Counter[float] = Counter()
        self.latency_sum = 0.0
        self.gauges: dict[str, float] = {}
        self.counters: Counter[str] = Counter()

    def observe(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self.requests[route, status] += 1
        self.latency_sum += seconds
        for bound in BUCKETS:
            if seconds <= bound:
                self.latency[bound] += 1

    def text(self) -> str:
        """All of it."""
        total = sum(self.requests.values())
        lines = ["# TYPE courier_requests_total counter"]
        lines += [
            f'courier_requests_total{{route="{route}",status="{status}"}} {n}'
            for (route, status), n in self.requests.items()
        ]
        lines.append("# TYPE courier_request_seconds histogram")
        lines += [f'courier_request_seconds_bucket{{le="{bound}"}} {self.latency[bound]}' for bound in BUCKETS]
        lines += [f'courier_request_seconds_bucket{{le="+Inf"}} {total}', f"courier_request_seconds_count {total}"]
        lines.append(f"courier_request_seconds_sum {self.latency_sum:.6f}")
        for name, value in {**self.gauges, **process_figures()}.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value}"]
        for name, count in self.counters.items():
            lines += [f"# TYPE {name} counter", f"{name} {count}"]
        return "\n".join(lines) + "\n"


def process_figures() -> dict[str, float]:
    """This process as the kernel sees it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "process_resident_memory_bytes": float(pages * os.sysconf("SC_PAGE_SIZE")),
        "process_open_fds": float(len(os.listdir("/proc/self/fd"))),
    }


async def look(queue: Queue, store: Store) -> tuple[int, dict[str, Any]]:
    """The health of what a service depends on, looked at within a short time."""
    if defects.on("lying-health"):
        return 200, {"status": "ok"}

    async def part(check: Callable[[], Awaitable[None]]) -> str:
        try:
            await asyncio.wait_for(check(), SETTINGS.health_timeout)
        except (QueueUnavailable, StoreUnavailable, asyncio.TimeoutError) as error:
            return f"down: {type(error).__name__}"
        return "ok"

    redis, postgres = await asyncio.gather(part(queue.ping), part(store.ping))
    healthy = redis == postgres == "ok"
    return (200 if healthy else 503), {"status": "ok" if healthy else "degraded", "redis": redis, "postgres": postgres}


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
        request.app["metrics"].observe(route, status, time.monotonic() - begun)


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
    app["metrics"], app["queue"], app["store"] = Metrics(), queue, store

    async def health(_: web.Request) -> web.Response:
        status, body = await look(queue, store)
        return web.json_response(body, status=status)

    async def metrics(_: web.Request) -> web.Response:
        size, idle = store.connections()
        gauges = app["metrics"].gauges
        gauges |= {"pool_connections": size, "pool_idle": idle, "pool_max": SETTINGS.pool_size}
        for name, read in (("queue_depth", queue.depth), ("review_depth", store.in_review)):
            try:
                gauges[name] = await asyncio.wait_for(read(), SETTINGS.health_timeout)
            except (QueueUnavailable, StoreUnavailable, asyncio.TimeoutError):
                gauges.pop(name, None)  # unknown is not zero
        return web.Response(text=app["metrics"].text(), content_type="text/plain")

    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    return app


def serve(app: web.Application) -> None:
    """Run until SIGTERM, which is answered at once."""
    import uvloop

    uvloop.install()
    web.run_app(app, port=SETTINGS.port, access_log=None, shutdown_timeout=1.0, print=None, backlog=1024)
