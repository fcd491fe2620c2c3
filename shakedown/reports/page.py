"""A page that needs nothing else: a template with its library and its data, which no data can break out of."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render_page"]


def render_page(template: str, data: object, filters: Mapping[str, Callable[..., object]], **values: object) -> str:
    """Render a page of ours.

    Args:
        data: what its charts draw: anything that JSON can hold.
        values: what the template knows beside `data`, `library` and `style`; text among them is escaped.
    """
    templates = files("templates")
    environment = Environment(
        loader=FunctionLoader(lambda name: templates.joinpath(name).read_text(encoding="utf-8")),
        undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(filters)

    def part(name: str) -> Markup:
        return Markup(templates.joinpath("vendor", name).read_text(encoding="utf-8"))  # noqa: S704 - ours, not data

    return environment.get_template(template).render(
        data=Markup(_script_json(data)), library=part("uplot.js"), style=part("uplot.css"), **values  # noqa: S704 - escaped for scripts
    )  # fmt: skip


def _script_json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("\u2028", "\\u2028")
