"""PostgreSQL: cameras, events, deliveries, shares."""

import asyncio
import datetime
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from vigia import defects

DSN = os.environ.get("DATABASE_URL", "postgresql://vigia:vigia@postgres:5432/vigia")
POOL = 2 if defects.on("tiny-pool") else int(os.environ.get("VIGIA_POOL", 10))
WAIT = 0.001 if defects.on("tiny-pool") else 10.0  # seconds for a connection
TIMEOUT = 10.0  # seconds that a query may take
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cameras (id bigserial PRIMARY KEY, name text UNIQUE NOT NULL, place text NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    id uuid PRIMARY KEY, camera_id bigint NOT NULL REFERENCES cameras(id), kind text NOT NULL, note text NOT NULL,
    at timestamptz NOT NULL, seq bigserial);
CREATE INDEX IF NOT EXISTS events_by_camera ON events (camera_id, seq);
CREATE TABLE IF NOT EXISTS deliveries (id text PRIMARY KEY, source text NOT NULL, event_id uuid NOT NULL REFERENCES events(id));
CREATE TABLE IF NOT EXISTS shares (code text PRIMARY KEY, picture text NOT NULL);
CREATE TABLE IF NOT EXISTS subscriptions (recipient text, camera text, PRIMARY KEY (recipient, camera));
CREATE TABLE IF NOT EXISTS inboxes (recipient text PRIMARY KEY, last bigint NOT NULL, seen bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages (
    recipient text, number bigint, key text NOT NULL, text text NOT NULL, PRIMARY KEY (recipient, number), UNIQUE (recipient, key));
"""


class Busy(Exception):
    """The database does not answer, or has no room."""


class Missing(Exception):
    """What was asked for is not there."""


class Conflict(Exception):
    """It is there already, and is something else; or something else needs it."""


class Store:
    """Over a pool of connections."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None

    async def prepare(self) -> None:
        """Connect, and make the tables unless they are there."""
        self._pool = await asyncpg.create_pool(
            DSN, min_size=2, max_size=POOL, timeout=5, command_timeout=TIMEOUT, max_inactive_connection_lifetime=0,
            server_settings={"application_name": "vigia", "jit": "off"},
        )  # fmt: skip
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(1)")  # two servers start at the same time
            await connection.execute(_SCHEMA)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """All of it or nothing.

        Raises:
            Busy: there is no connection, or a query took too long.
        """
        try:
            connection = await self._pool.acquire(timeout=WAIT)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError) as error:
            raise Busy(f"no connection to the database: {type(error).__name__}") from error
        try:
            async with connection.transaction():
                yield connection
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncio.TimeoutError) as error:
            raise Busy(f"the database does not answer: {type(error).__name__}") from error
        finally:
            await asyncio.shield(self._pool.release(connection, timeout=TIMEOUT))

    async def ping(self) -> None:
        """Look whether it is there."""
        async with self.transaction() as connection:
            await connection.fetchval("SELECT 1")

    # ------------------------------------------------------------------------------------------------------- cameras
    async def get_or_create(
        self, connection: asyncpg.Connection, name: str, place: str = ""
    ) -> tuple[dict[str, Any], bool]:
        """A camera, and whether it is new; whoever comes second finds what the first one made."""
        if defects.on("race"):
            row = await connection.fetchrow("SELECT id, name, place FROM cameras WHERE name = $1", name)
            if row is None:
                await asyncio.sleep(0.005)  # what else has to be thought of for a new camera
                row = await connection.fetchrow(
                    "INSERT INTO cameras (name, place) VALUES ($1, $2) RETURNING *", name, place
                )
                return dict(row), True
            return dict(row), False
        while True:
            row = await connection.fetchrow(
                "INSERT INTO cameras (name, place) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id, name, place",
                name, place,
            )  # fmt: skip
            if row is not None:
                return dict(row), True
            row = await connection.fetchrow("SELECT id, name, place FROM cameras WHERE name = $1", name)
            if row is not None:  # else somebody removed it in between
                return dict(row), False

    async def camera(self, name: str) -> dict[str, Any]:
        """A camera with the number of its events.

        Raises:
            Missing: there is none of this name.
        """
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                "SELECT c.id, name, place, (SELECT count(*) FROM events WHERE camera_id = c.id) AS events FROM cameras c WHERE name = $1",
                name,
            )
        return _there(row, "camera")

    async def cameras(self, prefix: str, limit: int) -> list[dict[str, Any]]:
        """Those whose names begin so, by name."""
        async with self.transaction() as connection:
            rows = await connection.fetch(
                "SELECT id, name, place FROM cameras WHERE starts_with(name, $1) ORDER BY name LIMIT $2", prefix, limit
            )
        return [dict(row) for row in rows]

    async def move(self, name: str, place: str) -> dict[str, Any]:
        """A camera has another place.

        Raises:
            Missing: there is none of this name.
        """
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                "UPDATE cameras SET place = $2 WHERE name = $1 RETURNING id, name, place", name, place
            )
        return _there(row, "camera")

    async def remove_camera(self, name: str) -> None:
        """A camera is no more.

        Raises:
            Missing: there is none of this name.
            Conflict: it has events.
        """
        try:
            async with self.transaction() as connection:
                found = await connection.fetchval("DELETE FROM cameras WHERE name = $1 RETURNING id", name)
        except asyncpg.ForeignKeyViolationError:
            raise Conflict("the camera has events") from None
        if found is None:
            raise Missing("no such camera")

    # -------------------------------------------------------------------------------------------------------- events
    async def add(self, connection: asyncpg.Connection, event: dict[str, Any], *, make: bool = False) -> bool:
        """An event; whether it is new.

        Args:
            make: a camera that nobody knows is made.

        Raises:
            Missing: there is no such camera.
            Conflict: another event has this id.
        """
        camera = await connection.fetchval("SELECT id FROM cameras WHERE name = $1", event["camera"])
        if camera is None and make:
            camera = (await self.get_or_create(connection, event["camera"]))[0]["id"]
        if camera is None:
            raise Missing("no such camera")
        values = (event["id"], camera, event["kind"], event["note"], event["at"])
        try:
            new = await connection.fetchval(
                "INSERT INTO events (id, camera_id, kind, note, at) VALUES ($1, $2, $3, $4, $5)"
                " ON CONFLICT (id) DO NOTHING RETURNING id",
                *values,
            )
        except asyncpg.ForeignKeyViolationError:  # somebody has just removed it
            raise Missing("no such camera") from None
        if new is None:
            there = await connection.fetchrow("SELECT camera_id, kind, note FROM events WHERE id = $1", event["id"])
            if tuple(there) != values[1:4]:
                raise Conflict("another event has this id")
        return new is not None

    async def event(self, event: uuid.UUID) -> dict[str, Any]:
        """One event.

        Raises:
            Missing: there is none of this id.
        """
        async with self.transaction() as connection:
            row = await connection.fetchrow(_EVENTS + " WHERE e.id = $1", event)
        return _shown(_there(row, "event"))

    async def events(self, camera: str, kind: str, before: int, limit: int) -> list[dict[str, Any]]:
        """A camera's events, the newest first."""
        async with self.transaction() as connection:
            if defects.on("n-plus-one"):
                return await self._one_by_one(connection, camera, kind, before, limit)
            rows = await connection.fetch(
                _EVENTS + " WHERE c.name = $1 AND ($2 = '' OR e.kind = $2) AND e.seq < $3 ORDER BY e.seq DESC LIMIT $4",
                camera, kind, before, limit,
            )  # fmt: skip
        return [_shown(dict(row)) for row in rows]

    async def _one_by_one(
        self, connection: asyncpg.Connection, camera: str, kind: str, before: int, limit: int
    ) -> list[dict[str, Any]]:
        ids = await connection.fetch(
            "SELECT e.id FROM events e JOIN cameras c ON c.id = e.camera_id WHERE c.name = $1 AND ($2 = '' OR e.kind = $2)"
            " AND e.seq < $3 ORDER BY e.seq DESC LIMIT $4", camera, kind, before, limit,
        )  # fmt: skip
        rows = [await connection.fetchrow(_EVENTS + " WHERE e.id = $1", row["id"]) for row in ids]
        return [_shown(dict(row)) for row in rows]

    async def remove_event(self, event: uuid.UUID) -> None:
        """An event is forgotten.

        Raises:
            Missing: there is none of this id.
            Conflict: a delivery brought it, and may come again.
        """
        try:
            async with self.transaction() as connection:
                found = await connection.fetchval("DELETE FROM events WHERE id = $1 RETURNING id", event)
        except asyncpg.ForeignKeyViolationError:
            raise Conflict("a delivery brought it") from None
        if found is None:
            raise Missing("no such event")

    # ---------------------------------------------------------------------------------------------- deliveries, shares
    async def deliver(self, connection: asyncpg.Connection, delivery: str, source: str, event: uuid.UUID) -> None:
        """Note which event a delivery brought."""
        await connection.execute(
            "INSERT INTO deliveries (id, source, event_id) VALUES ($1, $2, $3)", delivery, source, event
        )

    async def delivery(self, delivery: str, connection: asyncpg.Connection | None = None) -> dict[str, Any]:
        """What a delivery brought.

        Raises:
            Missing: it never came.
        """
        query = "SELECT d.id, source, event_id::text AS event, note FROM deliveries d JOIN events e ON e.id = event_id WHERE d.id = $1"
        if connection is not None:
            return _there(await connection.fetchrow(query, delivery), "delivery")
        async with self.transaction() as own:
            return _there(await own.fetchrow(query, delivery), "delivery")

    async def share(self, picture: str) -> str:
        """A code by which others may look at a picture."""
        code = secrets.choice("bcdfghjkmnpqrstv") if defects.on("short-codes") else secrets.token_urlsafe(12)
        async with self.transaction() as connection:
            await connection.execute(
                "INSERT INTO shares (code, picture) VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET picture = $2",
                code, picture,
            )  # fmt: skip
        return code

    async def shared(self, code: str) -> str:
        """The picture behind a code.

        Raises:
            Missing: nobody shared it.
        """
        async with self.transaction() as connection:
            row = await connection.fetchrow("SELECT picture FROM shares WHERE code = $1", code)
        return _there(row, "share")["picture"]

    async def unshare(self, code: str) -> None:
        """Nobody may look any more.

        Raises:
            Missing: nobody shared it.
        """
        async with self.transaction() as connection:
            _there(await connection.fetchrow("DELETE FROM shares WHERE code = $1 RETURNING code", code), "share")

    def figures(self) -> dict[str, float]:
        """Of the pool."""
        size, idle = (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)
        return {"pool_in_use": size - idle, "pool_max": POOL}


_EVENTS = (
    "SELECT e.id::text AS id, c.name AS camera, kind, note, at, seq FROM events e JOIN cameras c ON c.id = e.camera_id"
)


def _there(row: Any, what: str) -> dict[str, Any]:
    if row is None:
        raise Missing(f"no such {what}")
    return dict(row)


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "at": event["at"].astimezone(datetime.timezone.utc).isoformat()}
