"""Verdicts, and how several become one."""

from collections.abc import Iterable
from enum import StrEnum

from shakedown.errors import ExitCode

__all__ = ["Verdict", "combine", "exit_code"]


class Verdict(StrEnum):
    """What a check, a stage or a run concluded.

    `inconclusive` means that it could not be measured honestly: too few samples, rate not held, generator starved,
    fault without effect. `error` is our fault or the plan's. Nothing that was not measured ever passes.
    """

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    ERROR = "error"

    @property
    def symbol(self) -> str:
        """A one-character mark that needs no colour to be told apart."""
        return {"passed": "✓", "failed": "✗", "inconclusive": "?", "skipped": "-", "error": "!"}[self.value]


# A breach that was measured is the strongest statement; after it, whatever kept us from measuring.
_WEIGHT = {Verdict.PASSED: 0, Verdict.SKIPPED: 1, Verdict.INCONCLUSIVE: 2, Verdict.ERROR: 3, Verdict.FAILED: 4}


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a whole from those of its parts.

    The order is failed, error, inconclusive, then passed if anything passed; parts that were skipped do not spoil a
    pass. All skipped is skipped; nothing at all is inconclusive, because nothing was measured.
    """
    parts = list(verdicts)
    if not parts:
        return Verdict.INCONCLUSIVE
    worst = max(parts, key=_WEIGHT.__getitem__)
    if worst is Verdict.SKIPPED and Verdict.PASSED in parts:
        return Verdict.PASSED
    return worst


def exit_code(verdict: Verdict, *, allow_inconclusive: bool = False) -> ExitCode:
    """The exit code of a run with this verdict."""
    if verdict is Verdict.PASSED:
        return ExitCode.PASSED
    if verdict is Verdict.FAILED:
        return ExitCode.FAILED
    if verdict is Verdict.ERROR:
        return ExitCode.COULD_NOT_RUN
    return ExitCode.PASSED if allow_inconclusive else ExitCode.INCONCLUSIVE
