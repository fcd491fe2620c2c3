"""Experiments: which faults, when, and what is expected of the system meanwhile."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.behaviour import BehaviourExpect
from shakedown.plan.covers import Covers
from shakedown.plan.faults import FaultModel, FaultPlan
from shakedown.plan.profiles import NEMESIS_RANGE
from shakedown.plan.values import Duration, Name, Share
from shakedown.plan.wishes import AlertText, HealthText

__all__ = [
    "EachDependency",
    "Expect",
    "Experiment",
    "FaultsTolerance",
    "Nemesis",
    "Repeat",
    "SequenceStep",
    "Staircase",
    "Weighted",
    "WorseLimits",
]

Path = tuple[str | int, ...]
_FAULT: TypeAdapter[FaultPlan] = TypeAdapter(FaultPlan)


class Expect(BehaviourExpect):
    """What must hold while a fault lasts, and after it."""

    during: list[str] = []  # thresholds over the fault's window
    after: list[str] = []  # thresholds over the window after recovery
    health: dict[str, HealthText] = {}  # what each service's health must say while the fault holds
    alerts: dict[str, AlertText] = {}  # what each alert must do


class SequenceStep(PlanModel):
    """One fault of a sequence."""

    fault: FaultPlan
    hold: Duration = Field(gt=0)
    pause: Duration = Field(default=0.0, ge=0)  # before the next one


class Repeat(PlanModel):
    """The same fault several times in quick succession, with no wait for recovery in between."""

    times: int = Field(gt=1, le=1000)
    pause: Duration = Field(default=1.0, ge=0)  # between two


class Staircase(PlanModel):
    """The same fault, harder each time, until a threshold of `expect.during` breaks."""

    parameter: Name  # of the fault
    values: list[str | int | float] = Field(min_length=2)  # mild to severe
    require: str | int | float | None = None  # the value that must still hold; default: the mildest

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if len(set(self.values)) < len(self.values):
            raise ValueError("each value is one step: no two may be the same")
        if self.require is not None and self.require not in self.values:
            raise ValueError(f"`require` is one of the values: {', '.join(map(str, self.values))}")
        return self

    @property
    def required(self) -> int:
        """How many steps must hold."""
        return self.values.index(self.require) + 1 if self.require is not None else 1


class Weighted(PlanModel):
    """A fault that a nemesis may choose, and how often beside the others."""

    fault: FaultPlan
    weight: float = Field(default=1.0, gt=0)


class Nemesis(PlanModel):
    """Faults at random, one at a time, from a generator with the run's seed."""

    faults: list[Weighted] = Field(min_length=1)
    duration: Duration = Field(gt=0)
    hold: tuple[Duration, Duration] = NEMESIS_RANGE  # how long each lasts: at least, at most
    quiet: tuple[Duration, Duration] = NEMESIS_RANGE  # without a fault between two: at least, at most

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, (low, high) in (("hold", self.hold), ("quiet", self.quiet)):
            if not 0 <= low <= high or high == 0:
                raise ValueError(f"`{name}` is a range: [1s, 5s]")
        if self.quiet[0] + self.hold[0] > self.duration:
            raise ValueError("`duration` is too short for one fault and the quiet before it")
        return self


class Experiment(PlanModel):
    """One fault or several, and what is expected of the system; exactly one of fault, faults, sequence, nemesis."""

    name: str
    fault: FaultPlan | None = None
    faults: list[FaultPlan] = []  # at the same time
    sequence: list[SequenceStep] = []
    nemesis: Nemesis | None = None
    repeat: Repeat | None = None
    staircase: Staircase | None = None
    hold: Duration | None = Field(default=None, gt=0)  # how long the fault lasts
    recover_within: Duration = Field(gt=0)
    expect: Expect = Expect()
    abort_if: list[str] = []  # `host.memory > 90%`: revert at once
    covers: Covers = []

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.fault is not None, bool(self.faults), bool(self.sequence), self.nemesis is not None]
        if sum(ways) != 1:
            raise ValueError("an experiment has exactly one of fault, faults, sequence, nemesis")
        if (self.hold is None) == (self.fault is not None or bool(self.faults)):
            raise ValueError(
                "`hold` says how long the fault lasts: a fault without an end is refused"
                if self.hold is None
                else "`hold` belongs to each step of a sequence, and to the nemesis itself"
            )
        if self.repeat is not None and self.fault is None and not self.faults:
            raise ValueError("`repeat` goes with `fault` or `faults`")
        if self.staircase is not None and (self.fault is None or self.repeat is not None):
            raise ValueError("`staircase` goes with one `fault`, and not with `repeat`")
        if self.staircase is not None and not self.expect.during:
            raise ValueError("`staircase` climbs until a threshold breaks: give it some in `expect.during`")
        return self

    @model_validator(mode="after")
    def _steps(self) -> Self:
        if self.staircase is not None and self.fault is not None:
            known = set(type(self.fault).model_fields) - {"type", "target"}
            if self.staircase.parameter not in known:
                raise ValueError(
                    f"{self.fault.type} has no parameter `{self.staircase.parameter}`; it has {', '.join(sorted(known))}"
                )
            try:
                self.stairs()
            except ValidationError as error:
                raise ValueError(f"staircase: {error.errors()[0]['msg']}") from None
        return self

    @property
    def longest(self) -> float:
        """Seconds from the first injection to the last revert, at most."""
        if self.nemesis is not None:
            return self.nemesis.duration
        if self.sequence:
            return sum(step.hold + step.pause for step in self.sequence) - self.sequence[-1].pause
        hold = self.hold or 0.0
        if self.repeat is not None:
            return self.repeat.times * hold + (self.repeat.times - 1) * self.repeat.pause
        return hold * (len(self.staircase.values) if self.staircase else 1)

    def stairs(self) -> list[FaultPlan]:
        """The faults of a staircase, mild to severe.

        Raises:
            ValidationError: a value is none that the fault takes.
        """
        if self.fault is None or self.staircase is None:
            return []
        fault = self.fault.model_dump()
        return [_FAULT.validate_python({**fault, self.staircase.parameter: value}) for value in self.staircase.values]

    def faults_at(self) -> Iterator[tuple[Path, FaultModel]]:
        """Every fault that it names, and where."""
        if self.fault is not None:
            yield ("fault",), self.fault
        for index, fault in enumerate(self.faults):
            yield ("faults", index), fault
        for index, step in enumerate(self.sequence):
            yield ("sequence", index, "fault"), step.fault
        for index, weighted in enumerate(self.nemesis.faults if self.nemesis else ()):
            yield ("nemesis", "faults", index, "fault"), weighted.fault


class EachDependency(PlanModel):
    """One experiment for each service that another one depends on."""

    of: Name
    fault: dict[str, object]  # as in an experiment, without its target
    name: str = "{of} without {target}"
    hold: Duration = Field(gt=0)
    recover_within: Duration = Field(gt=0)
    expect: Expect = Expect()
    abort_if: list[str] = []
    covers: Covers = []

    @model_validator(mode="after")
    def _no_target(self) -> Self:
        if "target" in self.fault:
            raise ValueError("`fault` has no `target` here: each dependency is one in turn")
        return self

    def experiments(self, dependencies: list[str]) -> list[Experiment]:
        """The experiments, one for each dependency.

        Raises:
            ValidationError: the fault is none.
        """
        return [
            Experiment(
                name=self.name.replace("{of}", self.of).replace("{target}", target),
                fault=_FAULT.validate_python({**self.fault, "target": target}),
                hold=self.hold, recover_within=self.recover_within, expect=self.expect, abort_if=self.abort_if,
                covers=self.covers,
            )
            for target in dependencies
        ]  # fmt: skip


class FaultsTolerance(PlanModel):
    """What steady state is: errors at most `error_rate`, and p95 at most `p95` times the steady one (or `p95_floor`)."""

    error_rate: Share = 0.02
    p95: float = 3.0
    p95_floor: Duration = 0.25
    throughput: Share = 0.9


class WorseLimits(PlanModel):
    """How much worse than before the fault it may be once steady state is back; beyond is a finding of its own."""

    p50: Annotated[Share, Field(gt=0, description="growth of the median, default 40%; 25 ms do not count")] = 0.4
    p95: Annotated[Share, Field(gt=0, description="growth of p95, default 40%; 25 ms do not count")] = 0.4
    throughput: Annotated[Share, Field(gt=0, le=1, description="fall of good answers per second, default 10%")] = 0.1
    memory: Annotated[
        Share, Field(gt=0, description="growth of each service's memory, default 50%; 32 MB do not count")
    ] = 0.5
