"""The plan's JSON Schema for editors, and the plan to begin with."""

from importlib.resources import files

from shakedown.plan.compose import COMPOSE, ComposeProject
from shakedown.plan.model import Plan
from shakedown.plan.profiles import PARTS, SCALES
from shakedown.plan.values import AS_TEXT

__all__ = ["json_schema", "starter_plan"]


def json_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of a plan file, profiles included."""
    schema: dict[str, object] = Plan.model_json_schema(by_alias=True, mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A Shakedown plan"
    part = {"type": "object"}
    _unfold_nothing(schema)
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - pydantic's own shape, told to the type checker
    properties["profiles"] = {
        "type": "object",
        "description": "variants of the plan: parts to merge over it, and factors for durations, repeats and rates",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "scale": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {name: {"type": "number", "exclusiveMinimum": 0} for name in SCALES},
                },
                **dict.fromkeys(PARTS, part),
            },
        },
    }
    return _accept_text(schema)


def _unfold_nothing(schema: dict[str, object]) -> None:
    """What a plan's author writes: `compose:` as one key among the services, before it is unfolded into them."""
    definitions, properties = schema["$defs"], schema["properties"]
    assert isinstance(definitions, dict)  # noqa: S101 - pydantic's own shape, told to the type checker
    assert isinstance(properties, dict)  # noqa: S101 - as above
    project = ComposeProject.model_json_schema(by_alias=True, mode="validation")
    definitions["ComposeProject"] = {key: value for key, value in project.items() if key != "$defs"}
    services = properties["services"]
    ((pattern, own),) = services.pop("patternProperties").items()
    own["oneOf"] = [one for one in own["oneOf"] if not one["$ref"].endswith("/ComposeService")]
    del definitions["ComposeService"], definitions["FromCompose"]
    files = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    services["patternProperties"] = {pattern.replace("^", f"^(?!{COMPOSE}$)", 1): own}
    services["properties"] = {
        COMPOSE: {
            "description": "a Compose project: its file, or what else is to be said of it",
            "anyOf": [{"type": "string"}, files, {"$ref": "#/$defs/ComposeProject"}, own],
        }
    }


def _accept_text(schema: dict[str, object]) -> dict[str, object]:
    """Durations, sizes and shares may be texts as well as numbers."""

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.pop(AS_TEXT, False):
                kind = node.pop("type", "number")
                node["type"] = [kind, "string"] if isinstance(kind, str) else kind
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    return schema


def starter_plan() -> str:
    """The text of a commented plan for one's own HTTP service."""
    return files("shakedown.plan").joinpath("starter.yaml").read_text(encoding="utf-8")
