"""Recovery: did everything come back?"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.stage import carry_through
from shakedown.session import current
from shakedown.session.judging import judge_stage
from shakedown.session.live import StageOutcome
from tasks.load import run_load
from tasks.recovery import (
    begin_recovery,
    check_aftermath,
    check_all_invariants,
    check_freed,
    check_ledger,
    check_leftovers,
    compare_baseline,
)

__all__ = ["recovery"]


@flow(name="recovery", flow_run_name="{run_id}", validate_parameters=False)
def recovery(run_id: str) -> State[Any]:
    """The baseline again and compared; every invariant and ledger; nothing of ours left; what else happened."""
    session = current(run_id)
    stages = session.loaded.plan.stages

    def body() -> StageOutcome:
        since = begin_recovery(run_id)
        loads = stages.baseline.scenarios if stages.baseline else []
        for use in loads:
            run_load(run_id, "recovery", use)
        extra = [*compare_baseline(run_id), *check_freed(run_id)]
        extra += check_all_invariants(run_id)  # first: a queue that is not drained is still writing
        extra += [check_ledger(run_id, name) for name in (stages.recovery.ledgers if stages.recovery else [])]
        extra += check_leftovers(run_id)
        extra += check_aftermath(run_id, since)
        texts = stages.recovery.thresholds if stages.recovery else []
        return judge_stage(session, "recovery", loads, texts, extra=extra)

    return carry_through(run_id, "recovery", body)
