"""What every stage's flow has in common: a beginning, an end, and a state that says which verdict it came to."""

from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.signals import stop_on_signals
from shakedown.errors import Interrupted, ShakedownError
from shakedown.session import Session, current
from shakedown.session.aborting import watch_stage
from shakedown.session.live import StageOutcome, stage_error
from shakedown.verdict import Verdict
from tasks.reach import reach_of

__all__ = ["carry_through"]


def carry_through(run_id: str, name: str, body: Callable[[], StageOutcome]) -> State[Any]:
    """Run a stage's body between its beginning and its end.

    A breach is a failed state named after its verdict, so that it stays apart from a bug (a failed state with a
    traceback) and from a crash.

    Raises:
        Interrupted: the run is to end.
    """
    session = current(run_id)
    reach = reach_of(session)
    reach.begun.add(name)
    with stop_on_signals(session.stop):
        try:
            state = _state_of(_outcome_of(session, name, body))
            reach.ended(name, state)
        finally:
            reach.wait()  # here, where a signal is heard; the engine, which tells the server next, would not hear one
    return state


def _outcome_of(session: Session, name: str, body: Callable[[], StageOutcome]) -> StageOutcome:
    session.begin_stage(name)
    session.aborts = watch_stage(session, name)
    try:
        return body()
    except Interrupted:
        session.end_stage(name, Verdict.INCONCLUSIVE, "interrupted")
        raise
    except ShakedownError as error:
        return stage_error(session, name, error)


def _state_of(outcome: StageOutcome) -> State[Any]:
    if outcome.verdict is Verdict.PASSED:
        return Completed(message="passed", data=str(outcome.verdict))
    return Failed(message=outcome.reason or str(outcome.verdict), name=str(outcome.verdict).capitalize())
