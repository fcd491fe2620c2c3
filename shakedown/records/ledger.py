"""What was written, and whether it was found again."""

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Acknowledgement", "LedgerEntry", "LedgerFault", "LedgerResult"]


class Acknowledgement(StrEnum):
    """What the client was told of its write."""

    ACKNOWLEDGED = "acknowledged"  # the checks held: it must be found, once
    REFUSED = "refused"  # a clear refusal (an answer that failed the checks, or never sent): need not be found
    UNKNOWN = "unknown"  # time-out or cut off after sending: either is right


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One write."""

    key: str
    sent_at: float
    ended_at: float
    outcome: Acknowledgement


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """One key that is not as it should be."""

    key: str
    kind: str  # "lost" or "duplicated"
    sent_at: float
    detail: str


@dataclass(slots=True)
class LedgerResult:
    """One ledger, read back."""

    ledger: str
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    checked: int = 0  # keys read back
    unreadable: int = 0  # keys whose read itself failed: not judged, so the ledger is inconclusive
    unknown_found: int = 0
    lost: int = 0
    duplicated: int = 0
    faults: list[LedgerFault] = field(default_factory=list)  # the first hundred
    start: float = 0.0
    end: float = 0.0
    problem: str | None = None  # why it could not be judged
