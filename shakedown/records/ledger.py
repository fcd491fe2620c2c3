"""What was written, and whether it was found again."""

from dataclasses import dataclass, field
from enum import StrEnum

from shakedown.verdict import Verdict

__all__ = ["Acknowledgement", "LedgerEntry", "LedgerFault", "LedgerNote", "LedgerResult"]


class Acknowledgement(StrEnum):
    """What the client was told of its write."""

    ACKNOWLEDGED = "acknowledged"  # the checks held: it must be found, once
    REFUSED = "refused"  # a clear refusal (an answer that failed the checks, or never sent): need not be found
    UNKNOWN = "unknown"  # time-out or cut off after sending: either is right


@dataclass(frozen=True, slots=True)
class LedgerNote:
    """What is noted of a write before it is sent.

    Attributes:
        digest: of its value; empty when the plan declares none.
        group: writes of one group are stored in the order in which they were acknowledged; empty: of none.
        removes: it takes the key away.
    """

    key: str
    digest: str = ""
    group: str = ""
    removes: bool = False


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One write, and what came of it; `ended_at` of an unknown one that never ended is when it was sent."""

    key: str
    sent_at: float
    ended_at: float
    outcome: Acknowledgement
    digest: str = ""
    group: str = ""
    removes: bool = False


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """One key that is not as it should be.

    Attributes:
        kind: lost, duplicated, corrupted, phantom, resurrected, out_of_order or unwanted.
        sent_at: seconds since the run began; of a phantom, when it was seen.
        moment: where that lies among the faults: `3.2 s into redis killed`.
    """

    key: str
    kind: str
    sent_at: float
    detail: str
    moment: str = ""


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
    corrupted: int = 0
    phantom: int = 0
    resurrected: int = 0
    out_of_order: int = 0
    unwanted: int = 0
    removed: int = 0  # keys that were taken away, and the removal acknowledged
    rounds: int = 1  # how often it was read until it was as it should be, or the time was up
    file: str = ""  # where all faults stand, in the run's folder
    verdict: Verdict | None = None  # by the plan's limits; kinds of which a threshold speaks are judged by that

    def count(self, kind: str) -> int:
        """How many keys are so, by the kind's name."""
        found: int = getattr(self, kind)
        return found
