"""What the dashboard asks for: statistics of the inventory, single items, an overview with a forecast."""

import asyncio
import os
import time
from typing import Any

from aidrive import defects
from aidrive.cache import Cache, CacheUnavailable
from aidrive.door import Answer, House, as_json, serve
from aidrive.metrics import METRICS
from aidrive.peer import Peer, PeerUnavailable
from aidrive.store import Store, Unavailable

LOOK_EVERY = 0.25
TIDY_AFTER, TIDY_FOR = 2000, 1.2  # requests, seconds
CONTEXT, CONTEXTS = 20_000, 20_000  # even a leak is bounded here: 400 MB


class Api:
    """The handlers, and what they share."""

    def __init__(self) -> None:
        self._down: str | None = "the database was not seen yet"
        self._fresh: asyncio.Task[dict[str, Any]] | None = None
        self._contexts: list[bytes] = []
        self._served = 0

    async def prepare(self) -> None:
        """Connect to everything."""
        self._store, self._cache = Store(), Cache()
        self._forecast = Peer("forecast", os.environ.get("FORECAST_URL", "http://forecast:8001"))
        await self._store.prepare()
        await self._look()
        self._looking = asyncio.get_running_loop().create_task(self._look_for_ever())

    # ------------------------------------------------------------------------------------------------------ statistics
    async def _stats(self) -> dict[str, Any]:
        """From the cache, old or new; else from the database, which is asked once for all who wait."""
        kept = None
        try:
            kept = await self._cache.stats()
        except CacheUnavailable:
            if defects.on("cache-needed"):
                raise
        if kept is not None and kept[1]:
            return kept[0]
        if defects.on("never-hits"):
            return await self._ask_the_database()
        if self._fresh is None or self._fresh.done():
            self._fresh = asyncio.get_running_loop().create_task(self._ask_the_database())
            self._fresh.add_done_callback(lambda task: task.exception())  # perhaps nobody waits for it
        return kept[0] if kept is not None else await asyncio.shield(self._fresh)

    async def _ask_the_database(self) -> dict[str, Any]:
        found = await self._store.stats()
        try:
            await self._cache.keep_stats(found)
        except CacheUnavailable:
            pass
        return found

    # -------------------------------------------------------------------------------------------------------- requests
    async def stats(self, _: str) -> Answer:
        """The inventory in figures."""
        await self._mistakes()
        if defects.on("blocking-call"):
            time.sleep(0.005)
        try:
            return as_json(await self._stats())
        except (Unavailable, CacheUnavailable) as error:
            return as_json({"error": f"{type(error).__name__}: try again"}, 503)

    async def item(self, path: str) -> Answer:
        """One item."""
        await self._mistakes()
        number = path.rpartition("/")[2]
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            return as_json({"error": "an item has a number"}, 400)
        try:
            found = await self._store.item(int(number))
        except Unavailable:
            return as_json({"error": "Unavailable: try again"}, 503)
        return as_json({"error": "no such item"}, 404) if found is None else as_json(found)

    async def dashboard(self, _: str) -> Answer:
        """An overview: what there is, and what there will be, as far as anybody can tell."""
        await self._mistakes()
        try:
            stats = await self._stats()
        except (Unavailable, CacheUnavailable) as error:
            return as_json({"error": f"{type(error).__name__}: try again"}, 503)
        forecast = None
        try:
            forecast = await self._forecast.get("/forecast")
        except PeerUnavailable as error:
            if defects.on("all-or-nothing"):
                return as_json({"error": repr(error)}, 502)
        return as_json({"items": stats["items"], "forecast": forecast})

    async def _mistakes(self) -> None:
        self._served += 1
        if defects.on("leak-memory") and len(self._contexts) < CONTEXTS:
            self._contexts.append(os.urandom(16) * (CONTEXT // 16))
        if defects.on("housekeeping") and self._served % TIDY_AFTER == 0:
            time.sleep(TIDY_FOR)
        if defects.on("polling"):
            await asyncio.sleep(0.06)

    # ------------------------------------------------------------------------------------------------ for who observes
    async def health(self, _: str) -> Answer:
        """As it was when the database was last looked at, a moment ago; the cache and the forecast may be missing."""
        if defects.on("deep-health"):
            await self._store.sort_everything()
        return (
            as_json({"status": "ok"})
            if self._down is None
            else as_json({"status": "down", "database": self._down}, 503)
        )

    async def _look(self) -> None:
        try:
            await asyncio.wait_for(self._store.ping(), 0.6)
            self._down = None
        except (Unavailable, asyncio.TimeoutError) as error:
            self._down = repr(error)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._look()

    async def metrics(self, _: str) -> Answer:
        """Everything that is counted."""
        more = f"# TYPE items gauge\nitems {await self._store.size()}\n" if defects.on("slow-metrics") else ""
        return 200, (METRICS.text() + more).encode()


if __name__ == "__main__":
    api = Api()
    serve(
        House({
            "/health": api.health, "/metrics": api.metrics, "/api/inventory/stats": api.stats, "/api/items/": api.item,
            "/api/dashboard": api.dashboard,
        }),
        api.prepare,
    )  # fmt: skip
