"""Stress: everything at the same time."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.stage import carry_through
from shakedown.plan.model import UseScenario
from shakedown.session import current
from shakedown.session.judging import judge_stage
from shakedown.session.live import StageOutcome
from tasks.load import run_load
from tasks.suites import run_tests

__all__ = ["stress"]

_PARALLEL: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=64)


@flow(name="stress", flow_run_name="{run_id}", validate_parameters=False, task_runner=_PARALLEL)  # type: ignore[arg-type]  # Prefect's own runner, invariant in its future
def stress(run_id: str) -> State[Any]:
    """Start every part at once, wait for all."""
    session = current(run_id)
    stage = session.loaded.plan.stages.stress

    def body() -> StageOutcome:
        parts = stage.parallel if stage else []
        futures = [
            run_load.submit(run_id, "stress", use)
            if isinstance(use, UseScenario)
            else run_tests.submit(run_id, "stress", use)
            for use in parts
        ]
        wait(futures)
        for future in futures:
            future.result()  # raises what went wrong in it
        return judge_stage(session, "stress", parts, stage.thresholds if stage else [])

    return carry_through(run_id, "stress", body)
