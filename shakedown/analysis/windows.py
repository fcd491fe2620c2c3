"""Windows of whole seconds: where they lie, and what many of them say together.

the load      ├───────────────┤        whole seconds alone make whole windows
over 3s        ╟───╢                   the first whole window, then one second later, … to the last
within 3s     ╫╢                       besides: windows that an end of the load cuts short
                        … ╟───╫
for 3s         x x x                   three single seconds in a row that all break it
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shakedown.analysis.evidence import Span

__all__ = ["Window", "cut_windows", "runs", "single_seconds", "whole_windows"]

# Instants are sums of floats: a load that starts at 11.9999999999 starts at 12.
_EDGE = 1e-6


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Seconds `first` (in) to `last` (out) of the time axis."""

    first: int
    last: int

    def within(self, other: "Window") -> bool:
        """Whether the other covers it."""
        return other.first <= self.first and self.last <= other.last


def _whole(span: Span) -> tuple[int, int]:
    """The whole seconds of a span."""
    return math.ceil(span[0] - _EDGE), math.floor(span[1] + _EDGE)


def _touched(span: Span) -> tuple[int, int]:
    """The seconds that a span touches."""
    return math.floor(span[0] + _EDGE), math.ceil(span[1] - _EDGE)


def whole_windows(spans: Sequence[Span], seconds: int, *, ended: bool = True) -> list[Window]:
    """Every window of that many whole seconds.

    A span that is long enough, but whose whole seconds are one too few because it began between two, is one window;
    though not while it has not `ended`, for then it will have more.
    """
    found = []
    for span in spans:
        first, last = _whole(span)
        if last - first >= seconds:
            found += [Window(begin, begin + seconds) for begin in range(first, last - seconds + 1)]
        elif ended and span[1] - span[0] >= seconds - _EDGE:
            found.append(Window(*_touched(span)))
    return found


def cut_windows(spans: Sequence[Span], seconds: int) -> list[Window]:
    """The windows that an end of a span cuts short, or both ends of a short span do; the longest first."""
    found: dict[Window, None] = {}
    for span in spans:
        first, last = _touched(span)
        for begin in range(first - seconds + 1, last):
            window = Window(max(begin, first), min(begin + seconds, last))
            if window.first < window.last:
                found[window] = None
    whole = set(whole_windows(spans, seconds))
    return sorted((window for window in found if window not in whole), key=lambda item: item.first - item.last)


def single_seconds(spans: Sequence[Span]) -> list[list[int]]:
    """The whole seconds of each span."""
    return [list(range(*_whole(span))) for span in spans]


def runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Where (from, to) all flags are set without a gap."""
    begin: int | None = None
    for position, flag in enumerate((*flags, False)):
        if flag and begin is None:
            begin = position
        elif not flag and begin is not None:
            yield begin, position
            begin = None
