"""The grammar of checks on an HTTP answer, compiled to something quick.

::

    status == 202 · status < 500 · status in [200, 201] · status in 200..299
    json.a.b.0 == "x" · json.items exists · json.total > 3
    body contains "text" · body matches "regex" · size < 1MB
    header.content-type contains "json" · header.etag exists
    latency < 500ms
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shakedown.units import parse_duration, parse_size

__all__ = ["Answer", "Check", "Checks", "compile_checks", "parse_check"]


class Answer(Protocol):
    """What a check looks at."""

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


@dataclass(frozen=True, slots=True)
class Check:
    """One compiled check.

    Attributes:
        text: as the plan has it.
        holds: true when the answer is as it should be.
        needs_body: whether the body must be kept for it.
    """

    text: str
    holds: Callable[[Answer], bool]
    needs_body: bool = False
    needs_headers: bool = False
    needs_latency: bool = False


_COMPARE: dict[str, Callable[[object, object], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}
_SHAPE = re.compile(
    r"(?P<subject>status|latency|size|body|json(?:\.[\w-]+)*|header\.[\w-]+)\s*"
    r"(?P<op>==|!=|<=|>=|<|>|\bin\b|\bcontains\b|\bmatches\b|\bexists\b)\s*(?P<value>.*)",
    re.DOTALL,
)
_ABSENT = object()


def _same(a: object, b: object) -> bool:
    """Equality as JSON has it: true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def parse_check(text: str) -> Check:
    """Compile one check.

    Raises:
        ValueError: it does not follow the grammar.
    """
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'not a check: {text!r}; write for example `status == 200` or `json.id == "x"`')
    subject, op, value = match["subject"], match["op"], match["value"].strip()
    if op == "exists" and value:
        raise ValueError(f"`exists` stands last, not before {value!r}, in {text!r}")
    if subject == "status":
        return Check(text, _status(op, value, text))
    if subject == "latency":
        limit, compare = _with_unit(parse_duration, value), _comparison(op, text)
        return Check(text, lambda answer: compare(answer.latency, limit), needs_latency=True)
    if subject == "size":
        size, compare = _with_unit(parse_size, value), _comparison(op, text)
        return Check(text, lambda answer: compare(_size_of(answer), size), needs_body=True)
    if subject == "body":
        return Check(text, _text_check(op, value, text, lambda answer: answer.body.decode(errors="replace")), True)
    if subject.startswith("header."):
        name = subject.removeprefix("header.").lower()
        return Check(text, _text_check(op, value, text, lambda answer: answer.headers.get(name)), needs_headers=True)
    return Check(text, _json_check(subject.split(".")[1:], op, value, text), needs_body=True)


def _with_unit(read: Callable[[str], float], value: str) -> float:
    try:
        return read(value)
    except OverflowError:
        raise ValueError(f"too large: {value}") from None


def _size_of(answer: Answer) -> int:
    """The body's whole length, also of a body too long to be kept (such an answer knows its `size`)."""
    return max(len(answer.body), getattr(answer, "size", 0))


def _comparison(op: str, text: str) -> Callable[[object, object], bool]:
    if op not in _COMPARE:
        raise ValueError(f"`{op}` does not fit here: {text!r}; use one of {', '.join(_COMPARE)}")
    return _COMPARE[op]


def _status(op: str, value: str, text: str) -> Callable[[Answer], bool]:
    if op == "in":
        if span := re.fullmatch(r"(\d{3})\.\.(\d{3})", value):
            low, high = int(span[1]), int(span[2])
            if low > high:
                raise ValueError(f"no status is in {value}: {text!r}; write the lower one first")
            return lambda answer: low <= answer.status <= high
        if not re.fullmatch(r"\[\s*\d{3}(\s*,\s*\d{3})*\s*\]", value):
            raise ValueError(f"not a set of statuses: {text!r}; write [200, 201] or 200..299")
        allowed = frozenset(int(part) for part in value.strip("[]").split(","))
        return lambda answer: answer.status in allowed
    if not re.fullmatch(r"\d{3}", value):
        raise ValueError(f"not a status: {text!r}; write three digits")
    number, compare = int(value), _comparison(op, text)
    if op == "==":
        return lambda answer: answer.status == number
    return lambda answer: compare(answer.status, number)


def _literal(value: str, text: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(f'not a value: {value!r} in {text!r}; write a number, true, false, null or "text"') from None


def _text_check(op: str, value: str, text: str, read: Callable[[Answer], str | None]) -> Callable[[Answer], bool]:
    if op == "exists":
        return lambda answer: read(answer) is not None
    wanted = _literal(value, text)
    if not isinstance(wanted, str):
        raise ValueError(f"a text in double quotes is needed in {text!r}")  # noqa: TRY004 - of the plan's text, not of a type
    if op == "contains":
        return lambda answer: wanted in (read(answer) or "")
    if op == "matches":
        try:
            pattern = re.compile(wanted)
        except re.error as error:
            raise ValueError(f"not a regular expression: {wanted!r}: {error}") from None
        return lambda answer: pattern.search(read(answer) or "") is not None
    compare = _comparison(op, text)

    def holds(answer: Answer) -> bool:
        found = read(answer)
        return found is not None and compare(found, wanted)

    return holds


def json_at(document: object, path: Sequence[str]) -> object:
    """The value at a dotted path of a JSON document; a private marker when it is absent."""
    for step in path:
        if isinstance(document, dict):
            document = document.get(step, _ABSENT)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return _ABSENT
    return document


def is_absent(value: object) -> bool:
    """Whether `json_at` found nothing."""
    return value is _ABSENT


def _json_check(path: Sequence[str], op: str, value: str, text: str) -> Callable[[Answer], bool]:
    if op == "exists":
        test: Callable[[object], bool] = lambda found: found is not _ABSENT  # noqa: E731 - one of several shapes
    elif op == "in":
        allowed = _literal(value, text)
        if not isinstance(allowed, list):
            raise ValueError(f"a list is needed in {text!r}")
        test = lambda found: any(_same(found, one) for one in allowed)  # noqa: E731
    elif op == "contains":
        wanted = _literal(value, text)

        def test(found: object) -> bool:
            if isinstance(found, str):
                return isinstance(wanted, str) and wanted in found
            return isinstance(found, list) and any(_same(one, wanted) for one in found)

    elif op in ("==", "!="):
        wanted, equal = _literal(value, text), op == "=="
        test = lambda found: found is not _ABSENT and _same(found, wanted) is equal  # noqa: E731
    else:
        wanted, compare = _literal(value, text), _comparison(op, text)

        def test(found: object) -> bool:
            try:
                return found is not _ABSENT and not isinstance(found, bool) and compare(found, wanted)
            except TypeError:  # a text compared with a number
                return False

    def holds(answer: Answer) -> bool:
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):  # no JSON, or JSON that is nested to break its reader
            return False
        return test(json_at(document, path))

    return holds


@dataclass(frozen=True, slots=True)
class Checks:
    """Several checks as one."""

    checks: tuple[Check, ...]
    needs_body: bool
    needs_headers: bool

    @property
    def of_head_alone(self) -> bool:
        """Whether status and header fields decide."""
        return not any(check.needs_body or check.needs_latency for check in self.checks)

    def failed(self, answer: Answer) -> str | None:
        """The text of the first check that does not hold; None when all do. With no checks, status < 400 is right."""
        for check in self.checks:
            if not check.holds(answer):
                return check.text
        return None


def compile_checks(texts: Sequence[str]) -> Checks:
    """Compile several checks; none at all means `status < 400`.

    Raises:
        ValueError: one of them does not follow the grammar.
    """
    checks = tuple(parse_check(text) for text in (texts or ["status < 400"]))
    return Checks(checks, any(check.needs_body for check in checks), any(check.needs_headers for check in checks))
