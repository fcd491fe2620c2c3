"""Whom a ledger is read back from, and how: an HTTP service, a database, a Redis server.

What the system itself says it does not have is absent: "not found", a success without it, no row, no reply. A time-out,
an error, a limit on requests, a refused log-in or a redirect says nothing about the key: it is unread.
"""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shakedown.ledgers.digest import digest_of
from shakedown.plan.ledgers import LedgerListing, LedgerRead
from shakedown.services import Address

__all__ = ["Asker", "Found", "Item", "Unread", "asker_of", "position_of"]

MOST_PAGES = 1_000_000


class Unread(Exception):  # noqa: N818 - the system did not say; that is an outcome, and no error of ours
    """The system did not say what it has."""


@dataclass(slots=True)
class Found:
    """One key, looked for.

    Attributes:
        copies: how often it is there; None: the reading itself failed.
        detail: what was seen, in words.
        digest: of the value; 0 where the plan names none, or it is not there.
        position: in the order of storing; nan where the plan names none.
    """

    copies: int | None
    detail: str
    digest: int = 0
    position: float = math.nan


@dataclass(slots=True)
class Item:
    """One thing that a listing has."""

    key: str
    digest: int = 0
    position: float = math.nan


class Asker(Protocol):
    """Asks one system; used on one event loop, by several tasks at once."""

    async def one(self, key: str) -> Found:
        """Look for a key."""

    def pages(self) -> AsyncIterator[list[Item]]:
        """Everything that is there.

        Raises:
            Unread: it cannot be listed now.
        """

    async def close(self) -> None:
        """Close the connections."""


def asker_of(way: LedgerRead | LedgerListing, address: Address | None, connections: int) -> Asker:
    """Who asks in the way that a plan has.

    Args:
        address: of the target; None for a database whose URL says it all.
        connections: most of them at a time.
    """
    if way.sql is not None:
        from shakedown.ledgers.asking_sql import SqlAsker  # noqa: PLC0415 - loads its library only where it is used

        return SqlAsker(way, address, connections)
    if way.redis is not None:
        from shakedown.ledgers.asking_redis import RedisAsker  # noqa: PLC0415 - as above

        return RedisAsker(way, address, connections)
    from shakedown.ledgers.asking_http import HttpAsker  # noqa: PLC0415 - as above

    return HttpAsker(way, address, connections)


def digest_in(value: object) -> int:
    """The digest of a value that was read."""
    return int(digest_of(value), 16)


def position_of(value: object) -> float:
    """A number, or an instant, as a number; nan for what is neither."""
    if isinstance(value, bool) or value is None:
        return math.nan
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return float(value)  # type: ignore[arg-type]  # what it cannot read it says
    except (TypeError, ValueError):
        pass
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return math.nan
