"""Dialogue: conversations kept in SQLite, behind a bounded cache; for many threads, and for asyncio.

store       conversations and their messages: the part that programs call
database    the one connection, its lock, transactions that are whole or not at all
cache       the histories that were asked for last, at most so many
defects     mistakes that can be switched on
"""

from dialogue.store import Invalid, Message, Store

__all__ = ["Invalid", "Message", "Store"]
