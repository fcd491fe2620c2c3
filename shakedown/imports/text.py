"""Recorded text as plan text: what a plan would read as a variable or template arrives literally.

A plan gives meaning to two things inside its values: `$` (variables, before anything else) and Jinja's openers `{{`,
`{%`, `{#`. Every text that comes from outside passes through `literal`, `compose` or `literal_tree`; the type
`PlanText` says that it has, or that it was written by us, so that the type checker finds what was forgotten.
"""

import json
import re
from decimal import Decimal, InvalidOperation

from shakedown.plan.templates import is_constant

__all__ = [
    "PlainText",
    "PlanText",
    "comment",
    "compose",
    "fits_tree",
    "is_header_text",
    "jinja_string",
    "literal",
    "literal_tree",
    "load_exact",
    "slug",
    "template",
    "unique",
    "whole",
]

_OPENER = re.compile(r"\{(?=[{%#\r])")  # a carriage return becomes an expression itself
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAME_LENGTH = 64
_COMMENT_LENGTH = 110
# What a plan may hold of JSON in one body; anything larger or deeper goes into `body` as it is.
_DEEPEST = 40
_MOST_NODES = 2000
_EXACT_DIGITS = 18


class PlanText(str):
    """A text in which the plan's `$` and templates mean what they mean: written by us, or made literal."""

    __slots__ = ()


class PlainText(PlanText):
    """A text to be written without quotes, so that `${PIN:-0}` becomes a number."""

    __slots__ = ()


def literal(text: str) -> PlanText:
    """The recorded text as a plan writes it, so that it renders to exactly itself."""
    return compose(text)


def compose(*pieces: str) -> PlanText:
    r"""One plan text of several pieces: those that are `PlanText` keep their meaning, all others are made literal.

    As soon as any piece makes the whole a template, Jinja turns `\r\n` and `\r` into `\n`: then those are written as
    expressions. A `{` at the end of a piece must not make an opener with the next one. Halves of characters
    (surrogates), which no plan can hold, become U+FFFD; see `whole`.
    """
    ends = [index < len(pieces) - 1 and piece.endswith("{") for index, piece in enumerate(pieces)]
    templated = not all(map(is_constant, pieces)) or any(
        end and not isinstance(piece, PlanText) for end, piece in zip(ends, pieces, strict=True)
    )
    found: list[str] = []
    for piece, end in zip(pieces, ends, strict=True):
        if isinstance(piece, PlanText):
            found.append(piece)
            continue
        text = _SURROGATE.sub("\ufffd", piece)
        if templated:
            last = "{{ '{' }}" if end else ""
            text = _OPENER.sub("{{ '{' }}", text[:-1] if end else text).replace("\r", r"{{ '\r' }}") + last
        found.append(text.replace("$", "$$"))
    return PlanText("".join(found))


def whole(text: str) -> bool:
    """Whether a text consists of whole characters."""
    return _SURROGATE.search(text) is None


def template(expression: str) -> PlanText:
    """A Jinja expression as plan text."""
    return PlanText("{{ " + expression.replace("$", "$$") + " }}")


def jinja_string(text: str) -> str:
    """A text as a string literal inside a Jinja expression."""
    inner = _SURROGATE.sub("\ufffd", text).encode("unicode_escape").decode("ascii").replace("'", "\\'")
    return f"'{inner}'"


def literal_tree(value: object) -> object:
    """JSON-like data with every text (of values, not of keys) made literal; `fits_tree` must hold."""
    if isinstance(value, str):
        return value if isinstance(value, PlanText) else literal(value)
    if isinstance(value, dict):
        return {key: literal_tree(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal_tree(item) for item in value]
    return value


def fits_tree(value: object) -> bool:
    """Whether JSON data can stand in a plan as `json:` and be sent as the same data.

    It cannot when a key holds template syntax (keys are no templates, so nothing in them can be escaped), when a text
    holds half of a character, or when it is deeper or larger than a plan should be.
    """
    nodes = 0
    stack: list[tuple[object, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        nodes += 1
        if depth > _DEEPEST or nodes > _MOST_NODES:
            return False
        if isinstance(item, str) and not whole(item):
            return False
        if isinstance(item, int) and abs(item) >= 10**_EXACT_DIGITS:
            return False
        if isinstance(item, dict):
            if not all(isinstance(key, str) and is_constant(key) and whole(key) for key in item):
                return False
            stack += [(member, depth + 1) for member in item.values()]
        elif isinstance(item, list):
            stack += [(member, depth + 1) for member in item]
    return value is not None


class _InexactError(ValueError):
    """JSON that a round trip through Python would change."""


def load_exact(text: str) -> object:
    """JSON as data, when writing the data again gives the same JSON (but for white space).

    Raises:
        ValueError: it is no JSON, a key stands twice, or a number has more digits than a float keeps.
    """

    def number(digits: str) -> float:
        value = float(digits)
        try:
            exact = Decimal(digits) == Decimal(repr(value))
        except InvalidOperation:
            exact = False
        if not exact:
            raise _InexactError(f"a number with too many digits: {digits[:40]}")
        return value

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _InexactError("a key stands twice")
        return found

    def refuse(name: str) -> object:
        raise _InexactError(f"{name} is no JSON")

    try:
        loaded: object = json.loads(text, parse_float=number, object_pairs_hook=once, parse_constant=refuse)
    except RecursionError:
        raise _InexactError("nested too deep") from None
    return loaded


def comment(text: str, length: int = _COMMENT_LENGTH) -> str:
    """Any text as one line that can stand in a comment: no line breaks, nothing that YAML refuses, not too long."""
    line = "".join(letter for letter in " ".join(text[: 4 * length].split()) if letter.isprintable())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def slug(text: str, fallback: str) -> str:
    """A name of the plan made from any text: letters, digits, - and _, beginning with a letter."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text[: 8 * _NAME_LENGTH]).strip("-_")
    if name and not name[0].isalpha():
        name = f"{fallback}-{name}"
    return name[:_NAME_LENGTH].rstrip("-_") or fallback


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if it is taken; it is taken from then on."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name[: _NAME_LENGTH - len(str(number)) - 1]}-{number}"
    taken.add(found)
    return found


def is_header_text(text: str) -> bool:
    """Whether a text can be a header's value: whole characters, no line breaks."""
    return whole(text) and not any(letter < " " or letter == "\x7f" for letter in text)
