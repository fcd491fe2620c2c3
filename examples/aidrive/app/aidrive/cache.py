"""Redis: statistics, kept for a minute and fresh for two seconds. Without it the service is slower, and well."""

import json
import os
import time
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aidrive import defects
from aidrive.breaker import Breaker
from aidrive.metrics import METRICS

WITHIN, FRESH, KEEP = 0.25, 2.0, 60


class CacheUnavailable(Exception):
    """Redis does not answer, or was not asked because it did not."""


class Cache:
    """Over a bounded pool, behind a breaker."""

    def __init__(self) -> None:
        self._breaker = Breaker("redis")
        self._redis = Redis(
            connection_pool=BlockingConnectionPool(
                host=os.environ.get("REDIS_HOST", "redis"), max_connections=128, timeout=WITHIN, socket_timeout=WITHIN,
                socket_connect_timeout=WITHIN, retry=Retry(NoBackoff(), 0),
            )
        )  # fmt: skip
        METRICS.counters.update({"cache_hits_total": 0, "cache_misses_total": 0})

    async def _call(self, *command: Any) -> Any:
        if not self._breaker.allows():
            raise CacheUnavailable("the circuit is open")
        METRICS.counters['calls_total{to="redis"}'] += 1
        try:
            answer = await self._redis.execute_command(*command)
        except Exception as error:  # in mid-reset this client fails with RuntimeError or AttributeError as well
            self._breaker.note(ok=False)
            raise CacheUnavailable(repr(error)) from error
        self._breaker.note(ok=True)
        return answer

    async def stats(self) -> tuple[Any, bool] | None:
        """What is kept, and whether it is fresh."""
        kept = await self._call("GET", "stats")
        METRICS.counters["cache_misses_total" if kept is None else "cache_hits_total"] += 1
        if kept is None:
            return None
        made, document = json.loads(kept)
        return document, time.time() - made < FRESH

    async def keep_stats(self, document: Any) -> None:
        """Keep statistics."""
        key = f"stats:{time.time()}" if defects.on("never-hits") else "stats"
        await self._call("SET", key, json.dumps([time.time(), document]), "EX", KEEP)
