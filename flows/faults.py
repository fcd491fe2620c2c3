"""Faults: one after another, under load."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.stage import carry_through
from shakedown.session import current
from shakedown.session.experiments import bench_of
from shakedown.session.judging import judge_stage
from shakedown.session.live import StageOutcome
from tasks.artifacts import progress_of
from tasks.faults import run_experiment, warm_up
from tasks.recovery import look_before_faults

__all__ = ["faults"]


@flow(name="faults", flow_run_name="{run_id}", validate_parameters=False)
def faults(run_id: str) -> State[Any]:
    """Steady load; each experiment; then judge them on everything that was measured."""
    session = current(run_id)

    def body() -> StageOutcome:
        bench = bench_of(session)
        try:
            look_before_faults(run_id)
            warm_up(run_id)
            experiments = session.loaded.plan.experiments
            for done, experiment in enumerate(experiments, start=1):
                run_experiment(run_id, experiment)
                progress_of(session).enter("faults", done, len(experiments))
            bench.finish()
        finally:
            bench.close()
        return judge_stage(session, "faults", [], bench.stage.thresholds, extra=bench.judge())

    return carry_through(run_id, "faults", body)
