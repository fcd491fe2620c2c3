"""What is kept before the faults, and looked at again after everything: comparison, invariants, ledgers, leftovers."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.session import current
from shakedown.session.aftermath import RECOVERY, count_restarts, mark_logs, search_logs
from shakedown.session.comeback import compare_with_baseline, look_for_leftovers
from shakedown.session.freed import judge_freed
from shakedown.session.invariants import AFTER, BEFORE, check_invariants
from shakedown.session.ledgers import judge_ledger, note_before, read_ledger
from shakedown.session.picture import compare_with_picture, keep_picture
from shakedown.verdict import Verdict

__all__ = [
    "begin_recovery",
    "check_aftermath",
    "check_all_invariants",
    "check_freed",
    "check_ledger",
    "check_leftovers",
    "compare_baseline",
    "look_before_faults",
    "look_before_run",
]


@task(task_run_name="compare with baseline", cache_policy=NO_CACHE)
def compare_baseline(run_id: str) -> list[tuple[Verdict, str]]:
    """Compare with the baseline."""
    session = current(run_id)
    stage = session.loaded.plan.stages.recovery
    return compare_with_baseline(session, stage) if stage else []


@task(task_run_name="what must be given back", cache_policy=NO_CACHE)
def check_freed(run_id: str) -> list[tuple[Verdict, str]]:
    """Look whether memory, connections, entries are back where they were after the baseline."""
    return judge_freed(current(run_id))


@task(task_run_name="ledger {name}", cache_policy=NO_CACHE)
def check_ledger(run_id: str, name: str) -> tuple[Verdict, str]:
    """Read a ledger back and judge it."""
    session = current(run_id)
    return judge_ledger(session, read_ledger(session, name))


@task(task_run_name="leftovers", cache_policy=NO_CACHE)
def check_leftovers(run_id: str) -> list[tuple[Verdict, str]]:
    """Look for what faults left behind: by the journal, by labels, and by what is different from before."""
    session = current(run_id)
    return [*look_for_leftovers(session), *compare_with_picture(session)]


@task(task_run_name="what is there already", cache_policy=NO_CACHE)
def look_before_run(run_id: str) -> None:
    """Note what ledgers' listings have before anything is written."""
    note_before(current(run_id))


@task(task_run_name="as it is before the faults", cache_policy=NO_CACHE)
def look_before_faults(run_id: str) -> None:
    """Keep what is compared afterwards: invariants, every service's picture, how long the logs are."""
    session = current(run_id)
    check_invariants(session, BEFORE)
    keep_picture(session)
    mark_logs(session)


@task(task_run_name="begin", cache_policy=NO_CACHE)
def begin_recovery(run_id: str) -> float:
    """Mark in the logs where recovery begins; when that is, seconds since the run began."""
    session = current(run_id)
    mark_logs(session, RECOVERY)
    return session.clock.now()


@task(task_run_name="invariants", cache_policy=NO_CACHE)
def check_all_invariants(run_id: str) -> list[tuple[Verdict, str]]:
    """Look at every invariant until it holds or its time is up."""
    return check_invariants(current(run_id), AFTER)


@task(task_run_name="restarts, kills and logs", cache_policy=NO_CACHE)
def check_aftermath(run_id: str, since: float) -> list[tuple[Verdict, str]]:
    """Count restarts and kills; list new kinds of error lines."""
    session = current(run_id)
    search_logs(session, since)
    return count_restarts(session)
