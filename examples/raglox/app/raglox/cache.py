"""Redis: tasks for a while, and sessions."""

import os

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from raglox import defects

KEEP, SESSION = 10, 600  # seconds
WITHIN = 0.3


class CacheUnavailable(Exception):
    """Redis does not answer, or has no room."""


class Cache:
    """Over a bounded pool, whose broken connections are made anew."""

    def __init__(self) -> None:
        host = os.environ.get("REDIS_HOST", "redis")
        self._redis = Redis(
            connection_pool=BlockingConnectionPool(
                host=host, max_connections=20, timeout=WITHIN, socket_timeout=WITHIN, socket_connect_timeout=WITHIN,
                retry=Retry(NoBackoff(), 0),
            )
        )  # fmt: skip

    async def _call(self, *command):
        try:
            return await self._redis.execute_command(*command)
        except Exception as error:  # in mid-reset this client fails with RuntimeError or AttributeError as well
            raise CacheUnavailable(repr(error)) from error

    async def task(self, task: str) -> bytes | None:
        """What is kept of a task."""
        return await self._call("GET", f"task:{task}")

    async def keep_task(self, task: str, text: bytes) -> None:
        """Keep it for a while."""
        await self._call("SET", f"task:{task}", text, "EX", KEEP)

    async def put_session(self, session: str, data: bytes) -> None:
        """Keep a session until it is deleted."""
        await self._call("SET", f"session:{session}", data, "EX", SESSION)

    async def session(self, session: str) -> bytes | None:
        """A session."""
        return await self._call("GET", f"session:{session}")

    async def drop_session(self, session: str) -> bool:
        """Delete it; whether it was there."""
        if defects.on("no-cleanup"):
            return bool(await self._call("EXISTS", f"session:{session}"))
        return bool(await self._call("DEL", f"session:{session}"))

    async def ping(self) -> None:
        """Look whether it is there."""
        await self._call("PING")
