"""What the proxy counted of an HTTP fault, and whether that is what was asked for. Pure."""

from dataclasses import dataclass
from typing import Any, Self

from shakedown.faults.network.shares import Counted
from shakedown.plan.faults.http import OnRequests

__all__ = ["RequestCounts"]

ENOUGH = 0.8  # of what was asked
FIT = 0.5  # of the chosen answers must have something to disturb
SPOKEN = {
    "TLS": "spoke TLS, in which this fault sees no requests",
    "HTTP/2": "spoke HTTP/2, which this fault does not read",
    "no HTTP": "spoke no HTTP",
}


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Counters of one fault.

    Attributes:
        requests: seen while it lasted.
        matched: those that its plan describes.
        due: of the matched ones, those that its choice falls on; None where lots decide.
        disturbed: whose answer was disturbed, or is being.
        unfit: chosen, but with nothing to disturb: why, and how many.
        told: what the clients of matching requests got, and how many.
        kinds: method and path, and how many.
        odd: what connections spoke that was no HTTP/1, and how many.
        gave_up: clients that went away while they waited.
        waits, wait: pauses made, and their mean length (s).
    """

    plan: OnRequests
    requests: int
    matched: int
    disturbed: int
    unfit: dict[str, int]
    told: dict[str, int]
    kinds: dict[str, int]
    odd: dict[str, int]
    gave_up: int
    waits: int
    wait: float

    @classmethod
    def of(cls, stats: dict[str, Any], plan: OnRequests) -> Self:
        """From the agent's answer."""
        names = ("requests", "matched", "disturbed", "unfit", "told", "kinds", "odd", "gave_up", "waits", "wait")
        return cls(plan, *(stats[name] for name in names))

    @property
    def due(self) -> int | None:
        """Of the matched ones, those that the choice falls on; None where lots decide."""
        if self.plan.first is not None:
            return min(self.matched, self.plan.first)
        if self.plan.every is not None:
            return self.matched // self.plan.every
        return self.matched if self.plan.share >= 1 else None

    @property
    def asked(self) -> float:
        """The share of the matched ones, or how many of the first."""
        if self.plan.first is not None:
            return self.plan.first
        return 1 / self.plan.every if self.plan.every is not None else self.plan.share

    @property
    def measured(self) -> float | None:
        """As `asked`; None while none matched."""
        if self.plan.first is not None:
            return self.disturbed
        return self.disturbed / self.matched if self.matched else None

    @property
    def unit(self) -> str:
        """Of both."""
        return "requests" if self.plan.first is not None else "%"

    def problem(self) -> str | None:
        """Why the effect is not proved; None when it is."""
        if not self.requests:
            return "no request came"
        if not self.matched:
            return "no request matched"
        if self.plan.first is not None and self.matched < ENOUGH * self.plan.first:
            return f"fewer requests matched than the first {self.plan.first}"
        if self.due is None:
            counted = Counted(self.matched, self.disturbed + sum(self.unfit.values()))
            if not self.disturbed:
                return "no answer was disturbed"
            if counted.enough(self.plan.share) and not counted.agrees(self.plan.share):
                return "another share than was asked for"
        elif not self.due:
            return "none of those that matched was due"
        chosen = self.due if self.due is not None else self.disturbed + sum(self.unfit.values())
        fit = chosen - sum(self.unfit.values())
        if self.disturbed < max(ENOUGH * fit, FIT * chosen):
            return "answers were not disturbed that should have been"
        return None

    def words(self) -> str:
        """`72 of 240 requests matched POST /pay, 72 disturbed, 168 passed (clients were told 503: 72)`."""
        which = f" {self.plan.chosen}" if self.plan.chosen else ""
        text = f"{self.matched} of {self.requests} requests matched{which}"
        if self.matched:
            text += f", {self.disturbed} disturbed, {self.requests - self.disturbed} passed"
        if self.told:
            text += f" (clients were told {_listed(self.told)})"
        if self.unfit:
            text += f"; chosen, but nothing to disturb: {_listed(self.unfit)}"
        if self.gave_up:
            text += f"; {self.gave_up} clients gave up waiting"
        if self.requests > self.matched:
            text += f"; seen: {_listed(self.kinds)}"
        for word, number in self.odd.items():
            text += f"; {number} connections {SPOKEN.get(word, f'passed as bytes ({word})')}"
        return text


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in counts.items())
