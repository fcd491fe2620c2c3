"""What a load is: everything that a worker needs, as one line of JSON."""

import zlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shakedown.plan.executors import Executor, OpenModel, Replay
from shakedown.plan.model import Plan, UseScenario
from shakedown.plan.scenarios import Scenario
from shakedown.plan.uses import label_of

__all__ = ["LoadSpec", "Target", "build_spec"]

UNTIL_STOPPED = 24 * 3600.0


class Target(BaseModel):
    """Where requests go."""

    model_config = ConfigDict(frozen=True)
    host: str
    port: int
    tls: bool = False


class LoadSpec(BaseModel):
    """One load of one stage.

    Attributes:
        label: what thresholds and reports call it.
        work: the scenario, with what the stage changes of it.
        target: by which address the service is reached; None when the load goes to none of the plan's services.
        base: the folder that relative paths start from.
        duration: seconds until arrivals stop by themselves.
        seed: of this very load; everything random in it follows from it.
        workers: how many processes share it.
        origin: `time.monotonic()` at the start of the run.
    """

    model_config = ConfigDict(frozen=True)
    label: str
    scenario: str
    stage: str
    repetition: int = 0
    work: Scenario
    target: Target | None
    base: str = "."
    duration: float
    seed: int
    workers: int = 1
    ledger_dir: str
    origin: float

    @property
    def address(self) -> Target:
        """Where requests go, for drivers that cannot do without.

        Raises:
            ValueError: the scenario names no service.
        """
        if self.target is None:
            raise ValueError(f"the scenario {self.scenario} has no target")
        return self.target

    @property
    def executor(self) -> Executor:
        """When iterations start."""
        return self.work.executor

    @property
    def data_file(self) -> Path | None:
        """The file with the templates' rows."""
        return Path(self.base) / self.work.data.file if self.work.data else None

    @property
    def warm_up(self) -> float:
        """Seconds from the schedule's begin whose requests are kept apart."""
        return self.executor.warm_up

    @property
    def arrival_seed(self) -> int | None:
        """The seed of a Poisson process; None for even arrivals. The same in every shard."""
        executor = self.executor
        return self.seed if isinstance(executor, OpenModel) and executor.arrivals == "poisson" else None


def build_spec(
    plan: Plan, use: UseScenario, *, stage: str, base: Path, run_dir: Path, target: Target | None, origin: float,
    run_seed: int, repetition: int = 0, until_stopped: bool = False, workers: int = 1,
) -> LoadSpec:  # fmt: skip
    """A load from a plan's scenario and what the stage changes of it.

    Args:
        run_seed: used when the scenario has no seed of its own.
        repetition: makes the data of repeated loads differ from each other.
        until_stopped: the load goes on until it is stopped (bounded by a day), whatever its duration says.
    """
    scenario = plan.scenarios[use.use]
    fields = type(scenario.executor).model_fields
    changes: dict[str, object] = {
        key: value
        for key in ("rate", "vus", "max_vus", "duration")
        if (value := getattr(use, key)) is not None and key in fields
    }
    if until_stopped and "duration" in fields and not isinstance(scenario.executor, Replay):
        changes["duration"] = UNTIL_STOPPED
    executor = scenario.executor.model_copy(update=changes)
    label = label_of(use)
    seed = scenario.seed if scenario.seed is not None else run_seed
    return LoadSpec(
        label=label,
        scenario=use.use,
        stage=stage,
        repetition=repetition,
        work=scenario.model_copy(update={"executor": executor}),
        target=target,
        base=str(base),
        duration=executor.longest,
        seed=zlib.crc32(f"{seed}/{stage}/{label}/{repetition}".encode()),
        workers=workers,
        ledger_dir=str(run_dir / "ledgers"),
        origin=origin,
    )
