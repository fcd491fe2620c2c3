"""summary.md: the run on one screen, for the summary of a CI step; no image, a timeline in Mermaid where that is rendered."""

import re

from shakedown.reports.amounts import sparkline
from shakedown.reports.model import Report
from shakedown.reports.series import load_series
from shakedown.verdict import Verdict

__all__ = ["mermaid", "sparklines"]

WIDTH = 40
LONGEST = 40


def mermaid(report: Report) -> str:
    """A Gantt chart of stages and faults, in Mermaid's language; empty when nothing began."""
    lines = [
        _bar(stage.name, stage.start, stage.end or report.end, stage.verdict)
        for stage in report.stages
        if stage.start is not None
    ]
    if not lines:
        return ""
    faults = [
        _bar(info.record.name, info.record.applied_at, info.record.reverted_at or report.end, info.verdict)
        for info in report.experiments
        if info.record.applied_at is not None
    ]
    lines = ["gantt", "  dateFormat X", "  axisFormat %H:%M:%S", "  section stages", *lines]
    return "\n".join([*lines, "  section faults", *faults] if faults else lines)


def _bar(name: str, start: float, end: float, verdict: Verdict | None) -> str:
    mark = "" if verdict in (Verdict.PASSED, None) else "crit, "
    first = round(start)
    return f"  {_word(name)} :{mark}{first}, {max(round(end), first + 1)}"


def _word(name: str) -> str:
    """A name without what means something to Mermaid."""
    return re.sub(r"[^\w .-]+", " ", name).strip()[:LONGEST] or "unnamed"


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
