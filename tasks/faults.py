"""One experiment."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.plan.experiments import Experiment
from shakedown.session import current
from shakedown.session.experiments import bench_of

__all__ = ["run_experiment", "warm_up"]


@task(task_run_name="steady load", cache_policy=NO_CACHE)
def warm_up(run_id: str) -> None:
    """Start the background load and learn what normal is."""
    bench_of(current(run_id)).warm_up()


@task(task_run_name="{experiment.name}", cache_policy=NO_CACHE)
def run_experiment(run_id: str, experiment: Experiment) -> str:
    """Inject, hold, revert, watch; what came of it, in a word."""
    record = bench_of(current(run_id)).run(experiment)
    return "refused" if record.refused else "error" if record.error else "done"
