"""A comparison, judged; and several as one.

Kleene's strong logic: `failed` < `inconclusive` < `passed`; *and* is the least, *or* the greatest of its parts. It holds
to the rule that nothing that was not measured ever passes: whatever an inconclusive part would have turned out to be, a
verdict of passed or failed would have been the same.

    and           passed        inconclusive  failed         or            passed        inconclusive  failed
    passed        passed        inconclusive  failed         passed        passed        passed        passed
    inconclusive  inconclusive  inconclusive  failed         inconclusive  passed        inconclusive  inconclusive
    failed        failed        failed        failed         failed        passed        inconclusive  failed
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shakedown.analysis.measures import Measured
from shakedown.plan.thresholds import Comparison
from shakedown.units import format_duration, format_number, format_share, format_size
from shakedown.verdict import Verdict

__all__ = ["LISTED", "Judged", "all_of", "any_of", "best", "compare", "decisive", "join", "shown", "worst"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda actual, limit: actual < limit,
    "<=": lambda actual, limit: actual <= limit,
    ">": lambda actual, limit: actual > limit,
    ">=": lambda actual, limit: actual >= limit,
    "==": lambda actual, limit: actual == limit,
}
_RANK = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}
LISTED = 5


def shown(value: float | None, unit: str) -> str:
    """A value in its unit, for people."""
    if value is None:
        return "nothing"
    shape = {"s": format_duration, "B": format_size, "%": format_share}.get(unit)
    return shape(value) if shape is not None else f"{format_number(value)}{unit}"


@dataclass(frozen=True, slots=True)
class Judged:
    """An expression's verdict, and the comparison that decided it.

    Attributes:
        why: what a reader must know beside value and limit; whether it passed or not.
        request: of which request it speaks, where each is judged by itself.
    """

    verdict: Verdict
    comparison: Comparison
    actual: float | None
    limit: float
    samples: int
    why: str = ""
    request: str | None = None

    def excess(self) -> float:
        """How far the value lies beyond its limit, in limits; negative while it holds."""
        if self.actual is None:
            return float("-inf")
        beyond = self.actual - self.limit
        if self.comparison.op in (">", ">="):
            beyond = -beyond
        elif self.comparison.op == "==":
            beyond = abs(beyond)
        return beyond / (abs(self.limit) or 1.0)


def worst(judged: Sequence[Judged]) -> Judged:
    """The one that lies farthest beyond its limit."""
    return max(judged, key=Judged.excess)


def all_of(judged: Sequence[Judged]) -> Verdict:
    """The verdict on all of them together: the least."""
    return min((item.verdict for item in judged), key=_RANK.__getitem__)


def any_of(judged: Sequence[Judged]) -> Verdict:
    """The verdict on any of them being enough: the greatest."""
    return max((item.verdict for item in judged), key=_RANK.__getitem__)


def best(judged: Sequence[Judged]) -> Judged:
    """The second that saves a stretch, or comes nearest to it."""
    verdict = any_of(judged)
    return min((item for item in judged if item.verdict is verdict), key=Judged.excess)


def join(*parts: str) -> str:
    """Those of the sentences that say something, as one."""
    return ": ".join(part for part in parts if part)


def compare(op: str, measured: Measured, limit: float) -> tuple[Verdict, str]:
    """The verdict on a value, and the doubt that it rests on."""
    value = measured.value
    if value is None or measured.doubt:
        return Verdict.INCONCLUSIVE, measured.doubt or "nothing was measured"
    holds = _OPERATORS[op](value, limit)
    if measured.at_most:
        known = holds if op in ("<", "<=") else not holds if op in (">", ">=") else value < limit
        if not known:
            return (
                Verdict.INCONCLUSIVE,
                "counted over the whole load: how much of it fell into this window is not known",
            )
    if not holds:
        return Verdict.FAILED, measured.weak
    return (Verdict.INCONCLUSIVE, measured.weak) if measured.weak else (Verdict.PASSED, "")


def decisive(parts: Sequence[Judged], verdict: Verdict) -> Judged:
    """Of several comparisons the one that decided; with what it said, and which others said the same."""
    alike = [part for part in parts if part.verdict is verdict]
    chosen = alike[0]
    if verdict is Verdict.INCONCLUSIVE:
        words = [f"`{part.comparison.text}`" + (f": {part.why}" if part.why else "") for part in alike]
    else:
        words = [
            f"`{part.comparison.text}`: {shown(part.actual, part.comparison.unit)}"
            + (f" ({part.why})" if part.why else "")
            for part in alike
        ]
    return replace(chosen, verdict=verdict, why=", ".join(words[:LISTED]))
