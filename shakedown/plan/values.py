"""The value types of a plan: durations, sizes, shares, ports and names, each read from how people write them."""

import math
from typing import Annotated

from pydantic import BeforeValidator, Field

from shakedown.units import parse_duration, parse_share, parse_size

__all__ = ["AS_TEXT", "Duration", "Name", "Port", "Share", "Size"]


AS_TEXT = "x-as-text"  # in a JSON Schema: a number that people also write as a text, with its unit


def _duration(value: str | float) -> float:
    """A finite duration; `.inf` and numbers beyond all floats are none."""
    try:
        seconds = parse_duration(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError("not a duration: it must be finite; write 500ms, 30s, 5m or 1h30m")
    return seconds


def _size(value: str | int) -> int:
    """A size; the digits of a text may be more than any float holds."""
    try:
        return parse_size(value)
    except OverflowError:
        raise ValueError("not a size: it must be finite; write 256MB, 1GiB or a number of bytes") from None


def _share(value: str | float) -> float:
    """A share; a bare number above 1 would be more than the whole, and nearly always means per cent."""
    try:
        share = parse_share(value)
    except OverflowError:
        share = math.inf
    if not math.isfinite(share):
        raise ValueError("not a percentage: it must be finite; write 5% or 0.05")
    if share > 1 and not isinstance(value, str):
        raise ValueError(f"{value:g} as a share is {value * 100:g}%; write {value:g}% or {value / 100:g}")
    return share


_TEXT = {AS_TEXT: True}
Duration = Annotated[
    float, BeforeValidator(_duration), Field(description="a duration: 500ms, 30s, 5m", json_schema_extra=_TEXT)
]
Size = Annotated[int, BeforeValidator(_size), Field(description="a size: 256MB, 1GiB", json_schema_extra=_TEXT)]
Share = Annotated[float, BeforeValidator(_share), Field(description="a share: 5% or 0.05", json_schema_extra=_TEXT)]
Port = Annotated[int, Field(ge=0, le=65535, description="a port: 1 to 65535; for a process, 0 is any free one")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64, description="letters, digits, - and _")]
