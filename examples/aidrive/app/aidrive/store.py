"""PostgreSQL: the inventory."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import Any, AsyncIterator

import asyncpg

from aidrive import defects
from aidrive.metrics import METRICS

DSN = os.environ.get("DATABASE_URL", "postgresql://aidrive:aidrive@postgres:5432/aidrive")
POOL = int(os.environ.get("AIDRIVE_POOL", 8))
TIMEOUT = 0.06 if defects.on("impatient") else 1.0  # seconds that a query may take
WAIT = 0.5  # seconds that one waits for a connection
ITEMS = 20_000
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS items (id int PRIMARY KEY, name text NOT NULL, place int NOT NULL, quantity int NOT NULL);
INSERT INTO items SELECT n, 'item ' || n, n % 40, n % 97 FROM generate_series(1, {ITEMS}) n ON CONFLICT DO NOTHING;
ANALYZE items;
"""
# A session that the server ends in the middle of a step is an InternalClientError of this driver, which is none of the others.
WRONG = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncio.TimeoutError)


class Unavailable(Exception):
    """The database does not answer, or has no room."""


class Store:
    """Over a bounded pool, whose broken connections are made anew."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None
        self._only: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._lost: list[Any] = []
        self._giving: set[asyncio.Task[None]] = set()
        METRICS.readers.append(self._figures)

    async def prepare(self) -> None:
        """Connect, and fill the tables unless they are; at the start the database may not be there yet."""
        while True:
            try:
                self._pool = await asyncpg.create_pool(
                    DSN, min_size=1, max_size=POOL, timeout=WAIT, command_timeout=None, max_inactive_connection_lifetime=0,
                    server_settings={"application_name": "aidrive", "jit": "off"},
                )  # fmt: skip
                async with self._pool.acquire() as connection:
                    await connection.execute(_SCHEMA)
                if defects.on("no-reconnect"):
                    self._only = await asyncpg.connect(DSN)
                return
            except WRONG:
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        if self._only is not None:
            try:
                async with self._turn:
                    yield self._only
            except WRONG as error:
                raise Unavailable(repr(error)) from error
            return
        connection = None
        try:
            connection = await self._pool.acquire(timeout=WAIT)
            yield connection
        except WRONG as error:
            if defects.on("pool-leak"):  # who thinks of the connection when something went wrong?
                self._lost.append(connection)
                connection = None
            raise Unavailable(repr(error)) from error
        finally:
            if connection is not None:  # nobody waits until it is ready again
                giving = asyncio.get_running_loop().create_task(self._give_back(connection))
                self._giving.add(giving)
                giving.add_done_callback(self._giving.discard)

    async def _give_back(self, connection: asyncpg.Connection) -> None:
        with suppress(*WRONG):  # one that cannot be made ready in time is ended by the pool
            await self._pool.release(connection, timeout=1.0)

    async def item(self, number: int) -> dict[str, Any] | None:
        """An item."""
        async with self._connection() as connection:
            row = await connection.fetchrow(
                "SELECT name, place, quantity FROM items WHERE id = $1", number, timeout=TIMEOUT
            )
        return dict(row) if row else None

    async def stats(self) -> dict[str, Any]:
        """The inventory in figures."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT place, count(*) AS items, sum(quantity)::bigint AS quantity FROM items GROUP BY place ORDER BY place",
                timeout=max(TIMEOUT, 1.0),
            )
        return {"items": sum(row["items"] for row in rows), "places": [dict(row) for row in rows]}

    async def sort_everything(self) -> None:
        """What nobody should do to see whether the database is there."""
        async with self._connection() as connection:
            await connection.fetchval(
                "SELECT max(name) FROM (SELECT name FROM items, generate_series(1, 4) n ORDER BY md5(name || n)) sorted"
            )

    async def size(self) -> float:
        """How many items there are."""
        async with self._connection() as connection:
            return float(await connection.fetchval("SELECT count(*) FROM items"))

    async def ping(self) -> None:
        """Look whether it is there."""
        async with self._connection() as connection:
            await connection.fetchval("SELECT 1", timeout=0.5)

    def _figures(self) -> dict[str, float]:
        size, idle = (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)
        return {"pool_in_use": size - idle, "pool_max": POOL}
