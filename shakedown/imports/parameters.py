"""The parameters of an OpenAPI operation: in its path, query, headers and cookies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from shakedown.imports.draft import DraftRequest
from shakedown.imports.refs import Node, References, as_list, as_node
from shakedown.imports.text import PlanText, compose, literal
from shakedown.imports.values import Values, plain_text

__all__ = ["add_parameters"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_NOT_PARAMETERS = ("accept", "content-type", "authorization")  # the standard says that these are given elsewhere
_IN_PATH = "/:@!$&'()*+,;=~%"


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    place: str
    required: bool
    node: Node

    @property
    def schema(self) -> object:
        return self.node.get("schema", {})


def add_parameters(
    request: DraftRequest, start: PlanText, path: str, holders: list[Node], values: Values, references: References
) -> None:
    """Give a request its path with query, and what else its parameters ask for.

    Required parameters are sent, and those for which the document gives an example; the others are named in a comment.

    Args:
        start: what stands before the path.
        path: with `{name}` in it.
        holders: the path's item and the operation; a parameter of the latter replaces one of the former.
    """
    found = {(parameter.name, parameter.place): parameter for parameter in _parameters(holders, references)}
    pieces: list[str] = [start]
    for index, part in enumerate(re.split(r"\{([^{}]*)\}", path)):
        if index % 2 == 0:
            pieces.append(quote(part, safe=_IN_PATH, errors="replace"))
            continue
        parameter = found.get((part, "path"))
        if parameter is None or not _has_example(parameter, references):
            values.notes.append(f"change: `{part}` is made up; most services need one that exists")
        pieces.append(_value(parameter, values, references) if parameter else values.parameter({}, part))
    query: list[str] = []
    left_out: list[str] = []
    for parameter in found.values():
        if parameter.place not in ("query", "header", "cookie"):
            continue
        if not parameter.required and not _has_example(parameter, references):
            left_out.append(parameter.name)
        elif parameter.place == "query":
            query += ["&", *_in_query(parameter, values, references)]
        elif _TOKEN.fullmatch(parameter.name):
            value = _value(parameter, values, references, escaped=False)
            if parameter.place == "cookie":
                before = [request.headers["Cookie"], "; "] if "Cookie" in request.headers else []
                request.headers["Cookie"] = compose(*before, parameter.name, "=", value)
            elif parameter.name.lower() not in _NOT_PARAMETERS:
                request.headers[parameter.name] = value
    if query:
        query[0] = "&" if "?" in path else "?"
    request.path = compose(*pieces, *query)
    if left_out:
        request.notes.append(f"optional, left out: {', '.join(left_out)}")


def _parameters(holders: list[Node], references: References) -> Iterator[_Parameter]:
    for holder in holders:
        for value in as_list(holder.get("parameters")):
            node = references.node(value)
            name, place = node.get("name"), node.get("in")
            if isinstance(name, str) and name and isinstance(place, str):
                yield _Parameter(name, place, node.get("required") is True or place == "path", node)


def _has_example(parameter: _Parameter, references: References) -> bool:
    schema = references.node(parameter.schema)
    return any(key in node for node in (parameter.node, schema) for key in ("example", "examples"))


def _example(parameter: _Parameter, references: References) -> Node:
    """The parameter's own example, as a schema that names it; else its schema."""
    if "example" in parameter.node:
        return {"example": parameter.node["example"]}
    for example in as_node(parameter.node.get("examples")).values():
        node = references.node(example)
        if "value" in node:
            return {"example": node["value"]}
    content = references.node(next(iter(as_node(parameter.node.get("content")).values()), None))
    if content:
        return {"example": content["example"]} if "example" in content else as_node(content.get("schema"))
    return as_node(parameter.schema)


def _value(parameter: _Parameter, values: Values, references: References, *, escaped: bool = True) -> PlanText:
    """The parameter's value; of a list, its members with commas between them."""
    schema = _example(parameter, references)
    given = schema.get("example")
    if isinstance(given, list):
        texts = [plain_text(item) for item in given]
        joined = ",".join(quote(text, safe="", errors="replace") if escaped else text for text in texts)
        return literal(joined if escaped else _CONTROL.sub(" ", joined))
    value = values.parameter(schema, parameter.name, escaped=escaped)
    return value if escaped else PlanText(_CONTROL.sub(" ", value))


def _in_query(parameter: _Parameter, values: Values, references: References) -> Iterator[str]:
    """`name=value`, for each member of a list unless the document wants commas."""
    name = quote(parameter.name, safe="[]", errors="replace")
    schema = _example(parameter, references)
    given = schema.get("example")
    if isinstance(given, dict):
        deep = parameter.node.get("style") == "deepObject"
        for index, (key, item) in enumerate(given.items()):
            inner = quote(str(key), safe="", errors="replace")
            yield "&" if index else ""
            yield f"{name}[{inner}]=" if deep else f"{inner}="
            yield literal(quote(plain_text(item), safe="", errors="replace"))
    elif isinstance(given, list) and parameter.node.get("explode") is not False:
        for index, item in enumerate(given):
            yield "&" if index else ""
            yield f"{name}={quote(plain_text(item), safe='', errors='replace')}"
    else:
        yield f"{name}="
        yield _value(parameter, values, references)
