"""One execution of a suite."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.plan.model import UseSuite
from shakedown.session import current
from shakedown.session.measure import measure_suite, read_cycle

__all__ = ["read_resources", "run_tests"]


@task(task_run_name="suite {use.suite}", cache_policy=NO_CACHE)
def run_tests(run_id: str, stage: str, use: UseSuite, repetition: int = 1) -> int:
    """Run a suite once; the number of tests."""
    return len(measure_suite(current(run_id), use, stage, repetition).outcomes)


@task(task_run_name="resources after repetition {repetition}", cache_policy=NO_CACHE)
def read_resources(run_id: str, repetition: int, settle: float) -> int:
    """Read every resource at the end of a repetition; the number of readings."""
    return len(read_cycle(current(run_id), repetition, settle))
