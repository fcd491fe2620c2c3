r"""Where values stand in an HTTP answer: paths into JSON, header fields, cookies, the text of the body.

::

    json.access_token     json.items.0.id        a dotted path
    $.items[?@.ok].id                            a JSONPath (RFC 9535)
    header.location       cookie.session
    body ~ name="csrf" value="([^"]+)"           what a regular expression finds: its first group, or all of it
    header.location ~ /items/(\d+)                …in any of the others
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

__all__ = [
    "Answer", "Find", "Source", "Unreadable", "compile_path", "cookie_value", "document_of", "is_absent", "json_at",
    "parse_source", "split_path",
]  # fmt: skip

Find = Callable[[object], list[object]]
_ABSENT = object()
_PATHS = JSONPathEnvironment(strict=True)
_SOURCE = re.compile(
    r"(?P<place>json(?:\.[\w-]+)+|json|header\.[\w-]+|cookie\.[^\s;,=~]+|body)(?:\s*~\s*(?P<pattern>.+))?", re.DOTALL
)


class Answer(Protocol):
    """What checks and extractions look at.

    Some answers know more: `size` (of the whole body, where it was not all kept), `truncated` (that it was not), and
    `cookies` (the values of Set-Cookie fields).
    """

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields by lower-case name."""

    @property
    def body(self) -> bytes:
        """The body, as far as it was kept."""

    @property
    def latency(self) -> float:
        """Seconds from the send to the end of the answer."""


class Unreadable(Exception):  # noqa: N818 - an answer about an answer, never shown
    """Whether something holds cannot be said: the body is not JSON, or was not kept as a whole."""


_read: tuple[bytes, object] = (b"", None)


def document_of(answer: Answer) -> object:
    """The body as JSON; read once for all checks of one answer.

    Raises:
        Unreadable: it is none.
    """
    global _read  # noqa: PLW0603 - the last document, so that several checks of one answer read it once
    body, found = _read
    if body is not answer.body or not body:
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):  # no JSON, or JSON that is nested to break its reader
            raise Unreadable from None
        _read = (answer.body, found)
    return found


def json_at(document: object, path: Sequence[str]) -> object:
    """The value at a dotted path of a JSON document; a private marker when it is absent."""
    for step in path:
        if isinstance(document, dict):
            document = document.get(step, _ABSENT)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return _ABSENT
    return document


def is_absent(value: object) -> bool:
    """Whether `json_at` found nothing."""
    return value is _ABSENT


def split_path(text: str) -> tuple[str, str]:
    """A JSONPath at the beginning of a text, and the rest: it ends with the first blank outside of brackets and quotes.

    Raises:
        ValueError: a bracket or quote does not end.
    """
    depth, quote, skip = 0, "", False
    for position, mark in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = mark == "\\"
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "[(":
            depth += 1
        elif mark in "])":
            depth -= 1
        elif not depth and mark.isspace():
            return text[:position], text[position:].strip()
    if depth or quote:
        raise ValueError(f"a bracket or quote does not end in the JSONPath {text!r}")
    return text, ""


def compile_path(text: str) -> Find:
    """Everything that a path finds in a document: dotted (`json.a.0`), or a JSONPath (`$.a[0]`).

    Raises:
        ValueError: it is neither.
    """
    if text.startswith("$"):
        try:
            path = _PATHS.compile(text)
        except (JSONPathError, ValueError, RecursionError) as error:
            raise ValueError(
                f"not a JSONPath: {text!r}: {str(error).splitlines()[0] if str(error) else error}"
            ) from None

        def find(document: object) -> list[object]:
            if isinstance(document, str):  # which the library would take for JSON that is still to be read
                return [document] if text == "$" else []
            try:
                return list(path.findall(document))  # type: ignore[arg-type]  # it takes any JSON
            except (JSONPathError, RecursionError):
                raise Unreadable from None

        return find
    steps = text.split(".")[1:]

    def find_dotted(document: object) -> list[object]:
        found = json_at(document, steps)
        return [] if found is _ABSENT else [found]

    return find_dotted


@dataclass(frozen=True, slots=True)
class Source:
    """Where one value is taken from.

    Attributes:
        find: the value, or None when it is not there.
        cookie: the cookie's name, when it is one: an earlier answer may have set it.
    """

    text: str
    find: Callable[[Answer], object]
    needs_body: bool = False
    cookie: str | None = None


def parse_source(text: str) -> Source:
    """Compile one source.

    Raises:
        ValueError: it does not follow the grammar.
    """
    text = text.strip()
    if text.startswith("$"):
        place, rest = split_path(text)
        if rest and not rest.startswith("~"):
            raise ValueError(f"after a JSONPath only `~ regex` can follow, not {rest!r}")
        pattern = rest.removeprefix("~").strip() or None
    else:
        match = _SOURCE.fullmatch(text)
        if match is None:
            raise ValueError(f"no source: {text!r}; write json.a.b, $.a[0].b, header.name, cookie.name or body ~ regex")
        place, pattern = match["place"], match["pattern"]
    read = _reader(place)
    if place == "body" and pattern is None:
        raise ValueError("the whole body is no value; write `body ~ regex`")
    needs_body = place == "body" or place.startswith(("json", "$"))
    cookie = place.removeprefix("cookie.") if place.startswith("cookie.") and pattern is None else None
    if pattern is None:
        return Source(text, read, needs_body, cookie)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {pattern!r}: {error}") from None

    def find(answer: Answer) -> object:
        value = read(answer)
        if value is None:
            return None
        found = expression.search(value if isinstance(value, str) else json.dumps(value))
        if found is None:
            return None
        return found[1] if expression.groups else found[0]

    return Source(text, find, needs_body)


def _reader(place: str) -> Callable[[Answer], object]:
    if place == "body":
        return lambda answer: answer.body.decode(errors="replace")
    if place.startswith("header."):
        header = place.removeprefix("header.").lower()
        return lambda answer: answer.headers.get(header)
    if place.startswith("cookie."):
        name = place.removeprefix("cookie.")
        return lambda answer: cookie_value(getattr(answer, "cookies", ()), name)
    path = compile_path(place)

    def find(answer: Answer) -> object:
        try:
            found = path(document_of(answer))
        except Unreadable:
            return None
        return found[0] if found else None

    return find


def cookie_value(cookies: Sequence[str], name: str) -> str | None:
    """The value that the last of some Set-Cookie fields gives to a name."""
    for field in reversed(cookies):
        pair, _, _ = field.partition(";")
        key, equals, value = pair.partition("=")
        if equals and key.strip() == name:
            return value.strip().strip('"')
    return None
