"""What a load is: everything that a worker needs, as one line of JSON."""

import zlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shakedown.plan.model import ConstantArrivalRate, ConstantVus, Http, Plan, UseScenario
from shakedown.plan.references import label_of

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
        target: by which address the service is reached.
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
    executor: ConstantArrivalRate | ConstantVus
    duration: float
    http: Http
    target: Target
    data_file: str | None = None
    data_order: str = "sequential"
    seed: int
    workers: int = 1
    ledger_dir: str
    origin: float

    @property
    def rate(self) -> float | None:
        """Iterations per second asked for; None for closed models."""
        if isinstance(self.executor, ConstantArrivalRate):
            return self.executor.rate / self.executor.time_unit
        return None


def build_spec(
    plan: Plan, use: UseScenario, *, stage: str, base: Path, run_dir: Path, target: Target, origin: float,
    run_seed: int, repetition: int = 0, until_stopped: bool = False, workers: int = 1,
) -> LoadSpec:  # fmt: skip
    """A load from a plan's scenario and what the stage changes of it.

    Args:
        run_seed: used when the scenario has no seed of its own.
        repetition: makes the data of repeated loads differ from each other.
        until_stopped: the load goes on until it is stopped (bounded by a day), whatever its duration says.
    """
    scenario = plan.scenarios[use.use]
    changes: dict[str, object] = {
        key: value
        for key in ("rate", "vus", "max_vus", "duration")
        if (value := getattr(use, key)) is not None and key in type(scenario.executor).model_fields
    }
    executor = scenario.executor.model_copy(update=changes)
    label = label_of(use)
    seed = scenario.seed if scenario.seed is not None else run_seed
    return LoadSpec(
        label=label,
        scenario=use.use,
        stage=stage,
        repetition=repetition,
        executor=executor,
        duration=UNTIL_STOPPED if until_stopped else executor.duration,
        http=scenario.http,
        target=target,
        data_file=str(base / scenario.data.file) if scenario.data else None,
        data_order=scenario.data.order if scenario.data else "sequential",
        seed=zlib.crc32(f"{seed}/{stage}/{label}/{repetition}".encode()),
        workers=workers,
        ledger_dir=str(run_dir / "ledgers"),
        origin=origin,
    )
