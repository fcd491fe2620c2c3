"""Comparison, ledgers, leftovers."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.session import current
from shakedown.session.comeback import compare_with_baseline, look_for_leftovers
from shakedown.session.ledgers import judge_ledger, read_ledger
from shakedown.verdict import Verdict

__all__ = ["check_ledger", "check_leftovers", "compare_baseline"]


@task(task_run_name="compare with baseline", cache_policy=NO_CACHE)
def compare_baseline(run_id: str) -> list[tuple[Verdict, str]]:
    """Compare with the baseline."""
    session = current(run_id)
    stage = session.loaded.plan.stages.recovery
    return compare_with_baseline(session, stage) if stage else []


@task(task_run_name="ledger {name}", cache_policy=NO_CACHE)
def check_ledger(run_id: str, name: str) -> tuple[Verdict, str]:
    """Read a ledger back and judge it."""
    session = current(run_id)
    return judge_ledger(session, read_ledger(session, name))


@task(task_run_name="leftovers", cache_policy=NO_CACHE)
def check_leftovers(run_id: str) -> list[tuple[Verdict, str]]:
    """Look for what faults left behind."""
    return look_for_leftovers(current(run_id))
