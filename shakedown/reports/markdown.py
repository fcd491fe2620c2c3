"""report.md: Markdown by Jinja templates. Untrusted text is escaped so that it can break neither a table nor the page."""

import re
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from shakedown.analysis.evidence import window_stats
from shakedown.analysis.quantiles import samples_needed
from shakedown.records.histogram import Histogram
from shakedown.records.judgement import Severity, ThresholdResult
from shakedown.records.load import LoadResult
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.records.suites import SuiteResult, TestStatus
from shakedown.reports.model import Report
from shakedown.units import format_duration, format_share, format_size
from shakedown.verdict import Verdict

__all__ = ["escape", "render_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
LONGEST = 600


def escape(value: object) -> str:
    """Any text as one line of plain Markdown."""
    text = _CONTROL.sub(" ", str(value)).strip()
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    return _SPECIAL.sub(r"\\\1", text)


def code(value: object) -> str:
    """Any text as inline code in a table's cell: a fence longer than any run of backticks in it."""
    text = _CONTROL.sub(" ", str(value)).strip().replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else ""


def seconds(value: float | None) -> str:
    """A duration, or a dash."""
    return "–" if value is None else format_duration(value)


def at(value: float | None) -> str:
    """A point of the time axis."""
    return "–" if value is None else f"{value:.2f} s"


def amount(value: float | None, unit: str) -> str:
    """A value in its unit."""
    if value is None:
        return "not measured"
    if unit == "s":
        return format_duration(value)
    if unit == "B":
        return format_size(value)
    if unit == "%":
        return format_share(value)
    return f"{value:.4g}{unit}"


def margin(result: ThresholdResult) -> str:
    """How far the value is from its limit, relative to the limit."""
    if result.actual is None or result.limit == 0:
        return "–"
    return f"{abs(result.actual - result.limit) / abs(result.limit):.0%}"


def verdict(value: Verdict | None) -> str:
    """A verdict with its mark."""
    return "… interrupted" if value is None else f"{value.symbol} {value}"


def quantile(histogram: Histogram, q: float) -> str:
    """A quantile, if the samples support it."""
    needed = samples_needed(q)
    if histogram.count < needed:
        return f"n too small ({histogram.count} of {needed})"
    return seconds(histogram.quantile(q))


def latency(load: LoadResult) -> Histogram:
    """Response times of what was answered rightly or timed out."""
    return window_stats(load).latency


def service(load: LoadResult) -> Histogram:
    """Service times of everything."""
    merged = Histogram()
    for bucket in load.buckets.values():
        merged.merge(bucket.service)
    return merged


def lag(load: LoadResult) -> Histogram:
    """Start lags."""
    merged = Histogram()
    for part in load.start_lag.values():
        merged.merge(part)
    return merged


def recovered(recovery: RecoveryMeasurement) -> str:
    """A time to recover with its resolution."""
    took = recovery.recovered_after
    if took is None:
        return f"> {seconds(recovery.censored_at)}"
    if took < recovery.resolution:
        return f"≤ {format_duration(recovery.resolution)}"
    return f"{format_duration(took)} ± {format_duration(recovery.resolution)}"


def bad_tests(suite: SuiteResult) -> int:
    """Tests that failed or broke."""
    return sum(outcome.status in (TestStatus.FAILED, TestStatus.ERROR) for outcome in suite.outcomes)


def render_markdown(report: Report, charts: Mapping[str, str]) -> str:
    """The report as Markdown.

    Args:
        charts: chart files by name, relative to the report.
    """
    folder = files("templates")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # noqa: S701 - Markdown: `e` below escapes
        finalize=lambda value: "" if value is None else value,
    )  # fmt: skip
    filters = {
        "e": escape, "code": code, "seconds": seconds, "at": at, "amount": amount, "margin": margin, "verdict": verdict,
        "quantile": quantile, "latency": latency, "service": service, "lag": lag, "bad_tests": bad_tests,
        "recovered": recovered, "share": lambda value: "–" if value is None else format_share(value), "size": format_size,
    }  # fmt: skip
    environment.filters.update(filters)
    text = environment.get_template("report.md.j2").render(
        report=report, charts=charts, Severity=Severity, Verdict=Verdict
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
