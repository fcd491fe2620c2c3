"""The grammar of checks on an HTTP answer, compiled to something quick.

::

    status == 202 · status < 500 · status in [200, 201] · status in 200..299
    json.a.b.0 == "x" · json.items exists · json.total > 3 · count json.items == 20
    $.items[?@.ok].id in [1, 2] · count $.items[*] > 0      a JSONPath: every value that it finds, and at least one
    json matches answer.schema.json
    body contains "text" · body matches "regex" · size < 1MB
    header.content-type contains "json" · header.etag exists · cookie.session exists
    latency < 500ms
    not body contains "error"
    status == {{ row.expected }} · json.name == {{ row.name | tojson }}
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from jinja2 import Template

from shakedown.plan.extracts import (
    Answer,
    Find,
    Unreadable,
    compile_path,
    cookie_value,
    document_of,
    is_absent,
    json_at,
    split_path,
)
from shakedown.plan.json_schema import compile_schema
from shakedown.plan.templates import environment, is_constant
from shakedown.units import parse_duration, parse_size

__all__ = ["Answer", "Check", "Checks", "compile_checks", "is_absent", "json_at", "parse_check"]


@dataclass(frozen=True, slots=True)
class Check:
    """One compiled check.

    Attributes:
        text: as the plan has it.
        judge: true when the answer is as it should be; raises `Unreadable` when that cannot be said.
        needs_body, needs_headers, needs_latency: what must be known of the answer for it.
        denied: whether it begins with `not`.
    """

    text: str
    judge: Callable[[Answer], bool]
    needs_body: bool = False
    needs_headers: bool = False
    needs_latency: bool = False
    denied: bool = False

    def holds(self, answer: Answer) -> bool:
        """Whether the answer is as it should be; what cannot be judged is not."""
        try:
            return self.judge(answer)
        except Unreadable:
            return False


_COMPARE: dict[str, Callable[[object, object], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}
_OPS = r"(?P<op>==|!=|<=|>=|<|>|\bin\b|\bcontains\b|\bmatches\b|\bexists\b)\s*(?P<value>.*)"
_SHAPE = re.compile(
    r"(?P<subject>status|latency|size|body|(?:count\s+)?json(?:\.[\w-]+)*|header\.[\w-]+|cookie\.[^\s;,=]+)\s*" + _OPS,
    re.DOTALL,
)
_PATH = re.compile(r"(?:count\s+)?(?=\$)")
_AFTER_PATH = re.compile(_OPS, re.DOTALL)


def _same(a: object, b: object) -> bool:
    """Equality as JSON has it: true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _parts(text: str) -> tuple[str, str, str] | None:
    """Subject, operator, value."""
    if begin := _PATH.match(text):
        path, rest = split_path(text[begin.end() :])
        match = _AFTER_PATH.fullmatch(rest)
        return (begin[0] + path, match["op"], match["value"].strip()) if match else None
    match = _SHAPE.fullmatch(text)
    return (match["subject"], match["op"], match["value"].strip()) if match else None


def parse_check(text: str, base: Path | None = None) -> Check:
    """Compile one check.

    Args:
        base: the folder that schemas' paths start from; None where there are none.

    Raises:
        ValueError: it does not follow the grammar, or its schema cannot be had.
    """
    whole = text.strip()
    if re.match(r"not\s", whole):
        inner = parse_check(whole[4:], base)
        if inner.denied:
            raise ValueError(f"one `not` is enough: {text!r}")
        return Check(
            text, _denial(inner), inner.needs_body, inner.needs_headers, needs_latency=inner.needs_latency, denied=True
        )
    parts = _parts(whole)
    if parts is None:
        raise ValueError(f'not a check: {text!r}; write for example `status == 200` or `json.id == "x"`')
    subject, op, value = parts
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
        return Check(text, _body_check(op, value, text), needs_body=True)
    if subject.startswith("header."):
        name = subject.removeprefix("header.").lower()
        return Check(text, _text_check(op, value, text, lambda answer: answer.headers.get(name)), needs_headers=True)
    if subject.startswith("cookie."):
        name = subject.removeprefix("cookie.")
        read = lambda answer: cookie_value(getattr(answer, "cookies", ()), name)  # noqa: E731 - one of several shapes
        return Check(text, _text_check(op, value, text, read), needs_headers=True)
    if subject == "json" and op == "matches":
        return Check(text, _on_document(_schema_check(value, text, base)), needs_body=True)
    return Check(text, _on_document(_json_check(subject, op, value, text)), needs_body=True)


def _denial(check: Check) -> Callable[[Answer], bool]:
    """The opposite; but what cannot be judged does not hold either way."""

    def holds(answer: Answer) -> bool:
        if check.needs_body and getattr(answer, "truncated", False) and not check.text.strip().startswith("size"):
            return False
        try:
            return not check.judge(answer)
        except Unreadable:
            return False

    return holds


def _on_document(test: Callable[[object], bool]) -> Callable[[Answer], bool]:
    return lambda answer: test(document_of(answer))


def _schema_check(value: str, text: str, base: Path | None) -> Callable[[object], bool]:
    if base is None:
        raise ValueError(f"no schema can be given here: {text!r}")
    name = str(_literal(value, text)) if value.startswith('"') else value
    return compile_schema(base / name)


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


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {text!r}: {error}") from None


def _text_check(op: str, value: str, text: str, read: Callable[[Answer], str | None]) -> Callable[[Answer], bool]:
    if op == "exists":
        return lambda answer: read(answer) is not None
    wanted = _literal(value, text)
    if not isinstance(wanted, str):
        raise ValueError(f"a text in double quotes is needed in {text!r}")  # noqa: TRY004 - of the plan's text, not of a type
    if op == "contains":
        return lambda answer: wanted in (read(answer) or "")
    if op == "matches":
        pattern = _pattern(wanted)
        return lambda answer: pattern.search(read(answer) or "") is not None
    compare = _comparison(op, text)

    def holds(answer: Answer) -> bool:
        found = read(answer)
        return found is not None and compare(found, wanted)

    return holds


def _body_check(op: str, value: str, text: str) -> Callable[[Answer], bool]:
    if op == "contains":
        wanted = _literal(value, text)
        if isinstance(wanted, str):
            searched = wanted.encode(errors="surrogatepass")
            return lambda answer: searched in answer.body
    return _text_check(op, value, text, lambda answer: answer.body.decode(errors="replace"))


def _json_check(subject: str, op: str, value: str, text: str) -> Callable[[object], bool]:
    """What a path finds, compared: all that it finds, and at least one; or how many."""
    counted = subject.startswith("count")
    find = compile_path(subject.removeprefix("count").strip())
    dotted = not subject.removeprefix("count").strip().startswith("$")
    if counted:
        return _count_check(find, op, value, text, dotted=dotted)
    if op == "exists":
        return lambda document: bool(find(document))
    test = _value_check(op, value, text)

    def holds(document: object) -> bool:
        found = find(document)
        return bool(found) and all(map(test, found))

    return holds


def _count_check(find: Find, op: str, value: str, text: str, *, dotted: bool) -> Callable[[object], bool]:
    number, compare = _literal(value, text), _comparison(op, text)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"a count is compared with a whole number, not {value!r}, in {text!r}")  # noqa: TRY004 - of the plan's text

    def holds(document: object) -> bool:
        found = find(document)
        if dotted:  # how long the one thing is that it names
            return bool(found) and isinstance(found[0], list | dict) and compare(len(found[0]), number)
        return compare(len(found), number)

    return holds


def _value_check(op: str, value: str, text: str) -> Callable[[object], bool]:
    wanted = _literal(value, text)
    if op == "in":
        if not isinstance(wanted, list):
            raise ValueError(f"a list is needed in {text!r}")
        allowed = wanted
        return lambda found: any(_same(found, one) for one in allowed)
    if op == "contains":

        def contains(found: object) -> bool:
            if isinstance(found, str):
                return isinstance(wanted, str) and wanted in found
            return isinstance(found, list) and any(_same(one, wanted) for one in found)

        return contains
    if op in ("==", "!="):
        equal = op == "=="
        return lambda found: _same(found, wanted) is equal
    if op == "matches":
        if not isinstance(wanted, str):
            raise ValueError(f"a regular expression in double quotes is needed in {text!r}")
        pattern = _pattern(wanted)
        return lambda found: isinstance(found, str) and pattern.search(found) is not None
    compare = _comparison(op, text)

    def ordered(found: object) -> bool:
        try:
            return not isinstance(found, bool) and compare(found, wanted)
        except TypeError:  # a text compared with a number
            return False

    return ordered


@dataclass(frozen=True, slots=True)
class _Templated:
    """A check that is another one for each iteration."""

    text: str
    template: Template
    parse: Callable[[str], Check]

    def failed(self, answer: Answer, names: Mapping[str, object]) -> str | None:
        text = self.template.render(names)
        return None if self.parse(text).holds(answer) else text


@dataclass(frozen=True, slots=True)
class Checks:
    """Several checks as one."""

    checks: tuple[Check, ...]
    needs_body: bool
    needs_headers: bool
    templated: tuple[_Templated, ...] = ()

    @property
    def of_head_alone(self) -> bool:
        """Whether status and header fields decide."""
        return not self.templated and not any(check.needs_body or check.needs_latency for check in self.checks)

    def failed(self, answer: Answer, names: Mapping[str, object] | None = None) -> str | None:
        """The text of the first check that does not hold; None when all do. With no checks, status < 400 is right.

        Args:
            names: for those checks that are templates.

        Raises:
            ValueError, jinja2.TemplateError: what a template gave is no check.
        """
        for check in self.checks:
            if not check.holds(answer):
                return check.text
        for templated in self.templated:
            if (text := templated.failed(answer, names or {})) is not None:
                return text
        return None


# What might stand for an expression, to see what a check will be that is known only when it is rendered.
_STAND_INS = ("200", '"x"', "x", "1s", "[200]", "1MB")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def _probe(text: str, base: Path | None) -> Check:
    problem: ValueError | None = None
    for stand_in in _STAND_INS:
        try:
            return parse_check(_EXPRESSION.sub(lambda _: stand_in, text), base)  # noqa: B023 - called at once
        except ValueError as error:
            problem = problem or error
    raise ValueError(f"not a check, whatever its template gives: {text!r} ({problem})")


def compile_checks(texts: Sequence[str], base: Path | None = None) -> Checks:
    """Compile several checks; none at all means `status < 400`.

    Args:
        base: the folder that schemas' paths start from.

    Raises:
        ValueError: one of them does not follow the grammar.
    """
    texts = list(texts) or ["status < 400"]
    checks = tuple(parse_check(text, base) for text in texts if is_constant(text))
    templates = [text for text in texts if not is_constant(text)]
    probes = [_probe(text, base) for text in templates]
    parse = lru_cache(maxsize=1024)(partial(parse_check, base=base))
    return Checks(
        checks,
        any(check.needs_body for check in (*checks, *probes)),
        any(check.needs_headers for check in (*checks, *probes)),
        tuple(_Templated(text, environment().from_string(text), parse) for text in templates),
    )
