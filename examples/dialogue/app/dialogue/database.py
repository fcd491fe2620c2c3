"""SQLite over one connection: one thing at a time, and each either whole or not at all."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialogue import defects

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id text NOT NULL, conversation text NOT NULL, number int NOT NULL, role text NOT NULL, text text NOT NULL, at real NOT NULL);
CREATE TABLE IF NOT EXISTS totals (name text PRIMARY KEY, value int NOT NULL);
INSERT OR IGNORE INTO totals VALUES ('messages', 0), ('characters', 0);
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS by_conversation ON messages (conversation, number);
CREATE INDEX IF NOT EXISTS by_id ON messages (id);
"""
PATIENCE = 20.0  # seconds to wait for another process that writes


class Database:
    """The file; several processes may have it open."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        with self.transaction():
            for statement in (_SCHEMA + ("" if defects.on("no-index") else _INDEXES)).split(";"):
                self._connection.execute(statement)
            if defects.on("no-index"):
                for name in ("by_conversation", "by_id"):
                    self._connection.execute(f"DROP INDEX IF EXISTS {name}")
        self._seen = self._others()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def changed_by_others(self) -> bool:
        """Whether another process wrote since the last time that this was asked."""
        with self._lock:
            before, self._seen = self._seen, self._others()
            return before != self._seen

    def _others(self) -> int:
        return self._connection.execute("PRAGMA data_version").fetchone()[0]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it, or nothing; nobody else writes meanwhile."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if not defects.on("cascade"):
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def one_of_several(self) -> Iterator[sqlite3.Connection]:
        """The mistake of half-batch: a step of something larger, committed by itself."""
        with self.transaction() as connection:
            yield connection

    def next_number(self, conversation: str) -> int:
        """The number of a conversation's next message; whoever uses it does so in the same transaction."""
        found = self.rows("SELECT max(number) FROM messages WHERE conversation = ?", conversation)[0][0]
        if defects.on("race"):
            time.sleep(0.001)  # a moment in which others may do the same
        return (found or 0) + 1

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
