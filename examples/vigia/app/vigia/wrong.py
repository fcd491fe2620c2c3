"""What cannot be taken, and why: every answer of a check is None, or words for who sent it."""

import datetime
import uuid
from typing import Any

KINDS = ("motion", "sound", "door", "offline", "test")
NAME, NOTE, TEXT = 64, 500, 2000


class Wrong(Exception):
    """What was sent cannot be taken."""


def text(value: Any, what: str, longest: int, shortest: int = 1) -> str:
    """A text that PostgreSQL can keep.

    Raises:
        Wrong: it is none, or too long.
    """
    if not isinstance(value, str) or not shortest <= len(value) <= longest:
        raise Wrong(f"{what} must be a text of {shortest} to {longest} characters")
    if "\x00" in value:
        raise Wrong(f"{what} holds a zero")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Wrong(f"{what} holds half a character") from None
    return value


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Wrong: it is none.
    """
    if not isinstance(value, dict):
        raise Wrong("the body must be an object")
    return value


def number(value: str | None, what: str, default: int, lowest: int, highest: int) -> int:
    """A whole number out of a query.

    Raises:
        Wrong: it is none, or beyond its bounds.
    """
    if value is None:
        return default
    try:
        found = int(value)
    except ValueError:
        raise Wrong(f"{what} must be a whole number") from None
    if not lowest <= found <= highest:
        raise Wrong(f"{what} must lie between {lowest} and {highest}")
    return found


def event(document: Any) -> dict[str, Any]:
    """An event as it is sent: id, camera, kind, note, at.

    Raises:
        Wrong: something of it cannot be taken.
    """
    sent = mapping(document)
    if unknown := set(sent) - {"id", "camera", "kind", "note", "at"}:
        raise Wrong(f"unknown: {min(unknown)}")
    kind = sent.get("kind")
    if kind not in KINDS:
        raise Wrong(f"kind must be one of {', '.join(KINDS)}")
    return {
        "id": _id(sent.get("id")),
        "camera": text(sent.get("camera"), "camera", NAME),
        "kind": kind,
        "note": text(sent.get("note", ""), "note", NOTE, 0),
        "at": _instant(sent.get("at")),
    }


def _id(value: Any) -> uuid.UUID:
    if value is None:
        return uuid.uuid4()
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise Wrong("id must be a UUID") from None


def _instant(value: Any) -> datetime.datetime:
    if value is None:
        return datetime.datetime.now(datetime.timezone.utc)
    try:
        found = datetime.datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise Wrong("at must be a date and time") from None
    if found.tzinfo is None:
        raise Wrong("at needs a zone, such as +00:00")
    return found.astimezone(datetime.timezone.utc)
