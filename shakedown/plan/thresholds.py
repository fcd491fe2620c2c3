"""The grammar of a threshold: `subject[.request].metric[.aggregate] operator value`.

=========  =============================================================================================  ==========
subject    metrics                                                                                        unit
=========  =============================================================================================  ==========
load       p50 … p99.99, avg, min, max, med, start_lag                                                     duration
           error_rate                                                                                     share
           rate, throughput (good answers)                                                                per second
           count, dropped                                                                                 number
suite      success_rate, error_rate                                                                       share
           tests, failures, tests_per_second                                                              number
           longest                                                                                        duration
           peak_memory                                                                                    size
service    memory, memory_anon, network_rx, network_tx, block_read, block_write                            size
or `host`  cpu (cores), pids, threads, open_files, restarts, oom_kills, Prometheus series                  number
           each with `.max` (when none is given), `.min`, `.avg`, `.last` or `.growth` (a share)
=========  =============================================================================================  ==========
"""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from shakedown.units import parse_duration, parse_share, parse_size

__all__ = ["AGGREGATES", "LOAD_METRICS", "PERCENTILE", "SERIES_UNITS", "SUITE_METRICS", "Threshold", "parse_threshold"]

PERCENTILE = re.compile(r"p(?:\d{1,2}(?:\.\d{1,3})?|\(\d{1,2}(?:\.\d{1,3})?\))", re.ASCII)
LOAD_METRICS = {
    "avg": "s", "min": "s", "max": "s", "med": "s", "start_lag": "s", "error_rate": "%",
    "rate": "/s", "throughput": "/s", "count": "", "dropped": "",
}  # fmt: skip
SUITE_METRICS = {
    "success_rate": "%", "error_rate": "%", "tests": "", "failures": "", "tests_per_second": "/s",
    "longest": "s", "peak_memory": "B",
}  # fmt: skip
SERIES_UNITS = {
    "memory": "B", "memory_anon": "B", "network_rx": "B", "network_tx": "B", "block_read": "B", "block_write": "B",
    "cpu": "", "pids": "", "threads": "", "open_files": "", "restarts": "", "oom_kills": "",
}  # fmt: skip
AGGREGATES = ("max", "min", "avg", "last", "growth")

_SHAPE = re.compile(
    r"\s*(?P<path>[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*?)\.(?P<last>p\d{1,2}(?:\.\d{1,3})?|p\(\d{1,2}(?:\.\d{1,3})?\)|[A-Za-z]\w*)"
    r"\s*(?P<op><=|>=|==|<|>)\s*(?P<value>\S.*?)\s*",
    re.ASCII,
)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, understood as far as its text goes; what its subject is, references decide.

    Attributes:
        subject: the label of a load or suite, a service, or `host`.
        request: one request of a load, or None.
        aggregate: of a sampled series, or None.
        limit: in the unit's base: seconds, bytes, a fraction, a number.
        unit: as the value was written: "s", "B", "%", "/s" or "" (a plain number).
    """

    text: str
    subject: str
    request: str | None
    metric: str
    aggregate: str | None
    op: str
    limit: float
    unit: str


def metric_unit(metric: str) -> str | None:
    """The unit of a metric of loads or suites, or of a known series; None when unknown."""
    if PERCENTILE.fullmatch(metric):
        return "s"
    for table in (LOAD_METRICS, SUITE_METRICS, SERIES_UNITS):
        if metric in table:
            return table[metric]
    return None


def parse_threshold(text: str) -> Threshold:
    """Understand one threshold.

    Raises:
        ValueError: it does not follow the grammar, or its value's unit does not fit the metric.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a threshold: {text!r}; write subject.metric operator value, as in `send.p95 < 500ms`")
    parts = [*match["path"].split("."), match["last"]]
    aggregate = None
    if len(parts) > 2 and parts[-1] in AGGREGATES and not _of_request(parts, match["value"]):
        aggregate = parts.pop()
    metric, subject = parts[-1], parts[0]
    if len(parts) > 3:
        raise ValueError(f"too many dots in {text!r}; write subject.metric or scenario.request.metric")
    request = parts[1] if len(parts) == 3 else None
    wanted = "%" if aggregate == "growth" else metric_unit(metric)
    limit, unit = _value(match["value"], wanted, metric)
    if not math.isfinite(limit):
        raise ValueError(f"the limit must be finite in {text!r}")
    if unit == "%" and aggregate is None and not 0 <= limit <= 1:
        raise ValueError(f"{metric} is between 0% and 100%, never near {limit * 100:g}%; write 5% or 0.05")
    return Threshold(" ".join(text.split()), subject, request, metric, aggregate, match["op"], limit, unit)


def _of_request(parts: list[str], value: str) -> bool:
    """Whether the last of `load.request.max` is a metric of that request rather than an aggregate of a series.

    Only latencies are compared with durations, and no sampled series is one.
    """
    if metric_unit(parts[-2]) == "s":
        return True
    if parts[-1] not in LOAD_METRICS or parts[-2] in SERIES_UNITS or _number(value) is not None:
        return False
    try:
        parse_duration(value)
    except (ValueError, OverflowError):
        return False
    return True


def _value(text: str, wanted: str | None, metric: str) -> tuple[float, str]:
    """The value in base units, and its unit; `wanted` None accepts a plain number alone."""
    readers: dict[str, tuple[Callable[[str], float], str]] = {
        "s": (parse_duration, "a duration such as 500ms"),
        "B": (parse_size, "a size such as 256MB"),
        "%": (parse_share, "a share such as 5%"),
    }
    plain = _number(text)
    if wanted in readers:
        read, example = readers[wanted]
        if plain is not None and (wanted == "%" or plain == 0):  # a fraction, or nothing at all, needs no unit
            return plain, wanted
        if plain is not None:
            raise ValueError(f"{metric} is compared with {example}, not with the bare number {text}")
        try:
            return float(read(text)), wanted
        except (ValueError, OverflowError):
            raise ValueError(f"{metric} is compared with {example}, not with {text!r}") from None
    per_second = text.removesuffix("/s").strip()
    if wanted == "/s" and per_second != text:
        plain = _number(per_second)
    if plain is None and wanted is None:
        close = difflib.get_close_matches(metric, ("p50", "p90", "p95", "p99", *LOAD_METRICS, *SUITE_METRICS), n=1)
        meant = f"; did you mean `{close[0]}`?" if close else ""
        raise ValueError(
            f"no such metric: `{metric}`; a Prometheus series is compared with a number, not with {text!r}{meant}"
        )
    if plain is None:
        raise ValueError(f"{metric} is compared with a number, not with {text!r}")
    return plain, wanted or ""


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None
