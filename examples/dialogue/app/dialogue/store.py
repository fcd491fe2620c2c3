"""Conversations and their messages."""

import asyncio
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dialogue import defects
from dialogue.cache import Cache
from dialogue.database import Database

ROLES = ("user", "assistant", "system")
LONGEST = 20_000
CUT_AT = 4_000
CACHED = 500


class Invalid(ValueError):
    """Something that cannot be stored; nothing of it was."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its number counts from 1 within its conversation, in the order in which they came."""

    id: str
    conversation: str
    number: int
    role: str
    text: str


class Store:
    """All conversations in a file, for any number of threads; each call may come from any of them."""

    def __init__(self, path: str | Path, cached: int = CACHED) -> None:
        self._database = Database(Path(path))
        self.cache = Cache(cached)
        self._current = ""

    def add(self, conversation: str, role: str, text: str, message: str | None = None) -> Message:
        """Store a message.

        Args:
            message: its id; one is made when none is given.

        Raises:
            Invalid: the text is empty, too long, or holds what no file can hold; there is no such role.
        """
        return self.add_all(conversation, [(role, text, message)])[0]

    def add_all(self, conversation: str, messages: Iterable[tuple[str, str, str | None]]) -> list[Message]:
        """Store several messages, each (role, text, id or None): all of them, or none.

        Raises:
            Invalid: one of them cannot be stored.
        """
        _check_name(conversation)
        self._current = conversation
        if defects.on("mixed-sessions"):
            time.sleep(0.0005)  # a moment in which another caller's conversation is under way
            conversation = self._current
        if defects.on("race"):
            stored = self._add_in_two_steps(conversation, messages)
        elif defects.on("half-batch"):
            stored = []
            for one in messages:
                with self._database.one_of_several() as connection:
                    stored.append(self._insert(connection, conversation, self._database.next_number(conversation), one))
        else:
            with self._database.transaction() as connection:
                number = self._database.next_number(conversation)
                stored = [self._insert(connection, conversation, number + i, one) for i, one in enumerate(messages)]
        self.cache.forget(conversation)
        return stored

    def _add_in_two_steps(self, conversation: str, messages: Iterable[tuple[str, str, str | None]]) -> list[Message]:
        """The mistake of race: the number is found outside of the transaction that uses it."""
        number = self._database.next_number(conversation)
        with self._database.transaction() as connection:
            return [self._insert(connection, conversation, number + i, one) for i, one in enumerate(messages)]

    def _insert(self, connection, conversation: str, number: int, message: tuple[str, str, str | None]) -> Message:
        role, text, given = message
        _check(role, text)
        if defects.on("truncate"):
            text = text[:CUT_AT]
        made = Message(given or uuid.uuid4().hex, conversation, number, role, text)
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", (made.id, conversation, number, role, text, time.time())
        )
        connection.execute("UPDATE totals SET value = value + 1 WHERE name = 'messages'")
        connection.execute("UPDATE totals SET value = value + ? WHERE name = 'characters'", (len(text),))
        return made

    def history(self, conversation: str, last: int | None = None) -> tuple[Message, ...]:
        """A conversation's messages in their order; all, or the last ones."""
        if self._database.changed_by_others():
            self.cache.forget_all()
        found, version = self.cache.get(conversation)
        if found is None:
            rows = self._database.rows(
                "SELECT id, conversation, number, role, text FROM messages WHERE conversation = ? ORDER BY number, rowid",
                conversation,
            )
            if defects.on("stale-cache"):
                time.sleep(0.001)  # a moment in which somebody writes
            found = tuple(Message(*row) for row in rows)
            self.cache.put(conversation, found, version)
        return found if last is None else found[-last:] if last > 0 else ()

    def message(self, message: str) -> Message | None:
        """A message by its id."""
        rows = self._database.rows("SELECT id, conversation, number, role, text FROM messages WHERE id = ?", message)
        return Message(*rows[0]) if rows else None

    def statistics(self) -> dict[str, float]:
        """How much there is, and what the cache does."""
        totals = dict(self._database.rows("SELECT name, value FROM totals"))
        if defects.on("no-index"):
            totals["messages"] = self._database.rows("SELECT count(*) FROM messages WHERE length(text) >= 0")[0][0]
        return {**totals, "cached": len(self.cache), "hit_rate": self.cache.hit_rate}

    def counted(self) -> int:
        """Messages, counted one by one; `statistics` must say the same."""
        return self._database.rows("SELECT count(*) FROM messages")[0][0]

    def remove(self, conversation: str) -> int:
        """Remove a conversation; how many messages it had."""
        with self._database.transaction() as connection:
            texts = connection.execute("SELECT text FROM messages WHERE conversation = ?", (conversation,)).fetchall()
            count, characters = len(texts), sum(len(text) for (text,) in texts)  # SQLite's own length ends at a zero
            connection.execute("DELETE FROM messages WHERE conversation = ?", (conversation,))
            connection.execute("UPDATE totals SET value = value - ? WHERE name = 'messages'", (count,))
            connection.execute("UPDATE totals SET value = value - ? WHERE name = 'characters'", (characters,))
        self.cache.forget(conversation)
        return count

    async def add_async(self, conversation: str, role: str, text: str, message: str | None = None) -> Message:
        """`add`, for asyncio: the loop goes on meanwhile."""
        return await asyncio.to_thread(self.add, conversation, role, text, message)

    async def history_async(self, conversation: str) -> tuple[Message, ...]:
        """`history`, for asyncio."""
        return await asyncio.to_thread(self.history, conversation)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _check_name(conversation: object) -> None:
    """Raise what is wrong with a conversation's name."""
    if not isinstance(conversation, str) or not conversation or len(conversation) > 200 or _half(conversation):
        raise Invalid("a conversation's name is a text of 1 to 200 whole characters")


def _check(role: object, text: object) -> None:
    """Raise what is wrong with a message."""
    if role not in ROLES:
        raise Invalid(f"no such role: {role!r}; there are {', '.join(ROLES)}")
    if not isinstance(text, str) or not text:
        raise Invalid("a text is needed, and it must not be empty")
    if len(text) > LONGEST:
        raise Invalid(f"a text has at most {LONGEST} characters, not {len(text)}")
    if _half(text):
        raise Invalid("a text holds half a character")


def _half(text: str) -> bool:
    """Whether it has half of a character, which no encoding can hold."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)
