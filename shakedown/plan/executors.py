"""Executors: when iterations start, and how many run at once.

======================  ======  ==================================================================
constant-arrival-rate   open    iterations start at an even (or Poisson) rate
ramping-arrival-rate    open    the rate goes linearly from stage to stage
burst                   open    N iterations at once, or spread over a short time
replay                  open    iterations start at recorded offsets
constant-vus            closed  N virtual users, each one iteration after another
ramping-vus             closed  the number of users goes linearly from stage to stage
shared-iterations       closed  N users share a number of iterations
per-vu-iterations       closed  each of N users does a number of iterations
======================  ======  ==================================================================

Open: iterations start on schedule whatever the system does. Closed: a user starts its next iteration when its last one
ended, so that a slow system slows the load down.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.values import Duration, Share

__all__ = [
    "Burst",
    "ClosedModel",
    "ConstantArrivalRate",
    "ConstantVus",
    "Executor",
    "OpenModel",
    "Pause",
    "PerVuIterations",
    "RampingArrivalRate",
    "RampingVus",
    "RateStage",
    "Replay",
    "SharedIterations",
    "ThinkTime",
    "VuStage",
]

BURST_WINDOW = 1.0


class ThinkTime(PlanModel):
    """A pause of a user; exactly one form. A plain duration is a constant one."""

    constant: Duration | None = None
    uniform: tuple[Duration, Duration] | None = None  # from, to
    exponential: Duration | None = None  # its mean

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(form is not None for form in (self.constant, self.uniform, self.exponential)) != 1:
            raise ValueError("a think time is a duration, or exactly one of constant, uniform, exponential")
        if self.uniform is not None and self.uniform[0] > self.uniform[1]:
            raise ValueError("a uniform think time goes from the shorter to the longer duration")
        return self


def _as_think_time(value: object) -> object:
    return value if isinstance(value, dict | ThinkTime) else {"constant": value}


Pause = Annotated[ThinkTime, BeforeValidator(_as_think_time)]


class _Executor(PlanModel):
    """What every executor has.

    Attributes:
        start_delay: idle time before the schedule begins.
        warm_up: what is due within this time of the schedule's begin is measured, but kept apart and never judged.
        graceful_stop: how long iterations under way may go on when the schedule has ended.
    """

    start_delay: Duration = 0.0
    warm_up: Duration = 0.0
    graceful_stop: Duration = 10.0

    @property
    def longest(self) -> float:
        """Seconds from the schedule's begin to its planned end."""
        raise NotImplementedError

    @property
    def most_vus(self) -> int:
        """Most iterations in flight at once."""
        raise NotImplementedError


class OpenModel(_Executor):
    """Arrivals on a schedule.

    Attributes:
        max_vus: most iterations in flight at once.
        overload: what becomes of an arrival that finds all of them busy: it waits (`queue`; its lag counts), waits
            unless `queue_limit` others do (`bounded`), or is dropped (`drop`). All of them are counted.
        may_drop: with `drop` and `bounded`, the share of the arrivals that may be dropped before the rate counts as not
            held: of a load that is meant to be more than the system can take.
        arrivals: evenly spaced, or at random with the same mean rate (a Poisson process).
    """

    max_vus: int = Field(default=200, gt=0)
    overload: Literal["queue", "bounded", "drop"] = "queue"
    queue_limit: int = Field(default=1000, gt=0)
    may_drop: Share = Field(default=0.0, ge=0, lt=1)
    arrivals: Literal["even", "poisson"] = "even"

    @model_validator(mode="after")
    def _drops_something(self) -> Self:
        if self.may_drop and self.overload == "queue":
            raise ValueError("`may_drop` goes with `overload: drop` or `overload: bounded`: a queue drops nothing")
        return self

    @property
    def most_vus(self) -> int:
        """Most iterations in flight at once."""
        return self.max_vus


class ConstantArrivalRate(OpenModel):
    """Open model: iterations start on schedule whatever the system does."""

    type: Literal["constant-arrival-rate"]
    rate: float = Field(gt=0)  # iterations per time_unit
    time_unit: Duration = Field(default=1.0, gt=0)
    duration: Duration = Field(gt=0)

    @property
    def longest(self) -> float:
        """Seconds from the schedule's begin to its planned end."""
        return self.duration


class RateStage(PlanModel):
    """The rate goes linearly to `target` within `duration`; in no time at all, it jumps."""

    target: float = Field(ge=0)  # iterations per time_unit
    duration: Duration


class RampingArrivalRate(OpenModel):
    """Open model whose rate changes."""

    type: Literal["ramping-arrival-rate"]
    start_rate: float = Field(default=0.0, ge=0)
    time_unit: Duration = Field(default=1.0, gt=0)
    stages: list[RateStage] = Field(min_length=1)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.longest <= 0:
            raise ValueError("the stages' durations must add up to more than nothing")
        rates = [self.start_rate, *(stage.target for stage in self.stages)]
        if not any(rates):
            raise ValueError("a rate of zero throughout sends nothing")
        return self

    @property
    def longest(self) -> float:
        """Seconds from the schedule's begin to its planned end."""
        return sum(stage.duration for stage in self.stages)


class Burst(OpenModel):
    """`count` iterations at once, or evenly within `duration`."""

    type: Literal["burst"]
    count: int = Field(gt=0)
    duration: Duration = 0.0
    max_vus: int = Field(default=1000, gt=0)

    @property
    def longest(self) -> float:
        """Seconds; a burst at once has a second to start in before its rate counts as not held."""
        return max(self.duration, BURST_WINDOW)


class Replay(OpenModel):
    """Iterations at recorded offsets.

    Attributes:
        file: one offset a line: seconds from the first, ascending; or JSON lines with the key `at`.
        speed: 2 plays it twice as fast.
        duration: seconds after which the replay is cut off, however long the recording is.
    """

    type: Literal["replay"]
    file: str
    speed: float = Field(default=1.0, gt=0)
    duration: Duration = Field(gt=0)

    @property
    def longest(self) -> float:
        """Seconds from the schedule's begin to its planned end."""
        return self.duration


class ClosedModel(_Executor):
    """Users that wait for their answers; `think_time` is what each waits between its iterations."""

    think_time: Pause = ThinkTime(constant=0.0)


class _FixedUsers(ClosedModel):
    """A number of users that stays the same.

    Attributes:
        duration: until the schedule ends; for users with a number of iterations, at most.
    """

    vus: int = Field(gt=0)
    duration: Duration = Field(default=600.0, gt=0)

    @property
    def longest(self) -> float:
        """Seconds from the schedule's begin to its latest end."""
        return self.duration

    @property
    def most_vus(self) -> int:
        """Most iterations in flight at once."""
        return self.vus


class ConstantVus(_FixedUsers):
    """Closed model: each VU starts its next iteration when the last one ended."""

    type: Literal["constant-vus"]
    duration: Duration = Field(gt=0)


class VuStage(PlanModel):
    """The number of users goes linearly to `target` within `duration`; in no time at all, it jumps."""

    target: int = Field(ge=0)
    duration: Duration


class RampingVus(ClosedModel):
    """Closed model whose number of users changes.

    Attributes:
        graceful_ramp_down: how long the iteration of a user that is taken away may go on.
    """

    type: Literal["ramping-vus"]
    start_vus: int = Field(default=0, ge=0)
    stages: list[VuStage] = Field(min_length=1)
    graceful_ramp_down: Duration = 10.0

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.longest <= 0:
            raise ValueError("the stages' durations must add up to more than nothing")
        if not self.most_vus:
            raise ValueError("no user at any time sends nothing")
        return self

    @property
    def longest(self) -> float:
        """Seconds from the schedule's begin to its planned end."""
        return sum(stage.duration for stage in self.stages)

    @property
    def most_vus(self) -> int:
        """Most iterations in flight at once."""
        return max(self.start_vus, *(stage.target for stage in self.stages))


class SharedIterations(_FixedUsers):
    """`vus` users share `iterations`; whoever is free takes the next one."""

    type: Literal["shared-iterations"]
    iterations: int = Field(gt=0)


class PerVuIterations(_FixedUsers):
    """Each of `vus` users does `iterations`."""

    type: Literal["per-vu-iterations"]
    iterations: int = Field(gt=0)  # of each user


Executor = Annotated[
    ConstantArrivalRate
    | RampingArrivalRate
    | Burst
    | Replay
    | ConstantVus
    | RampingVus
    | SharedIterations
    | PerVuIterations,
    Field(discriminator="type"),
]
