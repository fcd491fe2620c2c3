"""The plan as typed models: what a user may write, and what everything else reads.

Strict: an unknown key is an error. Durations are float seconds, sizes int bytes, shares fractions.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from shakedown.plan.alerts import Alert
from shakedown.plan.base import PlanModel
from shakedown.plan.behaviour import BehaviourStage
from shakedown.plan.covers import Covers
from shakedown.plan.experiments import EachDependency, Experiment, FaultsTolerance, WorseLimits
from shakedown.plan.freed import FreedOrName
from shakedown.plan.ledgers import Invariant, Ledger
from shakedown.plan.regression import Regression
from shakedown.plan.report import ReportWishes
from shakedown.plan.scenarios import Scenario
from shakedown.plan.services import Service
from shakedown.plan.suites import Suite
from shakedown.plan.values import Duration, Name, Share


# ----------------------------------------------------------------------------------------------------------- stages
class Steps(PlanModel):
    """The same load on one level after another; each is judged by the thresholds on its own.

    Attributes:
        rate, vus: the levels, ascending; exactly one of the two.
        duration: of each level.
        pause: idle time between levels.
        required: the highest level that must hold for the stage to pass; all of them when not given. What happens above
            it is reported and does not count.
    """

    rate: list[float] | None = Field(default=None, min_length=1)
    vus: list[int] | None = Field(default=None, min_length=1)
    duration: Duration = Field(gt=0)
    pause: Duration = 1.0
    required: float | None = Field(default=None, gt=0)

    @property
    def levels(self) -> list[float]:
        """The levels, of whichever kind."""
        return [float(level) for level in self.rate or self.vus or ()]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if (self.rate is None) == (self.vus is None):
            raise ValueError("steps are of exactly one of rate, vus")
        levels = self.levels
        if levels != sorted(set(levels)) or levels[0] <= 0:
            raise ValueError("steps ascend, from above zero")
        return self


class Capacity(PlanModel):
    """The highest rate that still meets the stage's thresholds on this load, found by bisection.

    Attributes:
        lowest, highest: between which rates it is looked for, per second.
        duration: of each probe.
        pause: idle time between probes.
        precision: the search ends when the bounds are this close, as a share of the lower one.
        required: the capacity that the stage needs to pass; when not given, any capacity above `lowest` passes.
    """

    lowest: float = Field(gt=0)
    highest: float = Field(gt=0)
    duration: Duration = Field(gt=0)
    pause: Duration = 1.0
    precision: Share = Field(default=0.05, gt=0)
    required: float | None = Field(default=None, gt=0)

    @property
    def probes(self) -> int:
        """Most probes that the search takes: the two bounds, and as many halvings of their logarithms as it needs."""
        halvings = math.log2(math.log(self.highest / self.lowest) / math.log1p(self.precision))
        return 2 + max(math.ceil(halvings), 0)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError("`lowest` must lie below `highest`")
        return self


class Shards(PlanModel):
    """A load spread over several workers of a Prefect task runner, which may be on other machines.

    Attributes:
        count: how many shards; each takes every count-th arrival, or its share of the users.
        runner: which task runner runs them; `dask` and `ray` need the extra of that name.
        address: of a Dask scheduler or Ray cluster that is there; none: one is started on this machine.
    """

    count: int = Field(gt=0, le=1000)
    runner: Literal["thread", "process", "dask", "ray"] = "thread"
    address: str | None = None


class UseScenario(PlanModel):
    """A scenario as used by a stage; a given value replaces the scenario's own."""

    use: str
    rate: float | None = Field(default=None, gt=0)
    vus: int | None = Field(default=None, gt=0)
    duration: Duration | None = Field(default=None, gt=0)
    max_vus: int | None = Field(default=None, gt=0)
    label: Name | None = None  # how thresholds call it when a stage uses one scenario twice; default: its name
    steps: Steps | None = None
    capacity: Capacity | None = None
    shards: Shards | None = None
    covers: Covers = []

    @property
    def in_levels(self) -> bool:
        """Whether it is measured on several levels, each judged on its own."""
        return self.steps is not None or self.capacity is not None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.steps, self.capacity, self.shards)) > 1:
            raise ValueError(
                "a load goes in steps, or looks for its capacity, or is spread over shards: one of the three"
            )
        return self


def _as_numbers(value: object) -> object:
    return [value] if isinstance(value, int | str) and not isinstance(value, bool) else value


Workers = Annotated[
    list[Annotated[int, Field(gt=0, le=256)]], BeforeValidator(_as_numbers), Field(min_length=1, max_length=10)
]


class UseSuite(PlanModel):
    """A suite as used by a stage."""

    suite: str
    workers: Workers | None = (
        None  # of several, each for two repetitions in turn: what fails with many only depends on load
    )
    max_failures: int | None = Field(default=None, gt=0)
    label: Name | None = None
    covers: Covers = []


def _as_use_of_suite(value: object) -> object:
    """`unit` is short for `{suite: unit}`."""
    return {"suite": value} if isinstance(value, str) else value


UseSuiteOrName = Annotated[UseSuite, BeforeValidator(_as_use_of_suite, json_schema_input_type=UseSuite | Name)]


def _use_kind(value: object) -> str:
    if isinstance(value, dict):
        return "<suite>" if "suite" in value else "<scenario>"
    return "<suite>" if isinstance(value, UseSuite) else "<scenario>"


Use = Annotated[
    Annotated[UseScenario, Tag("<scenario>")] | Annotated[UseSuite, Tag("<suite>")], Discriminator(_use_kind)
]


def _as_use(value: object) -> object:
    """`send` is short for `{use: send}`."""
    return {"use": value} if isinstance(value, str) else value


UseScenarioOrName = Annotated[UseScenario, BeforeValidator(_as_use, json_schema_input_type=UseScenario | str)]


class StageModel(PlanModel):
    """What every stage has."""

    thresholds: list[str] = []
    covers: Covers = []

    @property
    def loads(self) -> list[UseScenario]:
        """The loads that the stage itself names."""
        return []


class BaselineStage(StageModel):
    """Is it well, quietly? If not, the run stops here."""

    suites: list[UseSuiteOrName] = []
    scenarios: list[UseScenarioOrName] = []

    @property
    def loads(self) -> list[UseScenario]:
        """One after another."""
        return self.scenarios


class StressStage(StageModel):
    """Everything at the same time."""

    parallel: list[Use] = Field(min_length=1)

    @property
    def loads(self) -> list[UseScenario]:
        """All at once."""
        return [use for use in self.parallel if isinstance(use, UseScenario)]


DRIFTS = ("p50", "p95", "p99", "throughput")  # what may drift in a load


class Leak(PlanModel):
    """A series that must not grow by more than `max_growth` of its start over the repetitions."""

    series: str
    max_growth: Share | None = (
        None  # over the judged repetitions; default: no sustained growth at all, and below 25% with few
    )


def _as_leak(value: object) -> object:
    return {"series": value} if isinstance(value, str) else value


class Until(PlanModel):
    """When repetitions have said enough, whichever comes first."""

    flake_rate: Share | None = None  # every test is known to fail less often than this (95 %)
    failures: int | None = Field(default=None, gt=0)  # so many repetitions had a failed test
    duration: Duration | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _as_words(cls, value: object) -> object:
        """`flake_rate < 1% or duration >= 2h`: the same in words."""
        if not isinstance(value, str):
            return value
        found: dict[str, str | int] = {}
        for part in re.split(r"\s+or\s+", value.strip()):
            match = re.fullmatch(r"(flake_rate)\s*<=?\s*(\S.*)|(failures|duration)\s*>=?\s*(\S.*)", part)
            if match is None:
                raise ValueError(f"`{part}` is none of `flake_rate < SHARE`, `failures >= NUMBER`, `duration >= TIME`")
            said = str(match[2] or match[4])
            found[match[1] or match[3]] = int(said) if said.isdecimal() else said
        return found

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.flake_rate is None and self.failures is None and self.duration is None:
            raise ValueError("`until` needs one of flake_rate, failures, duration")
        if self.flake_rate is not None and not 0 < self.flake_rate < 1:
            raise ValueError("`flake_rate` lies between 0 % and 100 %: nothing shows that a test never fails")
        return self


class EnduranceStage(StageModel):
    """The same again and again."""

    repeat: int = Field(gt=0)
    until: Until | None = None  # before `repeat` is reached
    run: list[Use] = Field(min_length=1)
    leaks: list[Annotated[Leak, BeforeValidator(_as_leak)]] = []  # service.series
    drifts: list[
        Annotated[Leak, BeforeValidator(_as_leak)]
    ] = []  # load.p50, .p95, .p99, or .throughput, which must not fall
    flaky_tests: int = Field(default=0, ge=0)  # most tests that may fail in some repetitions
    drifting_tests: Annotated[
        int | None,
        Field(ge=0, description="most tests that may get slower over repetitions; without it they are noted"),
    ] = None
    settle: Duration = 1.0  # idle time before each repetition's resources are read

    @property
    def loads(self) -> list[UseScenario]:
        """One after another, in each repetition."""
        return [use for use in self.run if isinstance(use, UseScenario)]


class FaultsStage(BehaviourStage, StageModel):
    """Experiments one after another, under load."""

    load: UseScenarioOrName
    experiments: list[Experiment] = []
    each_dependency: list[EachDependency] = []  # more experiments, made from `depends_on`
    warm_up: Duration = 5.0  # steady load before the first fault: what "recovered" is compared with
    pause: Duration = 2.0  # steady load between experiments
    steady_within: Duration = 15.0  # how long a fault waits for the steady state; without it, it is not injected
    hold_window: Duration = 2.0  # steady state must hold this long to count as recovered
    tolerance: FaultsTolerance = Field(default_factory=FaultsTolerance)
    steady_state: Annotated[
        list[str],
        Field(
            description="thresholds that steady state needs beside `tolerance`; `baseline` in them is the time before the faults"
        ),
    ] = []
    worse: Annotated[WorseLimits, Field(description="how much worse than before it may be once it is back")] = Field(
        default_factory=WorseLimits
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.experiments and not self.each_dependency:
            raise ValueError("the faults stage needs `experiments` or `each_dependency`")
        return self

    @property
    def loads(self) -> list[UseScenario]:
        """The one in the background."""
        return [self.load]


class RecoveryStage(StageModel):
    """Did everything come back?"""

    compare_with: Literal["baseline"] = "baseline"
    tolerance: dict[Literal["p50", "p95", "p99", "error_rate", "throughput", "memory"], Share] = {}
    freed: list[FreedOrName] = Field(
        default=[], description="series that must be back, when idle, where they were after the baseline"
    )
    ledgers: list[Name] = []


class Stages(PlanModel):
    """The five stages; one that is absent is skipped."""

    baseline: BaselineStage | None = None
    stress: StressStage | None = None
    endurance: EnduranceStage | None = None
    faults: FaultsStage | None = None
    recovery: RecoveryStage | None = None


class Plan(PlanModel):
    """A whole plan, with variables, profile and overrides already applied."""

    version: Literal[1]
    name: Name
    description: str = ""
    services: dict[Name, Service] = {}
    scenarios: dict[Name, Scenario] = {}
    suites: dict[Name, Suite] = {}
    ledgers: dict[Name, Ledger] = {}
    invariants: dict[Name, Invariant] = {}
    alerts: Annotated[
        dict[Name, Alert], Field(description="what is raised when something is wrong; none may fire in the baseline")
    ] = {}
    sample_every: Duration = Field(default=1.0, ge=0.2, le=60)  # resources of services and of the host
    regression: Regression = Field(default_factory=Regression)  # how a run is compared with those before it
    report: ReportWishes = Field(default_factory=ReportWishes)
    stages: Stages

    @functools.cached_property
    def experiments(self) -> list[Experiment]:
        """Every experiment of the faults stage, those made from `depends_on` as well.

        Raises:
            ValidationError: a fault of `each_dependency` is none.
        """
        stage = self.stages.faults
        if stage is None:
            return []
        made = (each.experiments(self.services[each.of].depends_on) for each in stage.each_dependency)
        return [*stage.experiments, *itertools.chain.from_iterable(made)]
