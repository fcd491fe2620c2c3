"""The Prometheus text format, as far as a sampler needs it."""

import math
import re
from collections.abc import Collection

__all__ = ["parse_metrics"]

_LABELS = r'\{(?:[^"}]|"(?:\\.|[^"\\])*")*\}'  # their values may hold braces
_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)"
    rf"(?P<labels>{_LABELS})?"
    r"\s+(?P<value>[^\s#]+)"
    r"(?:\s+-?[\d.]+)?(?:\s+#.*)?",  # a time stamp, an exemplar
)
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:\\.|[^"\\])*)"')


def parse_metrics(text: str, wanted: Collection[str]) -> dict[str, float]:
    """The wanted series; one that stands there with several label sets is added up.

    A wanted series may name labels, `calls_total{to="llm"}`: then those of its label sets are added up that have them.
    Lines that do not follow the format are passed over, as scrapers do. So are values that are no number (NaN, Inf):
    a comparison with one says nothing.
    """
    found: dict[str, float] = {}
    selected: dict[str, list[tuple[str, set[tuple[str, str]]]]] = {}
    for series in wanted:
        if "{" in series:
            selected.setdefault(series.partition("{")[0], []).append((series, set(_LABEL.findall(series))))
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or (match["name"] not in wanted and match["name"] not in selected):
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        if not math.isfinite(value):
            continue
        names = [match["name"]] if match["name"] in wanted else []
        if match["name"] in selected:
            labels = set(_LABEL.findall(match["labels"] or ""))
            names += [series for series, needed in selected[match["name"]] if needed <= labels]
        for name in names:
            found[name] = found.get(name, 0.0) + value
    return found
