"""One load."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.plan.model import UseScenario
from shakedown.session import current
from shakedown.session.levels import Level, measure_levels
from shakedown.session.measure import measure_load
from tasks.shards import launch_shards

__all__ = ["run_levels", "run_load"]


@task(task_run_name="load {use.use}", cache_policy=NO_CACHE)
def run_load(run_id: str, stage: str, use: UseScenario, repetition: int = 0) -> int:
    """Run a load to its end; the number of requests that ended."""
    return measure_load(current(run_id), use, stage, repetition, launch=launch_shards).counts.requests


@task(task_run_name="levels of {use.use}", cache_policy=NO_CACHE)
def run_levels(run_id: str, stage: str, use: UseScenario, thresholds: list[str]) -> list[Level]:
    """Run a load on one level after another, each judged on its own."""
    return measure_levels(current(run_id), use, stage, thresholds)
