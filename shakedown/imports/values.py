"""Values that fit a JSON Schema, as OpenAPI documents have them: for bodies as data, for parameters as texts."""

import json
import math
import re
from urllib.parse import quote

from shakedown.imports.patterns import matching
from shakedown.imports.refs import Node, References, as_list, as_node
from shakedown.imports.text import PlanText, compose, jinja_string, literal, template, whole
from shakedown.plan.templates import is_constant

__all__ = ["ABSENT", "Values", "plain_text"]

ABSENT = object()
_DEEPEST = 12
_MOST_VALUES = 500
_MOST_ITEMS = 20
_MOST_CHOICES = 20
_LONGEST_TEXT = 5000
_LARGEST = 10**15
_FORMATS: dict[str, str] = {
    "date": "2024-01-15", "date-time": "2024-01-15T12:00:00Z", "time": "12:00:00Z", "duration": "PT1M",
    "hostname": "host.example.com", "idn-hostname": "host.example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uri": "https://example.com/", "url": "https://example.com/", "iri": "https://example.com/",
    "uri-reference": "/path", "byte": "ZXhhbXBsZQ==", "base64": "ZXhhbXBsZQ==", "password": "Passw0rd-example",
    "json-pointer": "/a", "regex": "a+", "binary": "example",
}  # fmt: skip
_EMAILS = ("email", "idn-email")


def plain_text(value: object) -> str:
    """A scalar as a parameter carries it: `true`, `1.5`, nothing for null; what is no scalar as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return str(int(value))
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (ValueError, RecursionError, TypeError):
        return ""


def _number(value: object) -> float | None:
    """A finite number of a size that can be handled; None when it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return None if math.isnan(value) else value
    return None


def _count(value: object, most: int) -> int | None:
    number = _number(value)
    return None if number is None else max(0, min(most, int(number)))


class Values:
    """Makes values. Every way into itself that a schema has ends: by depth, by number, by the references it is inside.

    Attributes:
        notes: what the user must look at.
    """

    def __init__(self, references: References) -> None:
        self._references = references
        self._made = 0
        self.notes: list[str] = []

    # ------------------------------------------------------------------------------------------------------ for JSON
    def data(self, schema: object) -> object:
        """JSON-like data for a body (texts already plan text), or `ABSENT`."""
        self._made = 0
        return self._data(schema, "", 0, frozenset())

    def example(self, value: object) -> object:
        """An example of the document as data for a body."""
        self._made = 0
        return self._given(value, 0)

    def _data(self, schema: object, name: str, depth: int, inside: frozenset[str]) -> object:
        self._made += 1
        if schema is False or depth > _DEEPEST or self._made > _MOST_VALUES:
            return ABSENT
        node, seen = self._flat(schema, inside, 0)
        if seen & inside:
            return ABSENT
        inside |= seen
        given = _given_in(node)
        kind = _kind_of(node)
        if given is not ABSENT:
            said = node.get("type") == "string" and isinstance(given, int | float) and not isinstance(given, bool)
            return literal(plain_text(given)) if said else self._given(given, depth)
        if choices := as_list(node.get("enum"))[:_MOST_CHOICES]:
            if len(choices) > 1 and all(isinstance(choice, str) for choice in choices):
                return template(f"choice({', '.join(jinja_string(str(choice)) for choice in choices)})")
            return self._given(choices[0], depth)
        if kind == "object":
            return self._object(node, depth, inside)
        if kind == "array":
            return self._array(node, name, depth, inside)
        if kind in ("integer", "number"):
            return self._low_and_high(node, whole_number=kind == "integer")[0]
        if kind in ("boolean", "null"):
            return True if kind == "boolean" else None
        text = self._text(node, name)
        return text if isinstance(text, PlanText) else literal(text)

    def _given(self, value: object, depth: int) -> object:
        """A value of the document as it stands, of what JSON has; its texts literal."""
        self._made += 1
        if depth > _DEEPEST or self._made > _MOST_VALUES:
            return ABSENT
        if isinstance(value, str):
            return literal(value)
        if isinstance(value, dict):
            members = {str(key): self._given(item, depth + 1) for key, item in value.items()}
            return {key: item for key, item in members.items() if item is not ABSENT and _can_be_key(key)}
        if isinstance(value, list):
            return [item for item in (self._given(item, depth + 1) for item in value) if item is not ABSENT]
        if value is None or isinstance(value, bool):
            return value
        number = _number(value)
        return ABSENT if number is None else number

    def _object(self, node: Node, depth: int, inside: frozenset[str]) -> object:
        properties = as_node(node.get("properties"))
        required = [str(name) for name in as_list(node.get("required")) if str(name) in properties]
        found: dict[str, object] = {}
        for name, schema in properties.items():
            inner = self._references.node(schema)
            wanted = name in required or not required or "example" in inner
            if not wanted or inner.get("readOnly") is True or not _can_be_key(name):
                continue
            value = self._data(schema, name, depth + 1, inside)
            if value is not ABSENT:
                found[name] = value
            elif name in required:
                self.notes.append(
                    f"change: `{name}` of the body is left out: its schema contains itself, or nests too deep"
                )
        return found

    def _array(self, node: Node, name: str, depth: int, inside: frozenset[str]) -> object:
        count = max(_count(node.get("minItems"), _MOST_ITEMS) or 0, 1)
        most = _count(node.get("maxItems"), _MOST_ITEMS)
        items = [self._data(node.get("items", {}), name, depth + 1, inside) for _ in range(min(count, most or count))]
        if node.get("uniqueItems") is True and all(isinstance(item, int | float) for item in items):
            items = [item + index for index, item in enumerate(items) if isinstance(item, int | float)]
        return [item for item in items if item is not ABSENT] if most != 0 else []

    # ------------------------------------------------------------------------------------------------ for parameters
    def parameter(self, schema: object, name: str, *, escaped: bool = True) -> PlanText:
        """A scalar as plan text, in an address (`escaped`) or a form."""

        def own(text: str) -> str:
            return quote(text, safe="", errors="replace") if escaped else text

        self._made = 0
        node, _ = self._flat(schema, frozenset(), 0)
        given = _given_in(node)
        if given is not ABSENT:
            return literal(own(plain_text(given)))
        if choices := as_list(node.get("enum"))[:_MOST_CHOICES]:
            if len(choices) == 1:
                return literal(own(plain_text(choices[0])))
            return template(f"choice({', '.join(jinja_string(own(plain_text(choice))) for choice in choices)})")
        kind = _kind_of(node)
        if kind == "integer":
            low, high = self._low_and_high(node, whole_number=True)
            step = _number(node.get("multipleOf"))
            return literal(plain_text(low)) if step not in (None, 1) else template(f"randint({int(low)}, {int(high)})")
        if kind in ("number", "boolean", "null"):
            return literal(own(plain_text(self._data(node, name, 0, frozenset()))))
        if kind == "array":
            return self.parameter(node.get("items", {}), name, escaped=escaped)
        if kind == "object":
            self.notes.append(f"change: the parameter {name} is an object")
            return literal(own("{}"))
        text = self._text(node, name)
        return text if isinstance(text, PlanText) else literal(own(text))

    # ----------------------------------------------------------------------------------------------------- the parts
    def _flat(self, schema: object, inside: frozenset[str], depth: int) -> tuple[Node, frozenset[str]]:
        """A schema with its references, `allOf`, and the first of `oneOf` or `anyOf` put together."""
        node, seen = self._references.follow(schema)
        if depth > _DEEPEST or (seen & inside):
            return node, seen
        merged: Node = {key: value for key, value in node.items() if key not in ("allOf", "oneOf", "anyOf")}
        parts = as_list(node.get("allOf"))[:_MOST_CHOICES]
        for key in ("oneOf", "anyOf"):
            options = [option for option in as_list(node.get(key)) if _kind_of(self._references.node(option)) != "null"]
            parts = [*parts, *options[:1]]
        for part in parts:
            inner, more = self._flat(part, inside | seen, depth + 1)
            if more & inside:
                continue
            seen |= more
            properties = {**as_node(inner.get("properties")), **as_node(merged.get("properties"))}
            required = [*as_list(inner.get("required")), *as_list(merged.get("required"))]
            merged = {**inner, **merged}
            if properties:
                merged["properties"] = properties
            if required:
                merged["required"] = required
        return merged, seen

    def _low_and_high(self, node: Node, *, whole_number: bool) -> tuple[float, float]:
        """The least value, and the greatest one worth drawing."""
        low, high = _number(node.get("minimum")), _number(node.get("maximum"))
        step = _number(node.get("multipleOf"))
        gap = step if step is not None and step > 0 else 1 if whole_number else 0.5
        below, above = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
        if below is True and low is not None:  # as version 3.0 has it
            low += gap
        elif (bound := _number(below)) is not None:  # as version 3.1 has it
            low = bound + gap
        if above is True and high is not None:
            high -= gap
        elif (bound := _number(above)) is not None:
            high = bound - gap
        if low is None:
            low = min(1, high) if high is not None else 1
        if step is not None and step > 0:
            low = math.ceil(low / step) * step
        high = max(low, min(high, low + 99) if high is not None else low + 99)
        return (math.ceil(low), max(math.ceil(low), math.floor(high))) if whole_number else (low, high)

    def _text(self, node: Node, name: str) -> str:
        """A text: plan text where it is a template, else to be made literal by the caller."""
        form = str(node.get("format", "")).lower()
        least = _count(node.get("minLength"), _LONGEST_TEXT) or 0
        most = _count(node.get("maxLength"), _LONGEST_TEXT)
        pattern = node.get("pattern")
        if isinstance(pattern, str) and form not in ("uuid", *_EMAILS, *_FORMATS):
            if (found := matching(pattern, least, most)) is not None and found.isprintable():
                return found
            self.notes.append(f"change: {name or 'a text'} must match the pattern {pattern[:60]}")
        if form == "uuid":
            return template("uuid()")
        if form in _EMAILS:
            return compose("user", template("randint(1, 1000000)"), "@example.com")
        if form in _FORMATS:
            return _FORMATS[form]
        start = f"{re.sub('[^A-Za-z0-9]+', '-', name[:40]).strip('-') or 'text'}-"
        if most is None or most >= len(start) + 7:
            return compose(start.ljust(least - 1, "x"), template("randint(1, 1000000)"))
        return start.rstrip("-").ljust(least, "x")[: max(most, least)]


def _can_be_key(name: str) -> bool:
    """Whether a plan can hold a key and send it as it is."""
    return is_constant(name) and whole(name)


def _given_in(node: Node) -> object:
    """The value that a schema itself names; `ABSENT` when it names none."""
    for key in ("example", "const", "default"):
        if key in node:
            return node[key]
    examples = as_list(node.get("examples"))
    return examples[0] if examples else ABSENT


def _kind_of(node: Node) -> str:
    """The JSON type of a schema, guessed from its other keys when it does not say."""
    said = node.get("type")
    if isinstance(said, list):
        said = next((kind for kind in said if kind != "null"), "null")
    if isinstance(said, str):
        return said
    for key, kind in (("properties", "object"), ("items", "array"), ("minimum", "number"), ("maximum", "number")):
        if key in node:
            return kind
    return "object" if "additionalProperties" in node else "string"
