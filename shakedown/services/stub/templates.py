"""What is filled into an answer: `{{ request.json.model }}`, `{{ uuid() }}`."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

EXPRESSION = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def fill(value: Any, names: Mapping[str, Any], lots: Random) -> Any:
    """A value with its expressions filled in; a text that is one expression becomes what that is, and not its text."""
    if isinstance(value, str):
        whole = EXPRESSION.fullmatch(value)
        if whole:
            return look(whole[1], names, lots)
        return EXPRESSION.sub(lambda match: text(look(match[1], names, lots)), value)
    if isinstance(value, dict):
        return {text(fill(key, names, lots)): fill(inner, names, lots) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, names, lots) for inner in value]
    return value


def look(expression: str, names: Mapping[str, Any], lots: Random) -> Any:
    """What an expression is; None for what the request does not have."""
    if expression == "uuid()":
        return str(uuid.UUID(int=lots.getrandbits(128), version=4))
    if expression == "now()":
        return datetime.now(UTC).isoformat(timespec="milliseconds")
    found: Any = names
    for part in expression.split("."):
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, Mapping):
            found = found.get(part)
        else:
            return None
    return found


def text(value: Any) -> str:
    """As it stands within other text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
