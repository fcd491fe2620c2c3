"""PostgreSQL: messages, replies, outgoing chat messages, the review queue, the inventory."""

import asyncio
from typing import Any

import asyncpg

from courier.settings import SETTINGS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id text PRIMARY KEY, user_id text NOT NULL, text text NOT NULL, status text NOT NULL, seq bigserial,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS messages_by_user ON messages (user_id, seq);
CREATE TABLE IF NOT EXISTS replies (
    id bigserial PRIMARY KEY, message_id text NOT NULL REFERENCES messages(id), text text NOT NULL, provider text NOT NULL);
CREATE INDEX IF NOT EXISTS replies_by_message ON replies (message_id);
CREATE TABLE IF NOT EXISTS outbox (
    message_id text NOT NULL, user_id text NOT NULL, text text NOT NULL, sent_at timestamptz, id bigserial PRIMARY KEY);
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
CREATE TABLE IF NOT EXISTS inventory (sku text PRIMARY KEY, quantity int NOT NULL, price numeric NOT NULL);
INSERT INTO inventory SELECT 'sku-' || n, n % 50, (n % 90) + 0.99 FROM generate_series(1, 500) n ON CONFLICT DO NOTHING;
"""
_LOCK = 7235  # several services start at once and all make the schema


class StoreUnavailable(Exception):
    """PostgreSQL does not answer."""


class Store:
    """The database over a bounded pool; a pool that cannot be made is made at the next call."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None
        self._making = asyncio.Lock()

    async def _ready(self) -> asyncpg.Pool:
        async with self._making:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    SETTINGS.postgres_dsn,
                    min_size=1,
                    max_size=SETTINGS.pool_size,
                    timeout=SETTINGS.call_timeout,
                    command_timeout=SETTINGS.call_timeout,
                    max_inactive_connection_lifetime=5,
                )
        return self._pool

    async def _run(self, method: str, *arguments: Any) -> Any:
        try:
            pool = await self._ready()
            async with pool.acquire(timeout=SETTINGS.call_timeout) as connection:
                return await getattr(connection, method)(*arguments)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncio.TimeoutError) as error:
            raise StoreUnavailable(repr(error)) from error
        except asyncpg.PostgresError as error:
            raise StoreUnavailable(str(error)) from error

    async def prepare(self) -> None:
        """Make the tables, unless they are there."""
        try:
            pool = await self._ready()
            async with pool.acquire(timeout=SETTINGS.call_timeout) as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute(_SCHEMA)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError) as error:
            raise StoreUnavailable(repr(error)) from error

    async def message(self, message: str) -> dict[str, Any] | None:
        """A message with its replies."""
        row = await self._run(
            "fetchrow",
            "SELECT m.id, m.user_id, m.text, m.status, coalesce(array_agg(r.text) FILTER (WHERE r.id IS NOT NULL), '{}') AS"
            " replies FROM messages m LEFT JOIN replies r ON r.message_id = m.id WHERE m.id = $1 GROUP BY m.id",
            message,
        )
        if row is None:
            return None
        return {
            "id": row["id"],
            "user": row["user_id"],
            "text": row["text"],
            "status": row["status"],
            "replies": row["replies"],
        }

    async def of_user(self, user: str, after: int, limit: int) -> list[dict[str, Any]]:
        """A user's messages in order."""
        rows = await self._run(
            "fetch",
            "SELECT id, text, status, seq FROM messages WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            user, after, limit,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def finish(
        self, message: dict[str, str], reply: str, provider: str, status: str, *, twice: bool = False
    ) -> None:
        """Message, reply and outgoing chat message in one transaction; a message that is there already stays as it is."""
        try:
            pool = await self._ready()
            async with pool.acquire(timeout=SETTINGS.call_timeout) as connection, connection.transaction():
                new = await connection.fetchval(
                    "INSERT INTO messages (id, user_id, text, status) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id",
                    message["id"], message["user"], message["text"], status,
                )  # fmt: skip
                for _ in range(2 if twice else 1 if new else 0):
                    await connection.execute(
                        "INSERT INTO replies (message_id, text, provider) VALUES ($1, $2, $3)",
                        message["id"],
                        reply,
                        provider,
                    )
                if new and status == "answered":
                    await connection.execute(
                        "INSERT INTO outbox (message_id, user_id, text) VALUES ($1, $2, $3)",
                        message["id"],
                        message["user"],
                        reply,
                    )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError) as error:
            raise StoreUnavailable(repr(error)) from error

    async def unsent(self, limit: int) -> list[dict[str, Any]]:
        """Outgoing chat messages that were not sent yet."""
        rows = await self._run(
            "fetch",
            "SELECT id, message_id, user_id, text FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT $1",
            limit,
        )
        return [dict(row) for row in rows]

    async def sent(self, ids: list[int]) -> None:
        """These were sent."""
        await self._run("execute", "UPDATE outbox SET sent_at = now() WHERE id = ANY($1::bigint[])", ids)

    async def in_review(self) -> int:
        """Messages whose reply waits for a person."""
        return int(await self._run("fetchval", "SELECT count(*) FROM messages WHERE status = 'review'"))

    async def inventory(self) -> dict[str, Any]:
        """Figures of the inventory."""
        row = await self._run(
            "fetchrow",
            "SELECT count(*) AS items, sum(quantity) AS quantity, count(*) FILTER (WHERE quantity < 5) AS low,"
            " round(sum(quantity * price), 2)::float8 AS value FROM inventory",
        )
        return dict(row)

    async def ping(self) -> None:
        """Look whether it is there."""
        await self._run("fetchval", "SELECT 1")

    def connections(self) -> tuple[int, int]:
        """Connections of the pool: all, idle."""
        return (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)
