"""The pipeline: the one entry point for the UI, cron, CI and the command line.

::

    plan ─▶ services ─▶ baseline ─▶ stress ─▶ endurance ─▶ faults ─▶ recovery ─▶ services stopped ─▶ report
                           └─ failed: the rest is skipped
"""

import os
import traceback
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed

from flows.baseline import baseline
from flows.endurance import endurance
from flows.faults import faults
from flows.parameters import Build, Overrides, PlanFile, Profile, Root, Seed, Stages, without_the_others
from flows.recovery import recovery
from flows.signals import hear_signals, stop_on_signals
from flows.stress import stress
from flows.turns import deployed, turn
from shakedown.errors import ExitCode, Interrupted, PlanError, ShakedownError
from shakedown.guard import cleanup, find_engine
from shakedown.records.judgement import Finding, Severity
from shakedown.session import RunOptions, Session
from shakedown.session.history import with_history
from shakedown.session.judging import run_verdict
from shakedown.session.live import STAGES, stage_error
from shakedown.session.progress import listen
from shakedown.verdict import Verdict, exit_code
from tasks.artifacts import log_to, progress_of
from tasks.reach import UNREACHABLE, reach_of
from tasks.recovery import look_before_run
from tasks.report import render_report
from tasks.services import start_services, stop_services

__all__ = ["RunNotPassed", "RunSummary", "last_ended", "pipeline"]

_ended: list["RunSummary"] = []  # the last run of this process
_FLOWS = {"baseline": baseline, "stress": stress, "endurance": endurance, "faults": faults, "recovery": recovery}


@dataclass(eq=False)
class RunSummary:
    """How a run ended.

    Attributes:
        verdict: None when it was interrupted.
        report: the path of report.md; None when nothing could be rendered.
        exit_code: what a command that ran it should end with.
        crashed: by a bug of ours, which is neither the system's fault nor the plan's.
    """

    run_id: str | None
    verdict: Verdict | None
    reason: str
    report: str | None
    exit_code: int
    crashed: bool = False


class RunNotPassed(RunSummary, Exception):  # noqa: N818  # not an error: the run said what it was asked to find out
    """How a run ended that did not pass: what Prefect raises in a flow that called `pipeline`, and logs."""

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.verdict is not None else self.reason

    def __reduce__(self) -> tuple[type["RunNotPassed"], tuple[Any, ...]]:
        return type(self), astuple(self)


def _run_name() -> str:
    """`courier smoke stress`: what the UI lists a run as."""
    parameters = flow_run.parameters
    plan = Path(str(parameters.get("plan", "")))
    name = plan.resolve().parent.name if plan.stem == "plan" else plan.stem
    return " ".join(filter(None, [name, parameters.get("profile"), *parameters.get("stages", ())])) or "run"


@flow(
    name="shakedown",
    flow_run_name=_run_name,
    description="Baseline, stress, endurance, faults and recovery of a plan, with one verdict",
)
def pipeline(
    plan: PlanFile = "examples/courier/plan.yaml",
    profile: Profile | None = None,
    stages: Stages = [],  # noqa: B006 - never changed; the form shows it
    overrides: Overrides = [],  # noqa: B006
    root: Root = "",
    seed: Seed | None = None,
    build: Build = "",
) -> State[Any]:
    """Run a plan.

    Args:
        plan: The plan, a YAML file; relative to the project's folder.
        profile: One of the plan's profiles; `None` runs the plan as it stands.
        stages: Only these stages; with none selected, all of the plan's. The baseline, which the others are compared with, runs always.
        overrides: Changes to the plan, each like `stages.stress.parallel.0.rate=50`.
        root: The folder for results; empty takes the worker's `SHAKEDOWN_ROOT`, or else `.shakedown` in the project.
        seed: Makes schedules and data repeatable; `None` draws a new one.
        build: A name for what is tested, such as a version, or empty; `shakedown compare` compares builds.
    """
    folder = Path(root or os.environ.get("SHAKEDOWN_ROOT") or ".shakedown")
    try:
        changes = without_the_others(Path(plan), profile, overrides, stages)
        summary = _run(RunOptions(Path(plan), profile, tuple(changes), folder, seed, build))
    except PlanError as error:
        summary = RunNotPassed(None, Verdict.ERROR, str(error), None, ExitCode.USAGE)
    except ShakedownError as error:
        summary = RunNotPassed(None, Verdict.ERROR, str(error), None, error.exit_code)
    _ended[:] = [summary]
    if summary.crashed:
        return Crashed(message=summary.reason, data=summary)
    if summary.verdict is Verdict.PASSED:
        return Completed(message=summary.reason, name="Passed", data=summary)
    if summary.verdict is None:
        return Cancelled(message=summary.reason, data=summary)
    return Failed(message=summary.reason, name=str(summary.verdict).capitalize(), data=summary)


def last_ended() -> RunSummary | None:
    """How the last run of this process ended, also where Prefect's server was no longer there to be told."""
    return _ended[0] if _ended else None


def _run(options: RunOptions) -> RunSummary:
    log = listen(log_to(get_run_logger())) if deployed() else nullcontext()
    with log, turn(options.root, options.plan):
        _clean_up_after_the_dead(options.root)
        session = Session.open(options)
        reach_of(session)
        with stop_on_signals(session.stop):
            return _from_beginning_to_end(session)


def _from_beginning_to_end(session: Session) -> RunSummary:
    interrupted = crashed = False
    error: ShakedownError | None = None
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
    except Exception as bug:  # noqa: BLE001 - ours: the run ends in order, as after any other error, and says so
        crashed, error = True, ShakedownError(f"a bug of Shakedown's: {type(bug).__name__}: {bug}")
        details = tuple(traceback.format_exc().splitlines())
        session.find("services", Finding(Severity.DOUBT, error.message, "", details, subject="shakedown"))
        _skip_rest(session, error.message)
    finally:
        problems = stop_services(session.run_id)
    if interrupted:
        return _close(session, None, "interrupted", ExitCode.INTERRUPTED, problems)
    if error is not None:
        return _close(session, Verdict.ERROR, str(error), error.exit_code, problems, crashed=crashed)
    verdict, reason = with_history(session, *run_verdict(session, problems))
    return _close(session, verdict, reason, exit_code(verdict), problems)


def _stages(session: Session) -> None:
    progress = progress_of(session)
    start_services(session.run_id)
    look_before_run(session.run_id)
    stopped = ""
    for name in STAGES:
        if getattr(session.loaded.plan.stages, name) is None:
            session.skip_stage(name, "not in the plan")
        elif stopped:
            session.skip_stage(name, stopped)
        else:
            progress.enter(name)
            how = _carry(session, name)
            session.check_stop()
            outcome = next((one for one in session.outcomes if one.name == name), None)
            if outcome is None:  # a bug of ours, or Prefect's: a stage of which nothing is known is no stage that held
                outcome = stage_error(session, name, ShakedownError(f"its flow ended as {how}"))
            if name == "baseline" and outcome.verdict is not Verdict.PASSED:
                stopped = f"the baseline {outcome.verdict}: under load nothing could be learned"
    progress.finish("every stage is over")


def _carry(session: Session, name: str) -> str:
    """A stage as a subflow, or, where Prefect's server is gone, without; how it ended, in Prefect's words."""
    reach = reach_of(session)
    if reach.wait():
        try:
            state = _FLOWS[name](session.run_id, return_state=True)
        except (
            TerminationSignal
        ):  # SIGTERM while the engine, whose handler is another one, begins or ends the stage's flow
            session.stop.set()
            hear_signals(session.stop)  # it leaves its own in place
            session.check_stop()
            raise
        except UNREACHABLE as error:
            reach.lost(name, error)
            if name in reach.begun:
                return f"{type(error).__name__}: {error}"
        else:
            return f"{state.name}: {state.message}"
    session.check_stop()
    try:
        state = _FLOWS[name].fn(session.run_id)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - as the engine takes it, which makes a failed state of it
        session.say("warning", name, traceback.format_exc())
        return f"{type(error).__name__}: {error}"
    return f"{state.name}: {state.message}"


def _skip_rest(session: Session, reason: str) -> None:
    known = {outcome.name for outcome in session.outcomes}
    for name in STAGES:
        if name not in known:
            session.skip_stage(name, reason)


def _close(
    session: Session, verdict: Verdict | None, reason: str, code: int, problems: list[str], *, crashed: bool = False
) -> RunSummary:
    """Write the verdict, then render the report from what is written."""
    for problem in problems:
        session.find("services", Finding(Severity.FAILURE, problem, "clean-up failed", subject="shakedown"))
    status: Literal["finished", "interrupted"] = "interrupted" if verdict is None else "finished"
    session.store.end_run(
        session.run_id, status=status, verdict=verdict, reason=reason, exit_code=code, at=session.clock.now()
    )
    reach = reach_of(session)
    reach.wait()  # the results are written; now a server that is restarted may be told
    report: str | None = None
    try:
        report = render_report(session.run_id)
    except ShakedownError as error:
        session.say("warning", "", str(error))
    session.close(status=status, verdict=verdict, reason=reason, code=ExitCode(code))
    reach.close()
    kind = RunSummary if verdict is Verdict.PASSED else RunNotPassed
    return kind(session.run_id, verdict, reason, report, code, crashed)


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
