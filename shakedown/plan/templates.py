"""The templates inside a plan: Jinja in its sandbox, with the same few functions everywhere."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from functools import partial

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

__all__ = ["FUNCTIONS", "LOAD_NAMES", "as_value", "environment", "is_constant", "template_problem", "texts_in", "used"]

_NUMBERS = frozenset({"int", "float", "abs", "length", "round", "sum"})


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _base64(value: object) -> str:
    return base64.b64encode(_bytes(value)).decode()


def _digest(kind: str, value: object) -> str:
    return hashlib.new(kind, _bytes(value), usedforsecurity=False).hexdigest()


def _hmac(value: object, key: object) -> str:
    return hmac.new(_bytes(key), _bytes(value), "sha256").hexdigest()


# The same value gives the same text; each is a function and a filter: `sha256(row.id)`, `row.id | sha256`.
FUNCTIONS: dict[str, Callable[..., str]] = {
    "base64": _base64,
    "hmac_sha256": _hmac,
    **{kind: partial(_digest, kind) for kind in ("md5", "sha1", "sha256", "sha512")},
}
_DRAWN = frozenset({"uuid", "randint", "uniform", "gauss", "choice", "random_string", "text"})
LOAD_NAMES = frozenset({"now", "row", "iteration", "vu"}) | _DRAWN | FUNCTIONS.keys()


def environment() -> SandboxedEnvironment:
    """A sandboxed environment in which an unknown name is an error, not an empty text."""
    made = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    made.filters.update(FUNCTIONS)
    return made


def used(text: str) -> frozenset[str]:
    """The names that a template takes from outside; none of a text that is no template."""
    if is_constant(text):
        return frozenset()
    try:
        return frozenset(meta.find_undeclared_variables(environment().parse(text)))
    except (TemplateError, SyntaxError, ValueError, OverflowError, RecursionError):
        return frozenset()


def as_value(text: str) -> Callable[..., object] | None:
    """What gives the value itself of a template that is one expression and says that it is a number.

    `{{ row.amount | int }}` as a whole text is a number in a JSON body; None for every other text.
    """
    made = environment()
    body = made.parse(text).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    only = body[0].nodes[0]
    if not isinstance(only, nodes.Filter) or only.name not in _NUMBERS:
        return None
    inner = text.strip().removeprefix("{{").removesuffix("}}").strip("-+ \n")
    return made.compile_expression(inner, undefined_to_none=False)


def is_constant(text: str) -> bool:
    """Whether a text holds no template syntax at all."""
    return "{{" not in text and "{%" not in text and "{#" not in text


def template_problem(text: str, names: frozenset[str]) -> str | None:
    """Why a template cannot be used with these names; None when it can."""
    if is_constant(text):
        return None
    try:
        found = environment()
        unknown = sorted(meta.find_undeclared_variables(found.parse(text)) - names - set(found.globals))
        found.from_string(text)  # unknown filters and tests show only here
    except (TemplateError, SyntaxError, ValueError, OverflowError, RecursionError) as error:
        return f"not a template: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    if unknown:
        return f"the template uses `{unknown[0]}`, which it has not; it has {', '.join(sorted(names))}"
    return None


def texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON-like value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
