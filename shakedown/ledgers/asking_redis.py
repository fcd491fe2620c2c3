"""A ledger read back from a Redis server."""

import math
from collections.abc import AsyncIterator

import redis.asyncio
from redis.exceptions import RedisError

from shakedown.ledgers.asking import MOST_PAGES, Found, Item, Unread, digest_in
from shakedown.plan.ledgers import LedgerListing, LedgerRead
from shakedown.plan.templates import environment, is_constant
from shakedown.services import Address

__all__ = ["RedisAsker"]


class RedisAsker:
    """Asks by commands."""

    def __init__(self, way: LedgerRead | LedgerListing, address: Address | None, connections: int) -> None:
        self._way = way
        self._parts = [environment().from_string(str(part)).render for part in way.redis or ()]
        self._single = all(is_constant(str(part)) for part in way.redis or ())
        self._scans = str((way.redis or [""])[0]).upper() in ("SCAN", "SSCAN", "HSCAN", "ZSCAN")
        pool = redis.asyncio.BlockingConnectionPool(
            max_connections=connections, timeout=way.timeout, host=address.host if address else "localhost",
            port=address.port if address else 6379, db=way.database, username=way.username, password=way.password,
            socket_timeout=way.timeout, socket_connect_timeout=way.timeout, protocol=2,
        )  # fmt: skip
        self._client = redis.asyncio.Redis.from_pool(pool)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, **names: object) -> object:
        try:
            reply: object = await self._client.execute_command(*(part(**names) for part in self._parts))  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            raise Unread(f"{type(error).__name__}: {error}"[:300]) from error
        return reply

    async def one(self, key: str) -> Found:
        """Look for a key: no reply, 0 and an empty list are its absence; a list's members are its copies."""
        try:
            reply = await self._ask(key=key)
        except Unread as problem:
            return Found(None, str(problem))
        if reply is None or (isinstance(reply, int) and not reply) or (isinstance(reply, list | dict) and not reply):
            return Found(0, "no such key" if reply is None else f"the reply is {reply!r}")
        copies = len(reply) if isinstance(reply, list) else 1
        value = reply[0] if isinstance(reply, list) else reply
        return Found(copies, f"{copies} in the reply", digest_in(value) if self._way.value is not None else 0)

    async def pages(self) -> AsyncIterator[list[Item]]:
        """Everything that is there; a listing without templates comes at once."""
        cursor, offset, before = "0" if self._scans else "", 0, None
        for page in range(MOST_PAGES):
            reply = await self._ask(page=page, offset=offset, cursor=cursor)
            if self._scans:
                if not isinstance(reply, list | tuple) or len(reply) != 2:
                    raise Unread(f"the reply is no cursor with a list: {str(reply)[:100]}")
                cursor, reply = _text(reply[0]), reply[1]
            items = self._items(reply, offset)
            if items:
                yield items
            offset += len(items)
            if cursor == "0" if self._scans else (not items or self._single):
                return
            if not self._scans and items and items[0].key == before:
                raise Unread("each page begins with the same item: the command takes no notice of `page` and `offset`")
            before = items[0].key if items else None
        raise Unread(f"the listing does not end within {MOST_PAGES} pages")

    def _items(self, reply: object, offset: int) -> list[Item]:
        ordered = isinstance(self._way, LedgerListing) and self._way.ordered
        if reply is None:
            return []
        if isinstance(reply, dict):  # HGETALL, and what `HSCAN` found
            return [
                Item(_text(key), digest_in(value) if self._way.value is not None else 0) for key, value in reply.items()
            ]
        if isinstance(reply, list | tuple | set):
            return [
                Item(_text(key), 0, float(offset + number) if ordered else math.nan) for number, key in enumerate(reply)
            ]
        raise Unread(f"the reply is no list: {str(reply)[:100]}")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
