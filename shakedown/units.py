"""Durations, sizes and percentages: as a plan writes them, as numbers, and as a reader wants to see them.

Inside the program durations are float seconds, sizes are int bytes, and shares are fractions (5 % is 0.05).
"""

import re

__all__ = [
    "format_duration",
    "format_number",
    "format_share",
    "format_size",
    "parse_duration",
    "parse_share",
    "parse_size",
]

EXACT = 1e15  # a float tells whole numbers apart up to here
_DURATION_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)")
_SIZE_UNITS = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]i?B|B)")
_SHARE = re.compile(r"(-?\d+(?:\.\d+)?)\s*%")


def parse_duration(text: str | float) -> float:
    """Seconds from `500ms`, `30s`, `5m`, `1h30m`, or a plain number of seconds.

    Raises:
        ValueError: it is none of these, or negative.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        if text < 0:
            raise ValueError(f"a duration cannot be negative: {text}")
        return float(text)
    compact = str(text).replace(" ", "")
    parts = _DURATION_PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"not a duration: {text!r}; write 500ms, 30s, 5m or 1h30m")
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def parse_size(text: str | int) -> int:
    """Bytes from `256MB` (powers of ten), `256MiB` (powers of two), or a plain number of bytes.

    Raises:
        ValueError: it is none of these, or negative.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError(f"a size cannot be negative: {text}")
        return text
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}; write 256MB, 1GiB or a number of bytes")
    return round(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_share(text: str | float) -> float:
    """A fraction from `5%` or a plain number (0.05).

    Raises:
        ValueError: it is neither.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    match = _SHARE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"not a percentage: {text!r}; write 5% or 0.05")
    return float(match[1]) / 100.0


def format_duration(seconds: float) -> str:
    """Seconds as a short text with three significant digits: `1.23 ms`, `4.5 s`, `2 m 05 s`."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 119.5:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m"


def format_size(size: float) -> str:
    """Bytes as a short text in powers of ten: `83.2 MB`."""
    sign = "-" if size < 0 else ""
    size = abs(size)
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= 0.9995 * factor:
            return f"{sign}{size / factor:.3g} {unit}"
    return f"{sign}{size:.0f} B"


def format_number(number: float, digits: int = 4) -> str:
    """A number without a unit: whole ones exact, since they are counts and may be compared; others with so many digits."""
    if abs(number) < EXACT and (number == round(number) or abs(number) >= 1000):
        return f"{number:.0f}"
    return f"{number:.{digits}g}"


def format_share(share: float) -> str:
    """A fraction as a percentage with as many digits as it needs: `0.5 %`, `12 %`."""
    percent = share * 100
    if percent != 0 and abs(percent) < 0.01:
        return f"{percent:.1g} %"
    return f"{percent:.2f}".rstrip("0").rstrip(".") + " %"
