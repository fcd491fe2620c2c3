"""summary.md: the run on one screen, for the summary of a CI step; no image, a timeline in Mermaid where that is rendered."""

import re

from shakedown.reports.amounts import sparkline
from shakedown.reports.model import Report
from shakedown.reports.series import load_series
from shakedown.reports.text import one_line
from shakedown.verdict import Verdict

__all__ = ["mermaid", "sparklines"]

WIDTH = 40
LONGEST = 40
SHORTEST = 1.0  # second: what can be seen


def mermaid(report: Report) -> str:
    """A Gantt chart of stages and faults, in Mermaid's language; empty when nothing began."""
    lines = [
        _bar(_word(stage.name), stage.start, stage.end or report.end, stage.verdict)
        for stage in report.stages
        if stage.start is not None
    ]
    if not lines:
        return ""
    # With its number, as in the other charts, a name cannot be taken for a word of Mermaid's ("section", "click", …).
    faults = [
        _bar(
            f"{number} {_word(info.record.name)}",
            info.record.applied_at,
            info.record.reverted_at or report.end,
            info.verdict,
        )
        for number, info in enumerate(report.experiments, 1)
        if info.record.applied_at is not None
    ]
    # Milliseconds, as Mermaid takes beginnings in seconds for such; and seconds since the run began on the axis, as it would
    # show hours and minutes in the viewer's own time zone.
    lines = ["gantt", "  dateFormat x", "  axisFormat %s s", "  section stages", *lines]
    return "\n".join([*lines, "  section faults", *faults] if faults else lines)


def _bar(words: str, start: float, end: float, verdict: Verdict | None) -> str:
    mark = "" if verdict in (Verdict.PASSED, None) else "crit, "
    return f"  {words} :{mark}{start * 1e3:.0f}, {max(end, start + SHORTEST) * 1e3:.0f}"


def _word(name: str) -> str:
    """A name in which what means something to Mermaid stands as the number of its character."""
    return re.sub(r"[^\w .-]", lambda found: f"#{ord(found[0])};", one_line(name, LONGEST)) or "unnamed"


def sparklines(report: Report) -> list[tuple[str, str, float, float]]:
    """By load: its slowest answer second by second as a line of bars, with the least and the greatest, in ms."""
    found = []
    for name, lines in load_series(report).items():
        points = lines["slowest"]
        if points:
            size = -(-len(points) // WIDTH)
            values = [max(value for _, value in points[at : at + size]) for at in range(0, len(points), size)]
            low, high = min(values), max(values)
            found.append((name, sparkline(values), low, high))
    return found
