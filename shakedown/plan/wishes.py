"""What an experiment expects of health and alerts: `unhealthy within 2s, healthy within 10s`, `within 10s`, `never`.

health   healthy
         unhealthy [within DURATION] [, healthy within DURATION]
alert    never
         within DURATION [, over within DURATION]
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shakedown.units import parse_duration

__all__ = ["AlertText", "AlertWish", "HealthText", "HealthWish", "parse_alert_wish", "parse_health_wish"]

_HEALTH = re.compile(r"\s*(healthy|unhealthy)(?:\s+within\s+([^,]+?))?\s*(?:,\s*healthy\s+within\s+([^,]+?)\s*)?")
_ALERT = re.compile(r"\s*(?:(never)|within\s+([^,]+?)\s*(?:,\s*over\s+within\s+([^,]+?)\s*)?)")


@dataclass(frozen=True, slots=True)
class HealthWish:
    """What a service's health must say.

    Attributes:
        says: while the fault holds.
        within: seconds from the injection until it must say unhealthy; None: no limit of its own.
        again: seconds from the revert until it must say healthy again; None: no limit.
    """

    says: Literal["healthy", "unhealthy"]
    within: float | None = None
    again: float | None = None


@dataclass(frozen=True, slots=True)
class AlertWish:
    """What an alert must do.

    Attributes:
        within: seconds from the injection until it must fire; None: it must never fire.
        over: seconds from the revert until it must be over; None: no limit.
    """

    within: float | None = None
    over: float | None = None


def parse_health_wish(text: str) -> HealthWish:
    """Read what is expected of a health.

    Raises:
        ValueError: it cannot be read.
    """
    found = _HEALTH.fullmatch(text)
    if found is None or (found[1] == "healthy" and (found[2] or found[3])):
        raise ValueError(
            f"not what a health can be expected to say: `{text}`; write `healthy`, `unhealthy`, `unhealthy within 2s` or "
            "`unhealthy within 2s, healthy within 10s`"
        )
    return HealthWish("healthy" if found[1] == "healthy" else "unhealthy", _seconds(found[2]), _seconds(found[3]))


def parse_alert_wish(text: str) -> AlertWish:
    """Read what is expected of an alert.

    Raises:
        ValueError: it cannot be read.
    """
    found = _ALERT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"not what an alert can be expected to do: `{text}`; write `within 10s`, `within 10s, over within 30s` or `never`"
        )
    return AlertWish(_seconds(found[2]), _seconds(found[3]))


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except OverflowError:
        seconds = 0.0
    if seconds <= 0:
        raise ValueError(f"a limit is a duration above zero, such as 2s, not `{text}`")
    return seconds


def _checked_health(text: str) -> str:
    parse_health_wish(text)
    return text


def _checked_alert(text: str) -> str:
    parse_alert_wish(text)
    return text


HealthText = Annotated[
    str,
    AfterValidator(_checked_health),
    Field(
        description="healthy | unhealthy [within 2s][, healthy within 10s]: counted from the injection and the revert"
    ),
]
AlertText = Annotated[
    str,
    AfterValidator(_checked_alert),
    Field(description="never | within 10s[, over within 30s]: counted from the injection and the revert"),
]
