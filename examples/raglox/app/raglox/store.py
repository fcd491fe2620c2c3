"""PostgreSQL: tasks with their items, and reports that take long."""

import asyncio
import os
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator

import asyncpg

from raglox import defects

DSN = os.environ.get("DATABASE_URL", "postgresql://raglox:raglox@postgres:5432/raglox")
POOL, REPORTS = int(os.environ.get("RAGLOX_POOL", 5)), 2
TIMEOUT = float(
    os.environ.get("RAGLOX_TIMEOUT", 1.0)
)  # seconds that a query may take, and that one waits for a connection
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (id text PRIMARY KEY, name text NOT NULL, seq bigserial);
CREATE TABLE IF NOT EXISTS items (
    id bigserial PRIMARY KEY, task_id text NOT NULL REFERENCES tasks(id), name text NOT NULL, quantity int NOT NULL CHECK (quantity > 0));
CREATE INDEX IF NOT EXISTS items_by_task ON items (task_id);
"""


# A session that the server ends in the middle of a step is an InternalClientError of this driver, which is none of the others.
WRONG = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Unavailable(Exception):
    """The database does not answer, or has no room."""


class TooSlow(Exception):
    """A query took longer than it may."""


class Refused(Exception):
    """The database refuses what it was given."""


class Store:
    """Two pools: one for what is quick, one for reports."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None
        self._reports: asyncpg.Pool | None = None
        self._lost: list[Any] = []

    async def prepare(self) -> None:
        """Connect, and make the tables unless they are there."""
        self._pool, self._reports = await self._make(POOL), await self._make(REPORTS)
        async with self._pool.acquire() as connection:
            await connection.execute(_SCHEMA)

    async def _make(self, size: int) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            DSN, min_size=1, max_size=size, timeout=TIMEOUT, max_inactive_connection_lifetime=0,
            command_timeout=None if defects.on("no-timeout") else TIMEOUT,
            server_settings={"application_name": "raglox", "jit": "off"},
        )  # fmt: skip

    @asynccontextmanager
    async def _connection(self, pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
        connection = None
        try:
            connection = await pool.acquire(timeout=TIMEOUT)
            yield connection
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
            raise Refused(str(error)) from error
        except (OSError, *WRONG, asyncio.TimeoutError) as error:
            if (
                defects.on("pool-leak") and connection is not None
            ):  # who thinks of the connection when something went wrong?
                self._lost.append(connection)
                connection = None
            late = connection is not None and isinstance(error, asyncio.TimeoutError)
            raise (TooSlow if late else Unavailable)(repr(error)) from error
        finally:
            if connection is not None:
                await asyncio.shield(pool.release(connection, timeout=TIMEOUT))

    async def add(self, task: str, name: str, items: list[tuple[str, int]]) -> bool:
        """A task with its items, in one transaction; whether it is new.

        Raises:
            Refused: an item breaks a rule of the database; nothing of the task is there.
        """
        async with self._connection(self._pool) as connection:
            if defects.on("half-commit"):
                return await self._insert(connection, task, name, items)
            async with connection.transaction():
                return await self._insert(connection, task, name, items)

    async def _insert(self, connection: asyncpg.Connection, task: str, name: str, items: list[tuple[str, int]]) -> bool:
        new = await connection.fetchval(
            "INSERT INTO tasks (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id", task, name
        )
        for item, quantity in items if new else ():
            await connection.execute(
                "INSERT INTO items (task_id, name, quantity) VALUES ($1, $2, $3)", task, item, quantity
            )
        return bool(new)

    async def task(self, task: str) -> dict[str, Any] | None:
        """A task with its items."""
        async with self._connection(self._pool) as connection:
            name = await connection.fetchval("SELECT name FROM tasks WHERE id = $1", task)
            if name is None:
                return None
            rows = await connection.fetch("SELECT name, quantity FROM items WHERE task_id = $1 ORDER BY id", task)
        return {"id": task, "name": name, "items": [dict(row) for row in rows]}

    async def report(self, seconds: float) -> int:
        """A query that takes as long as it is told to.

        Raises:
            TooSlow: longer than it may.
        """
        async with self._connection(self._pool if defects.on("no-timeout") else self._reports) as connection:
            await connection.execute("SELECT pg_sleep($1::float8)", seconds)
            return await connection.fetchval("SELECT count(*) FROM tasks")

    async def ping(self) -> None:
        """Look whether it is there."""
        async with self._connection(self._pool) as connection:
            await connection.fetchval("SELECT 1")

    def figures(self) -> dict[str, float]:
        """Of the pools."""
        size, idle = (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)
        return {"pool_in_use": size - idle, "pool_max": POOL}
