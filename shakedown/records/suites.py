"""Outcomes of tests."""

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["CUT_SHORT", "SuiteResult", "TestOutcome", "TestStatus"]

CUT_SHORT = "cut short: "  # so begins the problem of an execution that a test of its own ended, by a crash or a hang


class TestStatus(StrEnum):
    """How one test ended."""

    __test__ = False  # not a test class, whatever its name
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"

    @property
    def bad(self) -> bool:
        """Whether it failed, in whatever way."""
        return self not in (TestStatus.PASSED, TestStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One test in one repetition."""

    __test__ = False
    test: str  # the unmodified node id
    status: TestStatus
    duration: float
    message: str = ""  # first line of the failure
    traceback: str = ""


@dataclass(slots=True)
class SuiteResult:
    """One execution of a suite."""

    suite: str  # the label that thresholds use
    stage: str
    repetition: int  # 1-based
    start: float
    end: float
    workers: int
    exit_code: int | None  # None: killed (time-out, interrupted)
    outcomes: list[TestOutcome] = field(default_factory=list)
    peak_memory: int = 0  # bytes, of the whole process tree
    problem: str | None = None  # why it could not be judged: no test ran, collection failed, a test cut it short
    skipped: str | None = None  # why it was not run at all
    command: str = ""  # repeats it
    order: int | None = None  # the seed of the tests' order, when it was shuffled
