"""Templates made into functions once; what they give keeps its type where a whole text is one expression."""

from collections.abc import Callable, Mapping

from jinja2 import Undefined, UndefinedError, nodes

from shakedown.plan.templates import environment, is_constant

__all__ = ["Render", "text", "value"]

Render = Callable[[Mapping[str, object]], object]


def text(template: str) -> Callable[[Mapping[str, object]], str]:
    """A template as a function of the names; it gives texts alone."""
    if is_constant(template):
        return lambda _: template
    return environment().from_string(template).render


def value(tree: object) -> Render:
    """A tree whose texts are templates. `{{ randint(1, 9) }}`, as a whole text, gives a number; other texts give texts."""
    if isinstance(tree, str):
        return _whole(tree) or text(tree)
    if isinstance(tree, dict):
        members = {str(key): value(item) for key, item in tree.items()}
        return lambda names: {key: render(names) for key, render in members.items()}
    if isinstance(tree, list | tuple):
        items = [value(item) for item in tree]
        return lambda names: [render(names) for render in items]
    return lambda _: tree


def _whole(template: str) -> Render | None:
    """The expression that a template consists of; None when it consists of more, or of none."""
    if is_constant(template):
        return None
    made = environment()
    body = made.parse(template.strip()).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    inner = template.strip().removeprefix("{{").removesuffix("}}").strip("-+ \n\t")
    expression = made.compile_expression(inner, undefined_to_none=False)

    def render(names: Mapping[str, object]) -> object:
        found = expression(**names)
        if isinstance(found, Undefined):
            raise UndefinedError(f"`{inner}` is not there")
        return found

    return render
