"""What thresholds compare: the metrics with their units, and the values that stand on the right.

A limit is a value (`500ms`, `5%`, `256MB`, `40/s`, `12`) or is relative to the baseline (`1.5 * baseline + 20ms`).
"""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from shakedown.units import parse_duration, parse_share, parse_size

__all__ = [
    "AGGREGATES",
    "COUNTERS",
    "LAG_AGGREGATES",
    "LEDGER",
    "LOAD_METRICS",
    "PERCENTILE",
    "SERIES_UNITS",
    "SUITE_METRICS",
    "WHOLE_LOAD",
    "Limit",
    "metric_unit",
    "read_limit",
]

PERCENTILE = re.compile(r"p(?:\d{1,2}(?:\.\d{1,3})?|\(\d{1,2}(?:\.\d{1,3})?\))", re.ASCII)
LOAD_METRICS = {
    "avg": "s", "min": "s", "max": "s", "med": "s", "start_lag": "s", "error_rate": "%", "check_rate": "%",
    "rate": "/s", "throughput": "/s", "count": "", "dropped": "", "dropped_rate": "%",
    "bytes": "B", "received": "B", "size": "B", "bytes_per_second": "B",
}  # fmt: skip
SUITE_METRICS = {
    "success_rate": "%", "error_rate": "%", "tests": "", "failures": "", "skipped": "", "tests_per_second": "/s",
    "longest": "s", "peak_memory": "B",
}  # fmt: skip
SERIES_UNITS = {
    "memory": "B", "memory_anon": "B", "network_rx": "B", "network_tx": "B", "block_read": "B", "block_write": "B",
    "memory_with_cache": "B", "memory_uss": "B", "memory_pss": "B", "cpu": "", "pids": "", "threads": "", "open_files": "", "restarts": "",
    "oom_kills": "", "context_switches": "", "sockets_established": "", "sockets_close_wait": "", "sockets_time_wait": "",
}  # fmt: skip
LEDGER = "ledger"  # the subject of `ledger.messages.lost == 0`
COUNTERS = ("count", "dropped", "bytes", "received")  # what only ever grows while a load runs
WHOLE_LOAD = ("dropped", "dropped_rate", "start_lag")  # what belongs to a load's iterations, not to one of its requests
AGGREGATES = ("max", "min", "avg", "last", "growth", "per_second")
LAG_AGGREGATES = ("avg", "min", "max", "med")  # of `start_lag`, beside its percentiles

_BARE_BYTES = ("bytes", "received", "size", "bytes_per_second")  # a bare number of bytes is plain enough
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d{1,3})?", re.ASCII)
_FACTOR = r"(?P<{}>\d+(?:\.\d+)?)"
_BASELINE = re.compile(
    rf"(?:{_FACTOR.format('before')}\s*\*\s*)?baseline(?:\s*\*\s*{_FACTOR.format('after')})?"
    r"(?:\s*(?P<sign>[+-])\s*(?P<offset>\S.*))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The right side of a comparison.

    Attributes:
        value: in the unit's base (seconds, bytes, a fraction, a number); beside a factor, what is added to the product.
        unit: as the value was written: "s", "B", "%", "/s" or "" (a plain number).
        factor: of what the baseline measured; None for a limit that stands for itself.
    """

    value: float
    unit: str
    factor: float | None = None


def metric_unit(metric: str) -> str | None:
    """The unit of a metric of loads or suites, or of a known series; None when unknown."""
    if PERCENTILE.fullmatch(metric):
        return "s"
    for table in (LOAD_METRICS, SUITE_METRICS, SERIES_UNITS):
        if metric in table:
            return table[metric]
    return None


def number(text: str) -> float | None:
    """A plain number; None for everything else."""
    return float(text) if _NUMBER.fullmatch(text) else None


def is_relative(text: str) -> bool:
    """Whether a value speaks of the baseline, rightly written or not."""
    return re.search(r"\bbaseline\b", text, re.ASCII) is not None


def read_limit(text: str, wanted: str | None, metric: str, *, share: bool) -> Limit:
    """A value in base units.

    Args:
        wanted: the metric's unit; None accepts a plain number alone.
        share: whether a limit of unit "%" lies between 0 and 1 (a growth does not).

    Raises:
        ValueError: the value cannot be read, or its unit does not fit the metric.
    """
    if is_relative(text):
        return _relative(text, wanted, metric)
    value, unit = _value(text, wanted, metric)
    if not math.isfinite(value):
        raise ValueError(f"the limit must be finite, not {text!r}")
    if unit == "%" and share and not 0 <= value <= 1:
        raise ValueError(f"{metric} is between 0% and 100%, never near {value * 100:g}%; write 5% or 0.05")
    return Limit(value, unit)


def _relative(text: str, wanted: str | None, metric: str) -> Limit:
    match = _BASELINE.fullmatch(text)
    if match is None or (match["before"] and match["after"]):
        raise ValueError(f"not a limit relative to the baseline: {text!r}; write `1.5 * baseline` or `baseline + 20ms`")
    factor = float(match["before"] or match["after"] or 1.0)
    if not 0 < factor <= 1e9:
        raise ValueError(f"a factor of the baseline lies above 0 and up to 1e9, not {factor:g}")
    offset, unit = (0.0, wanted or "") if match["offset"] is None else _value(match["offset"], wanted, metric)
    if not math.isfinite(offset):
        raise ValueError(f"the limit must be finite, not {text!r}")
    return Limit(-offset if match["sign"] == "-" else offset, unit, factor)


def _value(text: str, wanted: str | None, metric: str) -> tuple[float, str]:
    """The value in base units, and its unit."""
    readers: dict[str, tuple[Callable[[str], float], str]] = {
        "s": (parse_duration, "a duration such as 500ms"),
        "B": (parse_size, "a size such as 256MB"),
        "%": (parse_share, "a share such as 5%"),
    }
    plain = number(text)
    if wanted in readers:
        read, example = readers[wanted]
        # A fraction, or nothing at all, needs no unit.
        if plain is not None and (wanted == "%" or plain == 0 or metric in _BARE_BYTES):
            return plain, wanted
        if plain is not None:
            raise ValueError(f"{metric} is compared with {example}, not with the bare number {text}")
        shown = text.removesuffix("/s").strip() if metric == "bytes_per_second" else text
        try:
            return float(read(shown)), wanted
        except (ValueError, OverflowError):
            raise ValueError(f"{metric} is compared with {example}, not with {text!r}{_meant(text)}") from None
    per_second = text.removesuffix("/s").strip()
    if wanted == "/s" and per_second != text:
        plain = number(per_second)
    if plain is None and wanted is None:
        close = (
            ["max"]
            if metric == "p100"
            else difflib.get_close_matches(metric, ("p50", "p90", "p95", "p99", *LOAD_METRICS, *SUITE_METRICS), n=1)
        )
        meant = f"; did you mean `{close[0]}`?" if close else ""
        raise ValueError(
            f"no such metric: `{metric}`; a Prometheus series is compared with a number, not with {text!r}{meant}"
        )
    if plain is None:
        raise ValueError(f"{metric} is compared with a number, not with {text!r}{_meant(text)}")
    return plain, wanted or ""


def _meant(text: str) -> str:
    words = re.findall(r"[A-Za-z]+", text)
    return "; did you mean `baseline`?" if any(difflib.get_close_matches(word, ["baseline"]) for word in words) else ""
