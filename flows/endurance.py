"""Endurance: the same again and again."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.stage import carry_through
from shakedown.plan.model import UseScenario
from shakedown.session import current
from shakedown.session.endurance import enough, judge_repetitions
from shakedown.session.judging import judge_stage
from shakedown.session.live import StageOutcome
from tasks.artifacts import progress_of
from tasks.load import run_load
from tasks.suites import read_resources, run_tests

__all__ = ["endurance"]


@flow(name="endurance", flow_run_name="{run_id}", validate_parameters=False)
def endurance(run_id: str) -> State[Any]:
    """Repeat all parts one after another; read every resource at the same point of each repetition."""
    session = current(run_id)
    stage = session.loaded.plan.stages.endurance

    def body() -> StageOutcome:
        if stage is None:
            return judge_stage(session, "endurance", [], [])
        begun = session.clock.now()
        for repetition in range(1, stage.repeat + 1):
            session.say("stage", "endurance", f"repetition {repetition} of {stage.repeat}")
            for use in stage.run:
                if isinstance(use, UseScenario):
                    run_load(run_id, "endurance", use, repetition)
                else:
                    run_tests(run_id, "endurance", use, repetition)
            read_resources(run_id, repetition, stage.settle)
            progress_of(session).enter("endurance", repetition, stage.repeat)
            if session.aborts is not None and session.aborts.breached:
                break
            if reason := enough(session, stage, session.clock.now() - begun, repetition):
                session.say("stage", "endurance", reason)
                break
        extra = judge_repetitions(session, stage)
        # Suites are judged over all repetitions, by how many tests were flaky.
        loads = [use for use in stage.run if isinstance(use, UseScenario)]
        return judge_stage(session, "endurance", loads, stage.thresholds, extra=extra)

    return carry_through(run_id, "endurance", body)
