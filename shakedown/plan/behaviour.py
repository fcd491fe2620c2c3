"""How a plan says what is expected of the system's behaviour under faults, and where that can be seen.

Under `stages.faults`: `core`, `calls`, `breakers`. In an experiment's `expect`: `core`, `breaker`, `longest`,
`amplification`, `herd`, `cascade`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.faults import FaultModel
from shakedown.plan.services import VendorService
from shakedown.plan.stubs import ARRIVALS
from shakedown.plan.values import Duration, Name, Share

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = [
    "BehaviourExpect", "BehaviourStage", "BreakerExpect", "BreakerSource", "CallSource", "Core", "HerdExpect", "StormExpect",
    "call_sources", "scraped_series", "split_series", "victims_of",
]  # fmt: skip

_SERIES = re.compile(
    r"(?P<service>[A-Za-z][A-Za-z0-9_-]*)\.(?P<name>[A-Za-z_:][\w:]*)"
    r'(?P<labels>\{\s*[A-Za-z_]\w*="[^"]*"(?:\s*,\s*[A-Za-z_]\w*="[^"]*")*\s*\})?'
)


def _a_series(text: str) -> str:
    if not _SERIES.fullmatch(text):
        raise ValueError(f'`{text}` is no series; write worker.calls_total or worker.calls_total{{dependency="llm"}}')
    return text


Series = Annotated[
    str,
    AfterValidator(_a_series),
    Field(description='a sampled series: `service.name` or `service.name{label="value"}`'),
]


def split_series(text: str) -> tuple[str, str]:
    """Service and series, the labels with the series."""
    service, _, series = text.partition(".")
    return service, series


def _as_calls(value: object) -> object:
    """A plain series is what counts the calls; several are added up."""
    if isinstance(value, str):
        return {"count": [value]}
    if isinstance(value, list):
        return {"count": value}
    if isinstance(value, dict) and isinstance(value.get("count"), str):
        return {**value, "count": [value["count"]]}
    return value


class CallSource(PlanModel):
    """What counts the calls at a dependency."""

    count: list[Series] = Field(
        min_length=1, description="counters of calls, of the dependency itself or of its callers; several are added up"
    )
    at_once: Series | None = Field(
        default=None, description="a gauge of the calls that are there at once, or of their peak"
    )
    per: list[Name] = Field(default=[], description="requests of the load that lead to calls; default: all")


class BreakerSource(PlanModel):
    """The metrics of a caller that tell what its circuit breaker does; exactly one of state, opened."""

    state: Series | None = Field(default=None, description="a gauge of the state")
    opened: Series | None = Field(default=None, description="a counter of how often it opened")
    open: float = Field(default=2.0, description="the value of `state` that means open")
    half_open: float | None = Field(
        default=1.0, description="the value of `state` that means half-open; null: there is none"
    )
    closed: float = Field(default=0.0, description="the value of `state` that means closed")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.state is None) == (self.opened is None):
            raise ValueError("a breaker is told by exactly one of state, opened")
        if len({self.open, self.half_open, self.closed}) < 3:
            raise ValueError("`open`, `half_open` and `closed` are three different values")
        return self

    @property
    def names(self) -> dict[float, str]:
        """What the values of `state` mean."""
        half = {} if self.half_open is None else {self.half_open: "half-open"}
        return {self.open: "open", self.closed: "closed", **half}


class Core(PlanModel):
    """Functions that must keep working during each fault; a plain list is `requests`."""

    requests: list[Name] = Field(default=[], description="names of requests of the stage's load")
    share: Share = Field(
        default=0.99,
        gt=0,
        le=1,
        description="of these requests that must be served while the fault holds, degraded or not",
    )
    within: Duration | None = Field(default=None, gt=0, description="the p95 that they may have meanwhile")


def _as_core(value: object) -> object:
    return {"requests": value} if isinstance(value, list) else value


_OF = (
    "dependencies whose calls are counted; default: those that the faults disturb, or all if they disturb none of them"
)


class BreakerExpect(PlanModel):
    """A circuit must open, let single calls through, and close again; a plain name is `of`."""

    of: Name = Field(description="the dependency that is called through it")
    opens_within: Duration = Field(default=5.0, gt=0, description="after the injection")
    closes_within: Duration | None = Field(
        default=None, gt=0, description="after the revert; default: `recover_within`"
    )


def _as_breaker(value: object) -> object:
    return {"of": value} if isinstance(value, str) else value


class StormExpect(PlanModel):
    """How many calls there may be for each request of a client; a plain number is `most`."""

    most: float = Field(default=2.0, ge=1, le=1e6, description="times the usual calls for each request")
    of: list[Name] = Field(default=[], description=_OF)


class HerdExpect(PlanModel):
    """How much more than usual may come in the first seconds after the revert; a plain number is `most`."""

    most: float = Field(default=3.0, gt=1, le=1e6, description="times the usual rate of calls, over three samples")
    of: list[Name] = Field(default=[], description=_OF)
    at_once: float | None = Field(default=None, gt=0, description="calls at once; needs `at_once` under `calls`")


def _as_most(value: object) -> object:
    return {"most": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class BehaviourExpect(PlanModel):
    """What an experiment expects of the system's behaviour."""

    core: Annotated[Core | None, BeforeValidator(_as_core)] = Field(
        default=None, description="core functions in this experiment, instead of the stage's; []: none need work"
    )
    breaker: Annotated[BreakerExpect | None, BeforeValidator(_as_breaker)] = Field(
        default=None, description="a circuit breaker that must open and close"
    )
    longest: Duration | None = Field(
        default=None, gt=0, description="no client may wait longer than this, from the actual send to the end"
    )
    amplification: Annotated[StormExpect | None, BeforeValidator(_as_most)] = Field(
        default=None, description="how many calls at a dependency there may be for each request of a client"
    )
    herd: Annotated[HerdExpect | None, BeforeValidator(_as_most)] = Field(
        default=None, description="how much more than usual may come right after the revert"
    )
    cascade: list[Name] = Field(
        default=[], description="services that may fall although they depend on nothing disturbed"
    )


Sources = dict[Name, Annotated[CallSource, BeforeValidator(_as_calls)]]


class BehaviourStage(PlanModel):
    """Where the system's behaviour under faults can be seen, and which functions must keep working."""

    core: Annotated[Core, BeforeValidator(_as_core)] = Field(
        default=Core(), description="functions that must keep working during each fault"
    )
    calls: Sources = Field(default={}, description="by dependency, what counts the calls at it")
    breakers: dict[Name, BreakerSource] = Field(
        default={}, description="by dependency, the metrics of the breaker that it is called through"
    )


def call_sources(plan: "Plan") -> dict[str, CallSource]:
    """By dependency, what counts the calls at it: as the plan says, and what stubs and proxies of ours count themselves."""
    stage = plan.stages.faults
    own = {
        name: CallSource(count=[f"{name}.{ARRIVALS}"])
        for name, service in plan.services.items()
        if isinstance(service, VendorService)
        and service.metrics is not None
        and service.metrics.prometheus.endswith("/-/metrics")
    }
    return {**own, **(stage.calls if stage is not None else {})}


def _series_of(plan: "Plan") -> Iterator[str]:
    stage = plan.stages.faults
    if stage is None:
        return
    for source in call_sources(plan).values():
        yield from source.count
        if source.at_once is not None:
            yield source.at_once
    for breaker in stage.breakers.values():
        yield from (one for one in (breaker.state, breaker.opened) if one is not None)


def scraped_series(plan: "Plan", service: str) -> frozenset[str]:
    """What must be scraped of a service so that its behaviour can be seen, besides what the plan lists."""
    own = plan.services[service].probes
    return frozenset(
        series for name, series in map(split_series, _series_of(plan)) if name == service and series not in own
    )


def victims_of(plan: "Plan", faults: Iterable[FaultModel]) -> frozenset[str] | None:
    """The services that faults act on; None when one of them does not say (a script, the whole machine)."""
    found: set[str] = set()
    for fault in faults:
        named = {claim.partition(":")[0] for claim in fault.claims()} | {str(getattr(fault, "target", ""))}
        known = named & set(plan.services)
        if not known:
            return None
        found |= known
    return frozenset(found)
