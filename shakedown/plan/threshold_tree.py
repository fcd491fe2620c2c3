"""A threshold as a tree: comparisons, joined, over windows, each request by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from shakedown.plan.threshold_values import LOAD_METRICS

__all__ = [
    "AllOf",
    "AnyOf",
    "Comparison",
    "EachRequest",
    "Expression",
    "Threshold",
    "Windowed",
    "comparisons_of",
    "nodes_of",
]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric beside its limit, understood as far as the text goes; what its subject is, references decide.

    Attributes:
        column: where in the threshold it begins, counted from 1.
        subject: the label of a load or suite, a service, or `host`.
        request: one request of a load, or None.
        tags: only the requests of the load that carry all of these.
        aggregate: of a sampled series or of `start_lag`, or None.
        limit: in the unit's base: seconds, bytes, a fraction, a number; beside a factor, what is added to the product.
        unit: as the value was written: "s", "B", "%", "/s" or "" (a plain number).
        factor: of what the baseline measured, or None.
    """

    text: str
    column: int
    subject: str
    request: str | None
    tags: tuple[tuple[str, str], ...]
    metric: str
    aggregate: str | None
    op: str
    limit: float
    unit: str
    factor: float | None = None

    def of_load(self) -> "Comparison":
        """The same, read for a load: beside the baseline alone, `send.one.max` and `api.queue_depth.max` look alike."""
        if self.factor is None or self.aggregate not in LOAD_METRICS or self.metric in LOAD_METRICS:
            return self
        return replace(self, request=self.metric, metric=self.aggregate, aggregate=None, unit="s")


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part must hold."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part must hold."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Windowed:
    """Something judged in windows of whole seconds.

    Attributes:
        kind: `over`: in each whole window; `within`: in each window, whole or cut by an end of the load; `for`: broken
            when each single second of such a stretch breaks it.
    """

    inner: "Expression"
    kind: Literal["over", "within", "for"]
    seconds: int


@dataclass(frozen=True, slots=True)
class EachRequest:
    """Something judged for each request of a load by itself."""

    inner: "Expression"


Expression = Comparison | AllOf | AnyOf | Windowed | EachRequest


def comparisons_of(expression: Expression) -> Iterator[Comparison]:
    """Every comparison, in the order of the text."""
    if isinstance(expression, Comparison):
        yield expression
    elif isinstance(expression, AllOf | AnyOf):
        for part in expression.parts:
            yield from comparisons_of(part)
    else:
        yield from comparisons_of(expression.inner)


def nodes_of(expression: Expression) -> Iterator[Expression]:
    """The expression and everything inside it."""
    yield expression
    if isinstance(expression, AllOf | AnyOf):
        for part in expression.parts:
            yield from nodes_of(part)
    elif isinstance(expression, Windowed | EachRequest):
        yield from nodes_of(expression.inner)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A whole threshold. `subject`, `metric` and their like are those of its first comparison.

    Attributes:
        text: as the plan has it, with single blanks.
        abort: seconds of load after which a breach ends the load at once; None when it waits for the end.
    """

    text: str
    expression: Expression
    abort: float | None = None

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Every comparison, in the order of the text."""
        return tuple(comparisons_of(self.expression))

    @property
    def first(self) -> Comparison:
        """The first comparison."""
        return next(comparisons_of(self.expression))

    @property
    def subject(self) -> str:
        """What the first comparison is about."""
        return self.first.subject

    @property
    def request(self) -> str | None:
        """The first comparison's request."""
        return self.first.request

    @property
    def metric(self) -> str:
        """The first comparison's metric."""
        return self.first.metric

    @property
    def aggregate(self) -> str | None:
        """The first comparison's aggregate."""
        return self.first.aggregate

    @property
    def op(self) -> str:
        """The first comparison's operator."""
        return self.first.op

    @property
    def limit(self) -> float:
        """The first comparison's limit."""
        return self.first.limit

    @property
    def unit(self) -> str:
        """The first comparison's unit."""
        return self.first.unit

    def judges(self) -> frozenset[str]:
        """The subjects that cannot go wrong unseen: behind an `or`, only those that every part speaks of."""
        return _judged(self.expression)


def _judged(expression: Expression) -> frozenset[str]:
    if isinstance(expression, Comparison):
        return frozenset((expression.subject,))
    if isinstance(expression, AllOf):
        return frozenset().union(*map(_judged, expression.parts))
    if isinstance(expression, AnyOf):
        first, *others = map(_judged, expression.parts)
        return first.intersection(*others)
    return _judged(expression.inner)
