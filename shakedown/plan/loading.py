"""From a file to a plan: YAML, variables, profile, overrides, validation, references; all problems at once."""

import copy
import hashlib
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from shakedown.errors import PlanError, PlanProblem
from shakedown.plan.compose import expand_compose
from shakedown.plan.document import Document, Path, parse_document
from shakedown.plan.model import Plan
from shakedown.plan.profiles import apply_overrides, apply_profile, nearest, profile_cuts, profile_names
from shakedown.plan.references import check_references
from shakedown.plan.secrets import REDACTED, Redactor, find_secrets, looks_secret, redacted, secret_variables

__all__ = ["LoadedPlan", "load_plan"]


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan, ready to run, and where it came from.

    Attributes:
        base: the folder that the plan's relative paths start from.
        digest: SHA-256 of the plan as it will run (profile and overrides applied), redacted.
        resolved: that plan as JSON, redacted.
        overrides: as given, redacted.
        cuts: what the profile leaves out of the plan, in words; empty when it leaves out nothing.
        variables: name and value of every environment variable that the plan read, with what is secret hidden.
    """

    plan: Plan
    path: FilePath
    base: FilePath
    digest: str
    resolved: str
    redactor: Redactor
    profile: str | None
    overrides: tuple[str, ...]
    cuts: str = ""
    variables: tuple[tuple[str, str], ...] = ()


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
    variables = secret_variables(document.variables)
    if not isinstance(document.data, dict):
        if not document.problems:
            document.problems.append(document.problem((), "a plan is a mapping with the keys version, name, …"))
        raise PlanError(document.problems)
    base = path.resolve().parent
    untouched = copy.deepcopy(document)
    plan, found = _build(document, base, profile, overrides, environ)
    problems = [*document.problems, *found]
    for name in profile_names(untouched):
        if name != profile:
            known = {str(problem) for problem in problems}
            _, found = _build(copy.deepcopy(untouched), base, name, (), environ)
            problems += [
                replace(problem, message=f"{problem.message} (in the profile `{name}`)")
                for problem in found
                if str(problem) not in known
            ]
    if plan is None or problems:
        hide = Redactor(variables).redact
        raise PlanError([replace(problem, message=hide(problem.message)) for problem in problems])
    redactor = Redactor(find_secrets(plan) | variables)
    resolved = json.dumps(redacted(plan, redactor), ensure_ascii=False)
    digest = hashlib.sha256(json.dumps(json.loads(resolved), sort_keys=True).encode()).hexdigest()
    hidden = tuple(_redact_override(override, redactor) for override in overrides)
    read = tuple(
        (name, REDACTED if looks_secret(name) else redactor.redact(value))
        for name, value in sorted(document.variables.items())
    )
    return LoadedPlan(
        plan, path, base, digest, resolved, redactor, profile, hidden, profile_cuts(untouched, profile), read
    )  # fmt: skip


def _build(
    document: Document, base: FilePath, profile: str | None, overrides: Sequence[str], environ: Mapping[str, str]
) -> tuple[Plan | None, list[PlanProblem]]:
    """The plan that a profile and overrides make of a document, and what is wrong with it; the document changes."""
    problems = [*apply_profile(document, profile), *apply_overrides(document, overrides)]
    found, usable = expand_compose(document, base, environ)
    problems += found
    if not usable:  # without its services everything else in the plan would be wrong too
        return None, problems
    try:
        plan = Plan.model_validate(document.data)
    except ValidationError as error:
        return None, [*problems, *_translate(error, document)]
    return plan, [*problems, *check_references(plan, document, base)]


def _redact_override(override: str, redactor: Redactor) -> str:
    """An override for the record; what it sets may be secret though it is short."""
    path, _, value = override.partition("=")
    return f"{path}={REDACTED if looks_secret(path.rpartition('.')[2]) else redactor.redact(value)}"


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
    """One problem for each place; the members of a union that did not fit are one problem together."""
    by_path: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        path = _data_path(details["loc"], document.data, missing=details["type"] == "missing")
        by_path.setdefault(path, []).append(details)
    found = []
    for path, group in by_path.items():
        kinds = list(dict.fromkeys(_KINDS[details["type"]] for details in group if details["type"] in _KINDS))
        union = len(group) > 1 and len(kinds) == len({details["type"] for details in group})
        if union and any(len(other) > len(path) and other[: len(path)] == path for other in by_path):
            continue  # a member did fit, and what is wrong with its inside is said there
        others = [details for details in group if details["type"] not in _KINDS]
        if kinds and not others:
            choices = " or ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
            found.append(document.problem(path, f"must be {choices}, not {_shown(group[0].get('input'), path)}"))
        for details in others:
            message, hint = _words(details, path)
            found.append(document.problem(path, message, hint))
    return found


_KINDS = {
    "string_type": "a text", "int_type": "a whole number", "int_parsing": "a whole number",
    "int_from_float": "a whole number", "int_parsing_size": "a whole number", "float_type": "a number",
    "float_parsing": "a number", "bool_type": "true or false", "bool_parsing": "true or false", "list_type": "a list",
    "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}  # fmt: skip


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
    if kind == "too_short":
        return "must not be empty", None
    text = details["msg"][0].lower() + details["msg"][1:]
    return f"{text.replace('input should be', 'must be')}, not {_shown(value, path)}", None


def _shown(value: object, path: Path) -> str:
    """A wrong value, unless it may be secret: then only what kind it is."""
    if any(step in ("environment", "headers") or looks_secret(str(step)) for step in path):
        return {dict: "a mapping", list: "a list", str: "a text", bool: "true or false"}.get(type(value), "that")
    return _short(value)


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
