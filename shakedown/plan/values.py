"""The value types of a plan: durations, sizes, shares and names, each read from how people write them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from shakedown.units import parse_duration, parse_share, parse_size

__all__ = ["Duration", "Name", "Share", "Size"]

Duration = Annotated[float, BeforeValidator(parse_duration), Field(description="a duration: 500ms, 30s, 5m")]
Size = Annotated[int, BeforeValidator(parse_size), Field(description="a size: 256MB, 1GiB")]
Share = Annotated[float, BeforeValidator(parse_share), Field(description="a share: 5% or 0.05")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64, description="letters, digits, - and _")]
