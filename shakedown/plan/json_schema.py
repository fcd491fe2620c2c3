"""JSON Schemas that answers are checked against, compiled once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it has no types
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

__all__ = ["compile_schema"]


def compile_schema(path: Path) -> Callable[[object], bool]:
    """Whether documents are as a schema says. Nothing is ever fetched: a `$ref` stays within the file.

    Raises:
        ValueError: the file cannot be read, is no schema, or refers to something outside of it.
    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"the schema {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the schema {path} is not JSON: {error}") from None
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
        resource = Resource.from_contents(schema, default_specification=DRAFT202012)
        resolver = REGISTRY.resolver_with_root(resource)
        for reference in _references(schema):
            resolver.lookup(reference)
    except SchemaError as error:
        raise ValueError(f"the schema {path} is none: {error.message}") from None
    except (Unresolvable, AttributeError) as error:
        raise ValueError(f"the schema {path} refers to something that is not in it: {error}") from None
    validator = kind(schema, registry=REGISTRY)
    return lambda document: bool(validator.is_valid(document))  # type: ignore[arg-type]  # it takes any JSON


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
