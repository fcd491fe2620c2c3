"""Numbers as a reader wants to see them: in their unit, with their resolution, and never without the samples to support them."""

from collections.abc import Sequence

from shakedown.analysis.quantiles import samples_needed, supported
from shakedown.records.histogram import Histogram
from shakedown.records.judgement import ThresholdResult
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.units import format_duration, format_number, format_share, format_size
from shakedown.verdict import Verdict

__all__ = [
    "amount",
    "at",
    "change",
    "detected",
    "margin",
    "phase_quantile",
    "quantile",
    "recovered",
    "seconds",
    "share",
    "sparkline",
]

NONE = "–"
BARS = "▁▂▃▄▅▆▇█"


def seconds(value: float | None) -> str:
    """A duration, or a dash."""
    return NONE if value is None else format_duration(value)


def at(value: float | None) -> str:
    """A point of the time axis."""
    return NONE if value is None else f"{value:.2f} s"


def share(value: float | None) -> str:
    """A fraction as a percentage, or a dash."""
    return NONE if value is None else format_share(value)


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
    if unit == "B/s":
        return f"{format_size(value)}/s"
    return f"{format_number(value)}{' ' if unit[:1].isalpha() else ''}{unit}"


def margin(result: ThresholdResult) -> str:
    """How far the value is from its limit, relative to the limit, and on which side."""
    if result.actual is None or result.limit == 0:
        return NONE
    distance = abs(result.actual - result.limit) / abs(result.limit)
    sided = bool({"<", ">"} & set(result.text))  # == and != have no side
    if distance < 0.0005:
        return "at the limit" if sided else NONE
    shown = f"{distance * 100:.{0 if distance >= 0.0995 else 1}f} %" if distance < 10 else f"{distance:.0f} ×"
    if not sided:
        return f"{shown} off"
    return f"{shown} {'inside' if (result.actual < result.limit) == ('<' in result.text) else 'beyond'}"


def change(value: float | None) -> str:
    """A relative change with its sign."""
    if value is None:
        return NONE
    percent = value * 100
    digits = 1 if abs(percent) < 9.95 else 0
    shown = f"{abs(percent):.{digits}f}"
    return f"{'+' if percent > 0 else '-'}{shown} %" if float(shown) else "0 %"


def quantile(histogram: Histogram, q: float) -> str:
    """A quantile, if the samples support it."""
    if not supported(q, histogram.count):
        return f"n < {samples_needed(q)}" if histogram.count else NONE
    return seconds(histogram.quantile(q))


def phase_quantile(value: float | None, samples: int, q: float) -> str:
    """A quantile that was computed already, if the samples support it."""
    if value is not None and not supported(q, samples):
        return f"n < {samples_needed(q)}"
    return seconds(value)


def recovered(recovery: RecoveryMeasurement) -> str:
    """A time to recover with its resolution; one that was not seen is "> T"."""
    took = recovery.recovered_after
    return f"> {seconds(recovery.censored_at)}" if took is None else _resolved(took, recovery.resolution)


def detected(recovery: RecoveryMeasurement) -> str:
    """A time to detect with its resolution."""
    took = recovery.detected_after
    return "not felt" if took is None else _resolved(took, recovery.resolution)


def _resolved(took: float, resolution: float) -> str:
    if took < resolution:
        return f"≤ {format_duration(resolution)}"
    return f"{format_duration(took)} ± {format_duration(resolution)}"


def verdict(value: Verdict | None, otherwise: str = "… not ended") -> str:
    """A verdict with its mark."""
    return otherwise if value is None else f"{value.symbol} {value}"


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, from the least to the greatest; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BARS[round((value - low) * scale)] for value in values)
