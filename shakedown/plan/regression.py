"""What a run's figures are compared with, and what a regression means for its verdict."""

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from shakedown.plan.base import PlanModel
from shakedown.plan.covers import Covers
from shakedown.plan.values import Share

__all__ = ["DEFAULT_FIGURES", "FIGURE_METRICS", "LOAD_FIGURES", "Regression"]

LOAD_FIGURES = ("p50", "p95", "p99", "error_rate", "throughput")
FIGURE_METRICS = (*LOAD_FIGURES, "seconds", "memory", "recovery")
_STAGES = ("baseline", "stress", "endurance", "faults")
DEFAULT_FIGURES = ("baseline.*.p50", "baseline.*.p95", "baseline.*.error_rate", "stress.*.p50", "stress.*.p95", "stress.*.p99",
                   "stress.*.error_rate", "faults.*.recovery")  # fmt: skip


def _figure(text: str) -> str:
    """A figure's name, in which `*` stands for anything."""
    stage, _, rest = text.partition(".")
    subject, _, metric = rest.rpartition(".")
    if not (stage and subject and metric):
        raise ValueError(
            f"`{text}` is not a figure; write stage.subject.metric, such as stress.send.p95 or stress.*.p95"
        )
    if not any(fnmatchcase(one, stage) for one in _STAGES):
        raise ValueError(f"`{stage}` is no stage that has figures; allowed: {', '.join(_STAGES)}")
    if not any(fnmatchcase(one, metric) for one in FIGURE_METRICS):
        raise ValueError(f"`{metric}` is no figure's metric; allowed: {', '.join(FIGURE_METRICS)}")
    return text


def _instant(value: object) -> object:
    """A date, or a date and time; without a zone it is UTC."""
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"`{value}` is not a date; write 2026-03-01 or 2026-03-01T12:00:00+00:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


class Regression(PlanModel):
    """The comparison of a run with the runs before it."""

    figures: list[Annotated[str, AfterValidator(_figure)]] = Field(
        default=list(DEFAULT_FIGURES),
        description="figures to compare, as stage.subject.metric; `*` stands for anything; empty: none",
        max_length=100,
    )
    fail: bool = Field(default=False, description="a confirmed regression fails the run; otherwise it is a note")
    effect: Share = Field(
        default=0.05, gt=0, le=1,
        description="the least change that matters, of latencies and throughput; p99 has 10 % of its own",
    )  # fmt: skip
    since: Annotated[str, BeforeValidator(_instant)] | None = Field(
        default=None,
        description="a date: only runs that began then or later are compared with; UTC when it has no zone",
    )
    covers: Covers = []
