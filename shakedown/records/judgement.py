"""What was concluded."""

from dataclasses import dataclass
from enum import StrEnum

from shakedown.verdict import Verdict

__all__ = ["Finding", "Severity", "ThresholdResult"]


class Severity(StrEnum):
    """How much a finding weighs: a `failure` fails its stage, a `doubt` makes it inconclusive, a `note` changes nothing."""

    FAILURE = "failure"
    DOUBT = "doubt"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """One threshold, judged."""

    text: str  # as the plan has it
    verdict: Verdict
    actual: float | None  # in the limit's unit base: seconds, bytes, fraction or a plain number
    limit: float
    unit: str  # "s", "B", "%", "/s" or ""
    samples: int
    reason: str = ""  # why inconclusive


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader must know, with its evidence."""

    severity: Severity
    title: str  # "12 acknowledged messages were lost"
    cause: str = ""  # the likeliest cause
    evidence: tuple[str, ...] = ()
    recommendation: str = ""
    subject: str = ""  # experiment, service, scenario or test
