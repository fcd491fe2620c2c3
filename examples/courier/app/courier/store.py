"""PostgreSQL: messages, replies, outgoing chat messages, the review queue, the inventory."""

import asyncio
import zlib
from contextlib import asynccontextmanager, suppress
from typing import Any, AsyncIterator

import asyncpg

from courier import defects
from courier.metrics import METRICS
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
    message_id text NOT NULL, user_id text NOT NULL, text text NOT NULL, sent_at timestamptz, id bigserial PRIMARY KEY,
    taken_until timestamptz NOT NULL DEFAULT '-infinity');
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_by_message ON outbox (message_id);
CREATE INDEX IF NOT EXISTS messages_in_review ON messages (id) WHERE status = 'review';
CREATE TABLE IF NOT EXISTS tally (shard int PRIMARY KEY, messages bigint NOT NULL);
INSERT INTO tally SELECT n, 0 FROM generate_series(0, 7) n ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS inventory (sku text PRIMARY KEY, quantity int NOT NULL, price numeric NOT NULL);
INSERT INTO inventory SELECT 'sku-' || n, n % 50, (n % 90) + 0.99 FROM generate_series(1, 500) n ON CONFLICT DO NOTHING;
"""
_LOCK = 7235  # several services start at once and all make the schema
_SHARDS = 8  # of the tally: transactions that count into the same row wait for each other
METRICS.counters.update({"deduplicated_total": 0})


# A session that the server ends in the middle of a step is an InternalClientError of this driver, which is none of the others.
WRONG = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class StoreUnavailable(Exception):
    """PostgreSQL does not answer."""


class Store:
    """The database over a bounded pool; a pool that cannot be made is made at the next call."""

    def __init__(self, service: str) -> None:
        self._service = service
        # Each new connection asks for the types that it does not know, in a query so deep that the server would compile it:
        # on a busy machine that takes longer than a call may, the connection is given up, and the next one begins with it.
        self._settings = {"application_name": service, "jit": "off"}
        self._timeout = None if defects.on("no-timeout") else SETTINGS.call_timeout
        self._by_hand: list[asyncpg.Connection] = []
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
                    command_timeout=self._timeout,
                    max_inactive_connection_lifetime=5,
                    server_settings=self._settings,
                )
        return self._pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """One of the pool's; what goes wrong with the database is `StoreUnavailable`."""
        try:
            pool = await self._ready()
            async with pool.acquire(timeout=self._timeout) as connection:
                try:
                    yield connection
                finally:
                    _leave(connection)
        except (OSError, *WRONG, asyncio.TimeoutError) as error:
            raise StoreUnavailable(repr(error)) from error

    async def _run(self, method: str, *arguments: Any) -> Any:
        async with self._connection() as connection:
            return await getattr(connection, method)(*arguments)

    async def prepare(self) -> None:
        """Make the tables, unless they are there."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_SCHEMA)

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
        self,
        message: dict[str, str],
        reply: str,
        provider: str,
        status: str,
        *,
        twice: bool = False,
        half: bool = False,
    ) -> None:
        """Message, reply and outgoing chat message in one transaction; a message that is there already stays as it is.

        Args:
            twice: the mistake of duplicate-writes.
            half: the mistake of half-commit: without the outgoing message.
        """
        if defects.on("leak-connections") and _number(message["id"]) % 100 == 0:
            self._by_hand.append(await self._connect_by_hand())
        async with self._connection() as connection, connection.transaction():
            new = await connection.fetchval(
                "INSERT INTO messages (id, user_id, text, status) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id",
                message["id"], message["user"], message["text"], status,
            )  # fmt: skip
            if not new:
                METRICS.counters["deduplicated_total"] += 1
            for _ in range(2 if twice else 1 if new else 0):
                await connection.execute(
                    "INSERT INTO replies (message_id, text, provider) VALUES ($1, $2, $3)",
                    message["id"],
                    reply,
                    provider,
                )
            if new and status == "answered" and not half:
                await self._outgoing(connection, message, reply)
            if new:
                await self._count(connection, _number(message["id"]) % _SHARDS)

    async def outgoing(self, message: dict[str, str], reply: str) -> None:
        """An outgoing chat message by itself."""
        async with self._connection() as connection:
            await self._outgoing(connection, message, reply)

    async def _outgoing(self, connection: asyncpg.Connection, message: dict[str, str], reply: str) -> None:
        await connection.execute(
            "INSERT INTO outbox (message_id, user_id, text) VALUES ($1, $2, $3)", message["id"], message["user"], reply
        )

    async def _count(self, connection: asyncpg.Connection, shard: int) -> None:
        if defects.on("race"):  # between these two lines others count too, and what they wrote is written over
            seen = await connection.fetchval("SELECT messages FROM tally WHERE shard = $1", shard)
            await connection.execute("UPDATE tally SET messages = $2 WHERE shard = $1", shard, seen + 1)
        else:
            await connection.execute("UPDATE tally SET messages = messages + 1 WHERE shard = $1", shard)

    async def _connect_by_hand(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                SETTINGS.postgres_dsn,
                timeout=SETTINGS.call_timeout,
                server_settings=self._settings,
            )
        except (OSError, asyncpg.PostgresError, asyncio.TimeoutError) as error:
            raise StoreUnavailable(repr(error)) from error

    async def failed(self, message: dict[str, str]) -> None:
        """A message that cannot be answered: kept, and said so."""
        async with self._connection() as connection, connection.transaction():
            new = await connection.fetchval(
                "INSERT INTO messages (id, user_id, text, status) VALUES ($1, $2, $3, 'failed') ON CONFLICT DO NOTHING RETURNING id",
                message["id"], message["user"], message["text"],
            )  # fmt: skip
            if new:
                await self._count(connection, _number(message["id"]) % _SHARDS)

    async def take_unsent(self, limit: int) -> list[dict[str, Any]]:
        """Outgoing chat messages that were not sent yet, and that no other worker has taken within the last ten seconds."""
        rows = await self._run(
            "fetch",
            "UPDATE outbox SET taken_until = now() + interval '10 s' WHERE id = ANY(ARRAY("
            " SELECT id FROM outbox WHERE sent_at IS NULL AND taken_until < now() ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))"
            " RETURNING id, message_id, user_id, text",
            limit,
        )
        return sorted((dict(row) for row in rows), key=lambda row: row["id"])

    async def give_back(self, ids: list[int]) -> None:
        """These could not be sent: whoever looks next may take them."""
        await self._run("execute", "UPDATE outbox SET taken_until = '-infinity' WHERE id = ANY($1::bigint[])", ids)

    async def reviewed(self) -> int:
        """A person looked at all that waited for one; how many."""
        done = await self._run("execute", "UPDATE messages SET status = 'reviewed' WHERE status = 'review'")
        return int(done.split()[-1])

    async def sent(self, ids: list[int]) -> None:
        """These were sent."""
        await self._run("execute", "UPDATE outbox SET sent_at = now() WHERE id = ANY($1::bigint[])", ids)

    async def figures(self) -> dict[str, float]:
        """Messages that wait for a person, chat messages that were not sent yet, this service's connections."""
        row = await self._run(
            "fetchrow",
            "SELECT (SELECT count(*) FROM messages WHERE status = 'review') AS review_depth,"
            " (SELECT count(*) FROM outbox WHERE sent_at IS NULL) AS outbox_depth,"
            " (SELECT count(*) FROM pg_stat_activity WHERE application_name = $1) AS database_connections",
            self._service,
        )
        return {name: float(value) for name, value in row.items()}

    async def books(self) -> dict[str, int]:
        """What is stored against what was counted, and answers that are older than 5 s and have no outgoing message."""
        row = await self._run(
            "fetchrow",
            "SELECT (SELECT count(*) FROM messages) AS messages_stored,"
            " (SELECT sum(messages)::bigint FROM tally) AS messages_counted,"
            " (SELECT count(*) FROM messages m WHERE status = 'answered' AND created_at < now() - interval '5 s'"
            "  AND NOT EXISTS (SELECT FROM outbox o WHERE o.message_id = m.id)) AS messages_half",
        )
        return {name: int(value) for name, value in row.items()}

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

    def connections(self) -> dict[str, float]:
        """Of the pool."""
        size, idle = (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)
        return {"pool_connections": size, "pool_idle": idle, "pool_in_use": size - idle, "pool_max": SETTINGS.pool_size}


def _leave(connection: Any) -> None:
    """A session that the server ended in the middle of a step is closed, and its place in the pool is not free: the driver
    gives it back when it is told once more to close it. Otherwise one such place is lost each time, and at last all are."""
    with suppress(asyncpg.InterfaceError):  # it is back already
        if connection.is_closed():
            connection.terminate()


def _number(message: str) -> int:
    """A number that an id always has."""
    return zlib.crc32(message.encode())
