"""Who is told what: an inbox for each recipient, numbered from 1 without a gap, each message once."""

from collections.abc import Iterable
from typing import Any

import asyncpg

from vigia.store import Missing, Store


async def send(connection: asyncpg.Connection, recipient: str, key: str, text: str) -> tuple[int, bool]:
    """A message into an inbox; its number, and whether it is new. The same key is the same message."""
    await connection.execute("INSERT INTO inboxes (recipient, last) VALUES ($1, 0) ON CONFLICT DO NOTHING", recipient)
    last = await connection.fetchval("SELECT last FROM inboxes WHERE recipient = $1 FOR UPDATE", recipient)
    there = await connection.fetchval("SELECT number FROM messages WHERE recipient = $1 AND key = $2", recipient, key)
    if there is not None:
        return there, False
    await connection.execute(
        "INSERT INTO messages (recipient, number, key, text) VALUES ($1, $2, $3, $4)", recipient, last + 1, key, text
    )
    await connection.execute("UPDATE inboxes SET last = $2 WHERE recipient = $1", recipient, last + 1)
    return last + 1, True


async def broadcast(connection: asyncpg.Connection, recipients: Iterable[str], key: str, text: str) -> int:
    """A message to many; how many had it not. In one order, so that two at once do not wait for each other in a ring."""
    return sum([(await send(connection, one, key, text))[1] for one in sorted(set(recipients))])


async def tell(connection: asyncpg.Connection, events: list[dict[str, Any]]) -> int:
    """Tell those who asked to be told of the events' cameras, in the order of `broadcast`; how many messages that took."""
    rows = await connection.fetch(
        "SELECT recipient, camera FROM subscriptions WHERE camera = ANY($1) ORDER BY recipient",
        [one["camera"] for one in events],
    )
    told = [(row["recipient"], one) for row in rows for one in events if one["camera"] == row["camera"]]
    for recipient, event in sorted(told, key=lambda pair: pair[0]):
        await send(connection, recipient, str(event["id"]), f"{event['camera']}: {event['kind']}")
    return len(told)


async def inbox(store: Store, recipient: str, after: int, limit: int) -> list[dict[str, Any]]:
    """What somebody was told, in its order."""
    async with store.transaction() as connection:
        rows = await connection.fetch(
            "SELECT number, key, text FROM messages WHERE recipient = $1 AND number > $2 ORDER BY number LIMIT $3",
            recipient, after, limit,
        )  # fmt: skip
    return [dict(row) for row in rows]


async def unread(store: Store, recipient: str) -> int:
    """How many messages somebody has not seen."""
    async with store.transaction() as connection:
        return await connection.fetchval("SELECT last - seen FROM inboxes WHERE recipient = $1", recipient) or 0


async def mark(store: Store, recipient: str, up_to: int) -> int:
    """Somebody has seen everything up to a number; what that leaves. It never goes back.

    Raises:
        Missing: there is no message of this number.
    """
    async with store.transaction() as connection:
        row = await connection.fetchrow("SELECT last, seen FROM inboxes WHERE recipient = $1 FOR UPDATE", recipient)
        if row is None or not 0 < up_to <= row["last"]:
            raise Missing("no such message")
        seen = max(row["seen"], up_to)
        await connection.execute("UPDATE inboxes SET seen = $2 WHERE recipient = $1", recipient, seen)
        return row["last"] - seen


async def subscribe(store: Store, recipient: str, camera: str) -> bool:
    """Somebody wants to be told of a camera; whether that is new."""
    async with store.transaction() as connection:
        return bool(
            await connection.fetchval(
                "INSERT INTO subscriptions (recipient, camera) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING camera",
                recipient,
                camera,
            )  # fmt: skip
        )


async def unsubscribe(store: Store, recipient: str, camera: str) -> None:
    """Somebody wants to be told no more.

    Raises:
        Missing: they never did.
    """
    async with store.transaction() as connection:
        found = await connection.fetchval(
            "DELETE FROM subscriptions WHERE recipient = $1 AND camera = $2 RETURNING camera", recipient, camera
        )
    if found is None:
        raise Missing("no such subscription")
