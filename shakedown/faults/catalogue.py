"""The catalogue of faults, read from the code that carries them out: what the documentation and a dry run say of each."""

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shakedown.faults.base import Fault
from shakedown.faults.registry import FAULTS
from shakedown.plan.faults import FaultModel, FaultPlan
from shakedown.units import format_duration, format_share, format_size

__all__ = ["Entry", "Parameter", "catalogue", "entry_of", "given_parameters"]

_KINDS = {"_duration": "duration", "_size": "size", "_share": "share"}  # by what reads them, in shakedown.plan.values
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}
_PLAIN = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Any": "anything"}
_NO_PARAMETERS = frozenset({"type", "target", "targets"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a fault, in words.

    Attributes:
        kind: `duration`, `share`, `whole number`, `SIGKILL or SIGTERM`, `list of port` …
        limits: `> 0, ≤ 10 s`; empty without any.
        default: None when it must be given.
    """

    name: str
    kind: str
    limits: str
    default: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault, in words.

    Attributes:
        works_on: kinds of services; empty when it acts on none.
        undo: how it is taken back.
    """

    type: str
    what: str
    works_on: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    mechanism: str
    proof: str
    undo: str
    layers: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def family(self) -> str:
        """`network` of `network-latency`."""
        return self.type.partition("-")[0]


def catalogue() -> list[Entry]:
    """Every fault that a plan may name, family by family, in the order of the plan's models."""
    entries = [entry_of(model) for model in _models()]
    families = list(dict.fromkeys(entry.family for entry in entries))
    return sorted(entries, key=lambda entry: families.index(entry.family))


def entry_of(model: type[FaultModel]) -> Entry:
    """What the code says of one fault."""
    kind = str(model.model_fields["type"].default)
    fault: type[Fault[Any]] = FAULTS[kind]
    return Entry(
        type=kind,
        what=(inspect.getdoc(model) or "").partition("\n\n")[0].replace("\n", " "),
        works_on=tuple(sorted(getattr(model, "works_on", ()))),
        parameters=tuple(
            _parameter(name, field) for name, field in model.model_fields.items() if name not in ("type", "target")
        ),
        mechanism=fault.mechanism,
        proof=fault.proof,
        undo=fault.reversal,
        layers=tuple(fault.layers),
        needs=tuple(fault.needs),
    )


def given_parameters(fault: FaultModel) -> str:
    """The parameters of a fault of a plan, in words: `latency 200 ms, jitter 20 ms`; defaults only where they say much."""
    words = []
    for name, field in type(fault).model_fields.items():
        value = getattr(fault, name)
        if name in _NO_PARAMETERS or value is None or value in ([], {}, "", ()):
            continue
        words.append(f"{name} {_show(value, _kind_of(field))}")
    return ", ".join(words)


def _models() -> list[type[FaultModel]]:
    union = get_args(FaultPlan)[0]
    return list(get_args(union))


def _parameter(name: str, field: FieldInfo) -> Parameter:
    kind = _kind_of(field)
    if field.is_required():
        default = None
    elif field.default_factory is not None or field.default is PydanticUndefined:
        default = "none"
    else:
        default = _show(field.default, kind)
    return Parameter(name, kind, _limits(field, kind), default, field.description or "")


def _kind_of(field: FieldInfo) -> str:
    return _unit(field.metadata) or _kind(field.annotation)


def _kind(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _unit(list(arguments[1:])) or _kind(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in arguments if one is not type(None)))
    if origin in (list, tuple):
        return f"list of {_kind(next(one for one in arguments if one is not Ellipsis))}" if arguments else "list"
    if origin is dict:
        return f"{_kind(arguments[1])} by name"
    name = getattr(annotation, "__name__", str(annotation))
    return _PLAIN.get(name, name)


def _unit(metadata: list[Any]) -> str:
    """Durations, sizes and shares are numbers that are read by a function of their own."""
    for item in _flat(metadata):
        if unit := _KINDS.get(getattr(getattr(item, "func", None), "__name__", "")):
            return unit
        description = getattr(item, "description", None) or ""
        if description.startswith("a port:"):
            return "port"
    return ""


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for item in metadata:
        yield item
        yield from _flat(list(getattr(item, "metadata", [])))


def _limits(field: FieldInfo, kind: str) -> str:
    found = [*_flat(field.metadata), *_inside(field.annotation)]
    words = []
    for item in found:
        for name, sign in _SIGNS.items():
            limit = getattr(item, name, None)
            if limit is not None and not callable(limit):
                shown = str(limit) if "length" in name else _show(limit, kind)
                words.append(f"{sign} {shown}")
    return ", ".join(dict.fromkeys(words))


def _inside(annotation: Any) -> Iterator[Any]:
    """The limits of `Duration | None`, which pydantic leaves where they are; of the items of a list none."""
    if get_origin(annotation) is Annotated:
        yield from _flat(list(get_args(annotation)[1:]))
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _inside(one)


def _show(value: Any, kind: str) -> str:
    """A value as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        shown = {"duration": format_duration, "size": format_size, "share": format_share}.get(kind)
        return shown(value) if shown is not None else f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "none"
