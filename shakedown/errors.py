"""Every error of Shakedown, and the exit code that each one ends a command with.

::

    ShakedownError                     exit 4
    ├── UsageError                     exit 2   a wrong option or argument
    ├── PlanError                      exit 2   one or more problems in a plan, each with its place
    ├── ServiceError                   exit 4   a service cannot be started or never got healthy
    │   └── EngineError                exit 4   no Docker engine, or it refused
    ├── GuardError                     exit 4   the journal cannot be written, an undo failed
    ├── FaultError                     exit 4   a fault cannot be injected, proved or reverted
    │   └── FaultRefusedError          exit 4   the ground forbids it: nothing was injected
    ├── LoadError                      exit 4   the load workers cannot be started or died
    ├── SuiteError                     exit 4   a test suite cannot be run at all
    ├── StoreError                     exit 4   the results cannot be written or read
    ├── ReportError                    exit 4   a report cannot be rendered
    └── Interrupted                    exit 130 the user, a signal or a cancellation stopped the run

A message says what is wrong, the value, and what is allowed; `hint` says what to do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "EngineError",
    "ExitCode",
    "FaultError",
    "FaultRefusedError",
    "GuardError",
    "Interrupted",
    "LoadError",
    "PlanError",
    "PlanProblem",
    "ReportError",
    "ServiceError",
    "ShakedownError",
    "StoreError",
    "SuiteError",
    "UsageError",
]


class ExitCode(IntEnum):
    """The exit codes that the commands promise."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    COULD_NOT_RUN = 4
    INTERRUPTED = 130


class ShakedownError(Exception):
    """The root: a problem that the user is told about without a traceback.

    Args:
        message: what is wrong, the value, what is allowed.
        hint: what to do about it.
        details: further lines, such as the last log lines of a service.
    """

    exit_code: ExitCode = ExitCode.COULD_NOT_RUN

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.details)]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class UsageError(ShakedownError):
    """A wrong option or argument."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One problem of a plan and where it stands.

    Attributes:
        message: what is wrong, the value, what is allowed.
        key: the key's path, such as `stages.stress.parallel.0.rate`; empty for the whole file.
        file: the plan's file as the user named it.
        line: 1-based line, or None when the problem has no place (an override, a missing file).
        column: 1-based column, or None.
        hint: what to do about it.
    """

    message: str
    key: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f":{self.line}:{self.column or 1}"
        head = ": ".join(part for part in (place, self.key, self.message) if part)
        return f"{head}\n  hint: {self.hint}" if self.hint else head


class PlanError(ShakedownError):
    """One or more problems in a plan, all that could be found at once."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[PlanProblem]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the plan")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([*(str(problem) for problem in self.problems), self.message])


class ServiceError(ShakedownError):
    """A service cannot be started or never got healthy."""


class EngineError(ServiceError):
    """No Docker engine answers, or it refused an operation."""


class GuardError(ShakedownError):
    """The intent journal cannot be written, or an undo failed."""


class FaultError(ShakedownError):
    """A fault cannot be injected, proved or reverted."""


class FaultRefusedError(FaultError):
    """The ground forbids the fault; nothing was injected."""


class LoadError(ShakedownError):
    """The load workers cannot be started, or died."""


class SuiteError(ShakedownError):
    """A test suite cannot be run at all (as opposed to: its tests failed)."""


class StoreError(ShakedownError):
    """The results cannot be written or read."""


class ReportError(ShakedownError):
    """A report cannot be rendered."""


class Interrupted(ShakedownError):  # noqa: N818 - like KeyboardInterrupt: an event, not a failure
    """The user, a signal or a cancellation stopped the run."""

    exit_code = ExitCode.INTERRUPTED
