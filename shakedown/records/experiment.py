"""What was injected, proved, reverted and seen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

__all__ = ["ExperimentRecord", "Injection", "Proof"]


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence that a fault is in effect, or that it is gone.

    Attributes:
        held: whether the evidence shows what it should.
        evidence: the measured facts, for the report.
        asked, measured: how strong the fault was to be and how strong it was, where that is a number; `unit` says of
            what (`s`, `B/s`, `keys`, …; of `%` both are fractions).
    """

    held: bool
    evidence: str
    asked: float | None = None
    measured: float | None = None
    unit: str = ""


@dataclass(slots=True)
class Injection:
    """The life of one fault. A time is None when that point was never reached."""

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


@dataclass(slots=True)
class ExperimentRecord:
    """One experiment: the faults that were injected, and how long recovery was watched.

    The times of the whole are those that matter to whoever is disturbed: the first injection, the last revert.

    Attributes:
        aborted: the condition that ended it early, in words.
        limit: what a staircase found: the last step that held and the first that did not, in words.
        held: how many steps of a staircase held, as seen while it climbed.
        broke: whether a step of a staircase broke what was expected; the last injection then.
    """

    name: str
    injections: list[Injection] = field(default_factory=list)
    watched_until: float | None = None
    aborted: str | None = None
    limit: str | None = None
    held: int = 0
    broke: bool = False

    @property
    def fault(self) -> str:
        """The types, each once."""
        return _words(injection.fault for injection in self.injections)

    @property
    def target(self) -> str:
        """What was disturbed; of several the first names the experiment."""
        return self.injections[0].target if self.injections else ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Everything that was disturbed, each once."""
        return tuple(dict.fromkeys(injection.target for injection in self.injections))

    @property
    def applied_at(self) -> float | None:
        """When the first fault was there."""
        return min((one.applied_at for one in self.injections if one.applied_at is not None), default=None)

    @property
    def asked_at(self) -> float | None:
        """When the first fault was asked for."""
        return min((one.asked_at for one in self.injections if one.asked_at is not None), default=None)

    @property
    def revert_asked_at(self) -> float | None:
        """When the revert of the last fault was asked for."""
        return max((one.revert_asked_at for one in self.injections if one.revert_asked_at is not None), default=None)

    @property
    def reverted_at(self) -> float | None:
        """When the last fault was reverted; None while one that was injected is not."""
        injected = [one for one in self.injections if one.applied_at is not None]
        times = [one.reverted_at for one in injected if one.reverted_at is not None]
        return max(times) if times and len(times) == len(injected) else None

    @property
    def refused(self) -> str | None:
        """Why a fault was not injected, when one was not."""
        return _first(self.injections, lambda one: one.refused)

    @property
    def error(self) -> str | None:
        """What went wrong with a fault."""
        return _first(self.injections, lambda one: one.error)

    @property
    def effect(self) -> Proof | None:
        """Proved when every fault's is."""
        return _all_of([one.effect for one in self.injections])

    @property
    def gone(self) -> Proof | None:
        """Proved when every fault's absence is."""
        return _all_of([one.gone for one in self.injections])


def _words(words: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(words))


def _first(injections: list[Injection], get: Callable[[Injection], str | None]) -> str | None:
    found = [(one, words) for one in injections if (words := get(one)) is not None]
    if not found:
        return None
    one, words = found[0]
    return words if len(injections) == 1 else f"{one.fault} on {one.target}: {words}"


def _all_of(proofs: list[Proof | None]) -> Proof | None:
    """One proof for several; None while there is none for one of them."""
    known = [proof for proof in proofs if proof is not None]
    if not known or len(known) < len(proofs):
        return None
    wrong = next((proof for proof in known if not proof.held), None)
    return wrong or (known[0] if len(known) == 1 else Proof(held=True, evidence=_words(one.evidence for one in known)))
