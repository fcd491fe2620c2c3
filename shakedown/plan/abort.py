"""When an experiment is to end at once: `host.memory > 90%`, `api.memory > 400MB`, `worker.queue_depth > 1000`."""

import re
from dataclasses import dataclass

from shakedown.units import parse_share, parse_size

__all__ = ["Condition", "parse_condition"]

_GRAMMAR = re.compile(r"\s*([A-Za-z][\w-]*)\.([A-Za-z_]\w*)\s*(>=|>|<=|<)\s*(\S+)\s*")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """A sampled series beside a limit.

    Attributes:
        subject: a service, or `host`.
        share: whether the limit is a share of what there is (`host.memory > 90%`).
    """

    text: str
    subject: str
    series: str
    op: str
    limit: float
    share: bool = False

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        match self.op:
            case ">":
                return value > self.limit
            case ">=":
                return value >= self.limit
            case "<":
                return value < self.limit
            case _:
                return value <= self.limit


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ValueError: it is none.
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError(f"not a condition: `{text}`")
    subject, series, op, limit = found.groups()
    if limit.endswith("%"):
        if (subject, series) not in (("host", "memory"), ("host", "cpu")):
            raise ValueError(f"a share is known of host.memory and host.cpu only, not of {subject}.{series}")
        return Condition(text, subject, series, op, parse_share(limit), share=True)
    value = float(limit) if _NUMBER.fullmatch(limit) else float(parse_size(limit))
    return Condition(text, subject, series, op, value)
