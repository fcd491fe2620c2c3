"""What was injected, proved, reverted and seen."""

from dataclasses import dataclass

__all__ = ["ExperimentRecord", "Proof"]


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence that a fault is in effect, or that it is gone.

    Attributes:
        held: whether the evidence shows what it should.
        evidence: the measured facts, for the report.
    """

    held: bool
    evidence: str


@dataclass(slots=True)
class ExperimentRecord:
    """The life of one fault. A time is None when that point was never reached."""

    name: str
    fault: str  # type
    target: str
    parameters: str  # for the report: "latency 200 ms"
    mechanism: str
    layers: tuple[str, ...]  # what guards it: "journal", "watchdog", "agent deadline", "kernel deadline"
    asked_at: float | None = None
    applied_at: float | None = None  # the injection was done (known to milliseconds)
    proved_at: float | None = None
    revert_asked_at: float | None = None
    reverted_at: float | None = None  # the revert was done
    gone_at: float | None = None  # absence proved
    effect: Proof | None = None
    gone: Proof | None = None
    refused: str | None = None  # the ground forbade it
    error: str | None = None
    watched_until: float | None = None  # how long recovery was watched
