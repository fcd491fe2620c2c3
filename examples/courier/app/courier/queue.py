"""The write-ahead queue: a Redis stream with a consumer group. What it accepted is on disk (appendfsync always)."""

import asyncio
import time
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from courier import defects
from courier.settings import SETTINGS

STREAM, GROUP = "messages", "workers"
DEAD, DEAD_LIMIT = "dead", 1000
HOLD_OFF = 25.0
NO_LIMIT = 10**12

# One step, so that an id is either in the stream and remembered, or neither.
_ACCEPT = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 'duplicate' end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('SET', KEYS[2], 1, 'EX', ARGV[5])
redis.call('XADD', KEYS[1], '*', 'id', ARGV[1], 'user', ARGV[2], 'text', ARGV[3])
return 'accepted'
"""
_REQUEUE = """
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
redis.call('XACK', KEYS[1], 'workers', ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
"""


class QueueUnavailable(Exception):
    """Redis does not answer."""


class Queue:
    """The queue, over a bounded pool that makes its connections anew when they break."""

    def __init__(self) -> None:
        pool = BlockingConnectionPool(
            host=SETTINGS.redis_host,
            max_connections=SETTINGS.pool_size,
            timeout=1,
            socket_timeout=SETTINGS.call_timeout,
            socket_connect_timeout=1,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._redis: Redis = Redis(connection_pool=pool)
        self._pool = pool
        self._broken = False
        self._not_before = 0.0

    async def _call(self, *command: Any) -> Any:
        if self._broken:  # the defect no-reconnect: the one connection is gone, and nobody makes another
            raise QueueUnavailable("the connection to Redis is closed")
        if time.monotonic() < self._not_before:
            raise QueueUnavailable("Redis failed a moment ago")
        until = time.monotonic() + SETTINGS.call_timeout
        while True:
            try:
                return await self._redis.execute_command(*command)
            except ResponseError:
                raise
            except Exception as error:
                # Not RedisError alone: in mid-reset this client fails with RuntimeError or AttributeError as well. A
                # pooled connection that broke is made anew by its next use, so the next attempt may do.
                self._broken = defects.on("no-reconnect")
                slow = isinstance(error, (RedisTimeoutError, asyncio.TimeoutError))
                if self._broken or slow or time.monotonic() > until:
                    if defects.on("slow-recovery"):  # one call failed, so none is tried for a while
                        self._not_before = time.monotonic() + HOLD_OFF
                    raise QueueUnavailable(repr(error)) from error
                await asyncio.sleep(0.02)

    async def prepare(self) -> None:
        """Make the consumer group, unless it is there."""
        try:
            await self._call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def accept(self, message: str, user: str, text: str) -> str:
        """`accepted`, `duplicate` or `full`."""
        limit = NO_LIMIT if defects.on("unbounded-queue") else SETTINGS.queue_limit
        try:
            return await self._call(
                "EVAL", _ACCEPT, 2, STREAM, f"seen:{message}", message, user, text, limit, SETTINGS.remember
            )
        except ResponseError as error:
            if "OOM" in str(error):
                return "full"
            raise

    async def knows(self, message: str) -> bool:
        """Whether an id was accepted."""
        return bool(await self._call("EXISTS", f"seen:{message}"))

    async def figures(self) -> dict[str, float]:
        """Messages that are not done, and those that could not be."""
        return {
            "queue_depth": float(await self._call("XLEN", STREAM)),
            "dead_letters": float(await self._call("XLEN", DEAD)),
        }

    def connections(self) -> dict[str, float]:
        """Of the pool."""
        made = len(self._pool._connections)
        idle = sum(connection is not None for connection in self._pool.pool._queue)
        return {"redis_pool_connections": made, "redis_pool_in_use": made - idle}

    async def ping(self) -> None:
        """Look whether it is there."""
        await self._call("PING")

    async def read(self, consumer: str, count: int, *, own: bool) -> list[tuple[str, dict[str, str]]]:
        """New entries, or (`own`) those that this consumer took before and never finished."""
        block = [] if own else ["BLOCK", 500]
        raw = await self._call(
            "XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, *block, "STREAMS", STREAM, "0" if own else ">"
        )
        return [(entry, _fields(fields)) for _, entries in raw or [] for entry, fields in entries]

    async def done(self, entries: list[str]) -> None:
        """These are finished."""
        await self._call("XACK", STREAM, GROUP, *entries)
        await self._call("XDEL", STREAM, *entries)

    async def bury(self, entry: str, fields: dict[str, str], reason: str) -> None:
        """Take an entry that cannot be processed out of the way, to where a person can look at it."""
        parts = [part for pair in {**fields, "reason": reason}.items() for part in pair]
        await self._call("XADD", DEAD, "MAXLEN", "~", DEAD_LIMIT, "*", *parts)
        await self.done([entry])

    async def requeue_stale(self, idle: float) -> int:
        """Put back what somebody took `idle` seconds ago and never finished; how many."""
        raw = await self._call("XAUTOCLAIM", STREAM, GROUP, "recovery", int(idle * 1000), "0", "COUNT", 100)
        entries = [(entry, _fields(fields)) for entry, fields in raw[1] if fields]
        for entry, fields in entries:
            await self._call("EVAL", _REQUEUE, 1, STREAM, entry, *[part for pair in fields.items() for part in pair])
        return len(entries)


def _fields(raw: Any) -> dict[str, str]:
    if isinstance(raw, dict):
        return raw
    pairs = iter(raw or [])
    return dict(zip(pairs, pairs))
