"""The grammar of checks on what is no HTTP answer: a subject, an operator, a value in JSON's words.

=========  ==========================================================================================
sql        rows == 1 · value == "x" (first column of the first row) · column.name > 3 (of the first row)
redis      reply == "OK" · reply.0 == 1 (of a pipeline or list) · reply contains "x"
tcp        answer contains "x" · answer matches "regex" · size < 1MB
websocket  message contains "x" · json.a.b == 1 · messages == 3 · size < 1MB
all        latency < 500ms
=========  ==========================================================================================

Operators: ``== != < <= > >= in contains matches exists``. What is not there fulfils no check, `!=` included; `exists`
asks that something is there and not null.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from shakedown.plan.checks import is_absent, json_at
from shakedown.units import parse_duration, parse_size

__all__ = ["SUBJECTS", "DriverCheck", "DriverChecks", "Facts", "compile_driver_checks"]

# Of each driver: what its checks can look at; a trailing dot means a path may, or for `column` must, follow.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "sql": ("rows", "value", "column.", "latency"),
    "redis": ("reply", "reply.", "latency"),
    "tcp": ("answer", "size", "latency"),
    "websocket": ("message", "json", "json.", "messages", "size", "latency"),
    "python": (),
}
_SHAPE = re.compile(
    r"(?P<subject>[a-z]+)(?P<path>(?:\.[\w-]+)*)\s*"
    r"(?P<op>==|!=|<=|>=|<|>|\bin\b|\bcontains\b|\bmatches\b|\bexists\b)\s*(?P<value>.*)",
    re.DOTALL,
)
_ORDER: dict[str, Callable[[object, object], bool]] = {
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}


@dataclass(slots=True)
class Facts:
    """What an operation brought, by subject.

    Attributes:
        values: a subject that is missing is absent in every check.
        latency: seconds from the operation's begin.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class DriverCheck:
    """One compiled check."""

    text: str
    subject: str
    holds: Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class DriverChecks:
    """Several checks as one; none at all hold always.

    Attributes:
        subjects: what they look at.
    """

    checks: tuple[DriverCheck, ...]
    subjects: frozenset[str]

    def failed(self, facts: Facts) -> str | None:
        """The text of the first check that does not hold; None when all do."""
        return next((check.text for check in self.checks if not check.holds(facts)), None)


def compile_driver_checks(driver: str, texts: Sequence[str]) -> DriverChecks:
    """Compile the checks of an operation.

    Raises:
        ValueError: one of them does not follow the grammar, or looks at what this driver has not.
    """
    checks = tuple(_parse(driver, text) for text in texts)
    return DriverChecks(checks, frozenset(check.subject for check in checks))


def _parse(driver: str, text: str) -> DriverCheck:
    allowed = SUBJECTS[driver]
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a check: {text!r}; write a subject, an operator and a value, as in `latency < 500ms`")
    subject, op, value = match["subject"], match["op"], match["value"].strip()
    path = match["path"].split(".")[1:]
    if (f"{subject}." if path else subject) not in allowed:
        shown = ", ".join(f"{name}name" if name.endswith(".") else name for name in allowed)
        raise ValueError(
            f"`{subject}{match['path']}` in {text!r} is not what checks of {driver} look at; they have {shown}"
        )
    if op == "exists" and value:
        raise ValueError(f"`exists` stands last, not before {value!r}, in {text!r}")
    if subject in ("latency", "size"):
        return DriverCheck(text, subject, _measure(subject, op, value, text))
    test = _test(op, value, text)
    return DriverCheck(text, subject, lambda facts: test(_found(facts, subject, path)))


def _measure(subject: str, op: str, value: str, text: str) -> Callable[[Facts], bool]:
    if op not in _ORDER:
        raise ValueError(f"`{op}` does not fit {subject} in {text!r}; use one of {', '.join(_ORDER)}")
    compare = _ORDER[op]
    try:
        limit: float = parse_duration(value) if subject == "latency" else parse_size(value)
    except OverflowError:
        raise ValueError(f"too large: {value}") from None
    if subject == "latency":
        return lambda facts: compare(facts.latency, limit)
    return lambda facts: "size" in facts.values and compare(facts.values["size"], limit)


_NOTHING = json_at({}, ["nothing"])  # the marker of what is absent


def _found(facts: Facts, subject: str, path: Sequence[str]) -> object:
    return _plain(json_at(facts.values.get(subject, _NOTHING), path))


def _plain(value: object) -> object:
    """A value as JSON would have it, so that a plan can name it."""
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode(errors="replace")
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case tuple():
            return list(value)
    return value if is_absent(value) else str(value)


def _same(found: object, wanted: object) -> bool:
    """Equality as JSON has it: true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and found == wanted


def _literal(value: str, text: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(f'not a value: {value!r} in {text!r}; write a number, true, false, null or "text"') from None


def _test(op: str, value: str, text: str) -> Callable[[object], bool]:
    if op == "exists":
        return lambda found: not is_absent(found) and found is not None
    wanted = _literal(value, text)
    if op in ("==", "!="):
        equal = op == "=="
        return lambda found: not is_absent(found) and _same(found, wanted) is equal
    if op == "in":
        if not isinstance(wanted, list):
            raise ValueError(f"a list is needed in {text!r}, as in `value in [1, 2]`")
        return lambda found: any(_same(found, one) for one in wanted)
    if op == "contains":
        return lambda found: _contains(found, wanted)
    if op == "matches":
        if not isinstance(wanted, str):
            raise ValueError(f"a regular expression in double quotes is needed in {text!r}")
        try:
            pattern = re.compile(wanted)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {wanted!r}: {error}") from None
        return lambda found: isinstance(found, str) and pattern.search(found) is not None
    if isinstance(wanted, bool) or not isinstance(wanted, int | float | str):
        raise ValueError(f"`{op}` needs a number or a text, not {value}, in {text!r}")  # noqa: TRY004 - of the plan's text
    compare, kind = _ORDER[op], str if isinstance(wanted, str) else int | float

    def ordered(found: object) -> bool:
        return isinstance(found, kind) and not isinstance(found, bool) and compare(found, wanted)

    return ordered


def _contains(found: object, wanted: object) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    if isinstance(found, dict):
        return wanted in found if isinstance(wanted, str) else False
    return isinstance(found, list) and any(_same(_plain(one), wanted) for one in found)
