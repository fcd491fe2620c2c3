"""Stress: everything at the same time."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.stage import carry_through
from shakedown.plan.model import Use, UseScenario, UseSuite
from shakedown.session import current
from shakedown.session.judging import judge_stage
from shakedown.session.levels import judge_levels, own_thresholds
from shakedown.session.live import StageOutcome
from tasks.load import run_levels, run_load
from tasks.suites import run_tests

__all__ = ["stress"]

_PARALLEL: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=64)


def _start(run_id: str, use: Use, texts: list[str]) -> PrefectFuture[Any]:
    if isinstance(use, UseSuite):
        return run_tests.submit(run_id, "stress", use)
    if use.in_levels:
        return run_levels.submit(run_id, "stress", use, texts)
    return run_load.submit(run_id, "stress", use)


@flow(name="stress", flow_run_name="{run_id}", validate_parameters=False, task_runner=_PARALLEL)  # type: ignore[arg-type]  # Prefect's own runner, invariant in its future
def stress(run_id: str) -> State[Any]:
    """Start every part at once, wait for all."""
    session = current(run_id)
    stage = session.loaded.plan.stages.stress

    def body() -> StageOutcome:
        parts = stage.parallel if stage else []
        texts = stage.thresholds if stage else []
        futures = [_start(run_id, use, texts) for use in parts]
        wait(futures)
        extra = []
        for use, future in zip(parts, futures, strict=True):
            measured = future.result()  # raises what went wrong in it
            if isinstance(use, UseScenario) and use.in_levels:
                extra.append(judge_levels(session, use, "stress", measured))
        levelled = [use for use in parts if isinstance(use, UseScenario) and use.in_levels]
        whole = [use for use in parts if use not in levelled]
        judged = {text for use in levelled for text in own_thresholds(use, texts)}
        return judge_stage(session, "stress", whole, [text for text in texts if text not in judged], extra=extra)

    return carry_through(run_id, "stress", body)
