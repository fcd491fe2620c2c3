"""The templates inside a plan: Jinja in its sandbox, with the same few functions everywhere."""

from collections.abc import Iterator

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

__all__ = ["LOAD_NAMES", "environment", "is_constant", "template_problem", "texts_in"]

LOAD_NAMES = frozenset({"uuid", "randint", "choice", "now", "row", "iteration", "vu"})


def environment() -> SandboxedEnvironment:
    """A sandboxed environment in which an unknown name is an error, not an empty text."""
    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


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
