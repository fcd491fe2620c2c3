"""A ledger read back from a database: a query's rows, its columns known by their names."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from shakedown.errors import LoadError
from shakedown.ledgers.asking import Found, Item, Unread, digest_in, position_of
from shakedown.plan.ledgers import LedgerListing, LedgerRead
from shakedown.services import Address

__all__ = ["SqlAsker", "url_of"]

PAGE = 1000


def url_of(way: LedgerRead | LedgerListing, address: Address | None) -> sa.URL:
    """Where the database is.

    Raises:
        LoadError: the URL is none.
    """
    url = way.url or ""
    if address is not None:
        host = f"[{address.host}]" if ":" in address.host else address.host
        url = url.replace("{host}", host).replace("{port}", str(address.port))
    try:
        parsed = sa.make_url(url)
    except SQLAlchemyError as error:
        raise LoadError(f"the ledger's database cannot be spoken to: {error}") from error
    return parsed.set(password=way.password) if way.password is not None else parsed


class SqlAsker:
    """Asks by queries.

    Raises:
        LoadError: the URL's driver is not there.
    """

    def __init__(self, way: LedgerRead | LedgerListing, address: Address | None, connections: int) -> None:
        self._way = way
        url = url_of(way, address)
        pool = {} if url.get_backend_name() == "sqlite" else {"pool_size": connections, "max_overflow": 0}
        try:
            self._engine = create_async_engine(url, **pool)
        except (ImportError, SQLAlchemyError, TypeError) as error:
            raise LoadError(
                f"the ledger's database cannot be spoken to: {error}",
                hint="the URL's driver must be installed, and be an asynchronous one (asyncpg, aiosqlite, …)",
            ) from error
        self._query = sa.text(way.sql or "")

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def one(self, key: str) -> Found:
        """Look for a key; each row is a copy."""
        try:
            async with asyncio.timeout(self._way.timeout), self._engine.connect() as connection:
                rows = (await connection.execute(self._query, {"key": key})).mappings().fetchall()
        except TimeoutError:
            return Found(None, f"no answer within {self._way.timeout:g} s")
        except (SQLAlchemyError, OSError) as error:
            return Found(None, _words(error))
        if not rows:
            return Found(0, "no row")
        return Found(len(rows), f"{len(rows)} rows" if len(rows) > 1 else "a row", _digest(rows[0]), _position(rows[0]))

    async def pages(self) -> AsyncIterator[list[Item]]:
        """Everything that is there, in one query whose rows come as they are read."""
        ordered = isinstance(self._way, LedgerListing) and self._way.ordered
        number = 0
        try:
            async with self._engine.connect() as connection:
                result = await asyncio.wait_for(connection.stream(self._query), self._way.timeout)
                async for rows in result.mappings().partitions(PAGE):
                    page = []
                    for row in rows:
                        if row.get("key") is None:
                            raise Unread("a row of the listing has no `key`")
                        page.append(Item(str(row["key"]), _digest(row), float(number) if ordered else _position(row)))
                        number += 1
                    yield page
        except TimeoutError:
            raise Unread(f"no answer within {self._way.timeout:g} s") from None
        except (SQLAlchemyError, OSError) as error:
            raise Unread(_words(error)) from error


def _digest(row: Mapping[Any, Any]) -> int:
    return digest_in(row["value"]) if "value" in row else 0


def _position(row: Mapping[Any, Any]) -> float:
    return position_of(row["position"]) if "position" in row else math.nan


def _words(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300].rstrip(": ")
