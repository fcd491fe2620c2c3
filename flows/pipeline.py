"""The pipeline: the one entry point for the UI, cron, CI and the command line.

::

    plan ─▶ services ─▶ baseline ─▶ stress ─▶ endurance ─▶ faults ─▶ recovery ─▶ services stopped ─▶ report
                           └─ failed: the rest is skipped
"""

from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import BaseModel

from flows.baseline import baseline
from flows.endurance import endurance
from flows.faults import faults
from flows.recovery import recovery
from flows.signals import stop_on_signals
from flows.stress import stress
from shakedown.errors import ExitCode, Interrupted, PlanError, ShakedownError
from shakedown.guard import cleanup, find_engine
from shakedown.records.judgement import Finding, Severity
from shakedown.session import RunOptions, Session
from shakedown.session.judging import run_verdict
from shakedown.session.live import STAGES
from shakedown.verdict import Verdict, exit_code
from tasks.report import render_report
from tasks.services import start_services, stop_services

__all__ = ["RunSummary", "pipeline"]

_FLOWS = {"baseline": baseline, "stress": stress, "endurance": endurance, "faults": faults, "recovery": recovery}


class RunSummary(BaseModel):
    """How a run ended.

    Attributes:
        report: the path of report.md; None when nothing could be rendered.
        exit_code: what a command that ran it should end with.
    """

    run_id: str | None
    verdict: Verdict | None
    reason: str
    report: str | None
    exit_code: int


@flow(name="shakedown", description="Baseline, stress, endurance, faults and recovery of a plan, with one verdict")
def pipeline(
    plan: str = "examples/courier/plan.yaml",
    profile: str | None = None,
    overrides: list[str] | None = None,
    root: str = ".shakedown",
    seed: int | None = None,
) -> State[Any]:
    """Run a plan.

    Args:
        plan: the plan's file.
        profile: one of the plan's profiles, such as smoke or nightly.
        overrides: changes such as `stages.stress.parallel.0.rate=50`.
        root: the folder for results.
        seed: makes schedules and data repeatable; each run draws its own by default.
    """
    options = RunOptions(Path(plan), profile, tuple(overrides or ()), Path(root), seed)
    try:
        summary = _run(options)
    except PlanError as error:
        summary = RunSummary(
            run_id=None, verdict=Verdict.ERROR, reason=str(error), report=None, exit_code=ExitCode.USAGE
        )
    except ShakedownError as error:
        summary = RunSummary(
            run_id=None, verdict=Verdict.ERROR, reason=str(error), report=None, exit_code=error.exit_code
        )
    name = str(summary.verdict or "interrupted").capitalize()
    if summary.verdict is Verdict.PASSED:
        return Completed(message=summary.reason, name=name, data=summary)
    return Failed(message=f"{name}: {summary.reason}", name=name, data=summary)


def _run(options: RunOptions) -> RunSummary:
    _clean_up_after_the_dead(options.root)
    session = Session.open(options)
    interrupted = False
    error: ShakedownError | None = None
    with stop_on_signals(session.stop):
        try:
            _stages(session)
        except Interrupted:
            interrupted = True
            _skip_rest(session, "interrupted")
        except ShakedownError as caught:  # before the first stage: the services
            error = caught
            finding = Finding(Severity.DOUBT, caught.message, "", caught.details, caught.hint or "")
            session.find("services", finding)
            _skip_rest(session, f"could not run: {caught.message}")
        finally:
            problems = stop_services(session.run_id)
        if interrupted:
            return _close(session, None, "interrupted", ExitCode.INTERRUPTED, problems)
        if error is not None:
            return _close(session, Verdict.ERROR, str(error), error.exit_code, problems)
        verdict, reason = run_verdict(session, problems)
        return _close(session, verdict, reason, exit_code(verdict), problems)


def _stages(session: Session) -> None:
    start_services(session.run_id)
    stopped = ""
    for name in STAGES:
        if getattr(session.loaded.plan.stages, name) is None:
            session.skip_stage(name, "not in the plan")
        elif stopped:
            session.skip_stage(name, stopped)
        else:
            _FLOWS[name](session.run_id, return_state=True)
            session.check_stop()
            if name == "baseline" and session.outcomes[-1].verdict is not Verdict.PASSED:
                stopped = f"the baseline {session.outcomes[-1].verdict}: under load nothing could be learned"


def _skip_rest(session: Session, reason: str) -> None:
    known = {outcome.name for outcome in session.outcomes}
    for name in STAGES:
        if name not in known:
            session.skip_stage(name, reason)


def _close(session: Session, verdict: Verdict | None, reason: str, code: int, problems: list[str]) -> RunSummary:
    """Write the verdict, then render the report from what is written."""
    for problem in problems:
        session.find("services", Finding(Severity.FAILURE, problem, "clean-up failed", subject="shakedown"))
    status: Literal["finished", "interrupted"] = "interrupted" if verdict is None else "finished"
    session.store.end_run(
        session.run_id, status=status, verdict=verdict, reason=reason, exit_code=code, at=session.clock.now()
    )
    report: str | None = None
    try:
        report = render_report(session.run_id)
    except ShakedownError as error:
        session.say("warning", "", str(error))
    session.close(status=status, verdict=verdict, reason=reason, code=ExitCode(code))
    return RunSummary(run_id=session.run_id, verdict=verdict, reason=reason, report=report, exit_code=code)


def _clean_up_after_the_dead(root: Path) -> None:
    """What an earlier run left when it was killed is taken back before anything new starts."""
    runs = root.resolve() / "runs"
    if not runs.is_dir():
        return
    try:
        client = find_engine(timeout=20)
    except ShakedownError:  # no engine: a plan with containers will say so itself
        client = None
    cleanup(runs, client)
