"""From a file to a plan: YAML, variables, profile, overrides, validation, references; all problems at once."""

import hashlib
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from shakedown.errors import PlanError, PlanProblem
from shakedown.plan.document import Document, Path, parse_document
from shakedown.plan.model import Plan
from shakedown.plan.profiles import apply_overrides, apply_profile, nearest
from shakedown.plan.references import check_references
from shakedown.plan.secrets import Redactor, find_secrets

__all__ = ["LoadedPlan", "load_plan"]


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan, ready to run, and where it came from.

    Attributes:
        base: the folder that the plan's relative paths start from.
        digest: SHA-256 of the plan as it will run (profile and overrides applied), redacted.
        resolved: that plan as JSON, redacted.
    """

    plan: Plan
    path: FilePath
    base: FilePath
    digest: str
    resolved: str
    redactor: Redactor
    profile: str | None
    overrides: tuple[str, ...]


def load_plan(
    path: FilePath, *, profile: str | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str]
) -> LoadedPlan:
    """Load and check a plan.

    Args:
        path: the YAML file.
        profile: one of the plan's profiles, or None.
        overrides: `a.b.0.c=value`, applied after the profile.
        environ: where `${NAME}` is looked up.

    Raises:
        PlanError: with every problem that could be found.
    """
    document = parse_document(_read(path), str(path), environ)
    if document.data is None and document.problems:
        raise PlanError(document.problems)
    if not isinstance(document.data, dict):
        raise PlanError(
            [*document.problems, document.problem((), "a plan is a mapping with the keys version, name, …")]
        )
    problems = [*document.problems, *apply_profile(document, profile), *apply_overrides(document, overrides)]
    try:
        plan = Plan.model_validate(document.data)
    except ValidationError as error:
        raise PlanError([*problems, *_translate(error, document)]) from None
    base = path.resolve().parent
    problems += check_references(plan, document, base)
    if problems:
        raise PlanError(problems)
    redactor = Redactor(find_secrets(plan))
    resolved = redactor.redact(plan.model_dump_json(by_alias=True, exclude_none=True))
    digest = hashlib.sha256(json.dumps(json.loads(resolved), sort_keys=True).encode()).hexdigest()
    return LoadedPlan(plan, path, base, digest, resolved, redactor, profile, tuple(overrides))


def _read(path: FilePath) -> str:
    def fail(message: str, hint: str | None = None) -> PlanError:
        return PlanError([PlanProblem(message, file=str(path), hint=hint)])

    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise fail("there is no such file", "`shakedown init` writes a plan to begin with") from None
    except UnicodeDecodeError as error:
        raise fail(f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    except OSError as error:
        raise fail(f"cannot be read: {error.strerror}") from None


# ------------------------------------------------------------------------------ pydantic's errors in a user's words
def _translate(error: ValidationError, document: Document) -> list[PlanProblem]:
    found = []
    for details in error.errors():
        path = _data_path(details["loc"], document.data, missing=details["type"] == "missing")
        message, hint = _words(details, path)
        found.append(document.problem(path, message, hint))
    return found


def _data_path(loc: Sequence[str | int], data: object, *, missing: bool) -> Path:
    """Pydantic's location without the names of union members, which no user has written."""
    path: list[str | int] = []
    for position, step in enumerate(loc):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        elif missing and position == len(loc) - 1:
            pass
        else:
            continue
        path.append(step)
    return tuple(path)


def _words(details: ErrorDetails, path: Path) -> tuple[str, str | None]:
    kind, value, context = details["type"], details.get("input"), details.get("ctx", {})
    last = str(path[-1]) if path else ""
    if kind == "missing":
        return f"the key `{last}` is missing", None
    if kind == "extra_forbidden":
        allowed = _allowed(details["loc"][:-1])
        listing = f"; allowed: {', '.join(allowed)}" if allowed else ""
        return f"unknown key `{last}`{listing}", nearest(last, allowed)
    if kind in ("union_tag_invalid", "literal_error"):
        expected = str(context.get("expected_tags") or context.get("expected", ""))
        choices = [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]
        written = str(context.get("tag", value))
        return f"`{written}` is not allowed; allowed: {', '.join(choices)}", nearest(written, choices)
    if kind == "union_tag_not_found":
        return f"the key {context.get('discriminator', 'type')} is missing".replace("'", "`"), None
    if kind == "value_error":
        return str(context.get("error", details["msg"])), None
    if kind == "string_pattern_mismatch":
        return f"`{value}` is not a name", "begin with a letter; then letters, digits, - and _"
    text = details["msg"][0].lower() + details["msg"][1:]
    return f"{text.replace('input should be', 'must be')}, not {_short(value)}", None


def _short(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _allowed(loc: Sequence[str | int]) -> list[str]:
    """The keys that the model at a location takes."""
    current: list[object] = [Plan]
    for step in loc:
        following: list[object] = []
        for annotation in _unwrap(current):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                for name, field in annotation.model_fields.items():
                    if step in (name, field.alias):
                        following.append(field.annotation)
            elif get_origin(annotation) in (dict, list):
                following.append(get_args(annotation)[-1])
        current = following or [item for item in _unwrap(current, step) if item is not None]
    keys: list[str] = []
    for model in _unwrap(current):
        if isinstance(model, type) and issubclass(model, BaseModel):
            keys += [field.alias or name for name, field in model.model_fields.items()]
    return list(dict.fromkeys(keys))


def _unwrap(annotations: Sequence[object], tag: str | int | None = None) -> list[object]:
    """The members of unions and annotations; with a tag, only the member that bears it."""
    found: list[object] = []
    for annotation in annotations:
        origin = get_origin(annotation)
        if origin is Annotated:
            inner, *metadata = get_args(annotation)
            tags = [item.tag for item in metadata if isinstance(item, Tag)]
            if tag is None or not tags or tag in tags:
                found += _unwrap([inner], None if tag in tags else tag)
        elif origin in (Union, types.UnionType):
            found += [item for part in get_args(annotation) for item in _unwrap([part], tag)]
        elif tag is None or _bears(annotation, tag):
            found.append(annotation)
    return found


def _bears(annotation: object, tag: str | int) -> bool:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return False
    kind = annotation.model_fields.get("type")
    literal = kind is not None and get_origin(kind.annotation) is Literal and tag in get_args(kind.annotation)
    return literal or annotation.__name__ == tag
