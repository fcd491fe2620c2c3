"""Baseline: is it well, quietly?"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.stage import carry_through
from shakedown.session import current
from shakedown.session.alerting import judge_quiet_alerts
from shakedown.session.freed import remember_idle
from shakedown.session.judging import judge_stage
from shakedown.session.live import StageOutcome
from tasks.load import run_load
from tasks.services import check_health
from tasks.suites import run_tests

__all__ = ["baseline"]


@flow(name="baseline", flow_run_name="{run_id}", validate_parameters=False)
def baseline(run_id: str) -> State[Any]:
    """Health, then each suite, then each load, one after another."""
    session = current(run_id)
    stage = session.loaded.plan.stages.baseline

    def body() -> StageOutcome:
        check_health(run_id)
        begun = session.clock.now()
        suites = stage.suites if stage else []
        for suite in suites:
            run_tests(run_id, "baseline", suite)
        loads = stage.scenarios if stage else []
        for use in loads:
            run_load(run_id, "baseline", use)
        remember_idle(session)
        alerts = judge_quiet_alerts(session, "baseline", begun, session.clock.now())
        return judge_stage(session, "baseline", [*suites, *loads], stage.thresholds if stage else [], extra=alerts)

    return carry_through(run_id, "baseline", body)
