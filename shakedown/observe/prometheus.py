"""The Prometheus text format, as far as a sampler needs it."""

import math
import re
from collections.abc import Collection

__all__ = ["parse_metrics"]

_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)"
    r'(?:\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?'  # labels; their values may hold braces
    r"\s+(?P<value>[^\s#]+)"
    r"(?:\s+-?[\d.]+)?(?:\s+#.*)?",  # a time stamp, an exemplar
)


def parse_metrics(text: str, wanted: Collection[str]) -> dict[str, float]:
    """The wanted series; one that stands there with several label sets is added up.

    Lines that do not follow the format are passed over, as scrapers do. So are values that are no number (NaN, Inf):
    a comparison with one says nothing.
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or match["name"] not in wanted:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        if not math.isfinite(value):
            continue
        found[match["name"]] = found.get(match["name"], 0.0) + value
    return found
