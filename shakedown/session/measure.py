"""Loads, suites and cycles, measured and stored."""

from collections.abc import Sequence
from dataclasses import replace

from shakedown.errors import LoadError
from shakedown.load import LoadHandle, LoadSpec, build_spec
from shakedown.load.calibrate import near_ceiling, near_floor
from shakedown.load.spec import Target
from shakedown.load.spread import Launch, ShardedLoad
from shakedown.plan.model import UseScenario, UseSuite
from shakedown.plan.uses import label_of
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.records.suites import SuiteResult
from shakedown.session.live import Session
from shakedown.suites import place_of, run_suite

__all__ = ["measure_load", "measure_suite", "prepare_load", "read_cycle"]


def prepare_load(
    session: Session, use: UseScenario, stage: str, repetition: int = 0, *, until_stopped: bool = False
) -> LoadHandle:
    """A load that is ready to be started, and stores what it measures.

    Raises:
        LoadError: it is to be watched while it runs, and its shards speak when they have ended.
    """
    if until_stopped and use.shards is not None:
        raise LoadError(f"the load `{label_of(use)}` of the faults stage cannot be spread over shards")
    spec = _spec_of(session, use, stage, repetition, until_stopped=until_stopped)
    return LoadHandle(spec, lambda delta: session.on_delta(stage, repetition, delta))


def _spec_of(
    session: Session, use: UseScenario, stage: str, repetition: int, *, until_stopped: bool = False
) -> LoadSpec:
    name = session.loaded.plan.scenarios[use.use].target
    address = session.system.address(name) if name is not None else None
    return build_spec(
        session.loaded.plan, use, stage=stage, base=session.loaded.base, run_dir=session.run_dir,
        target=Target(host=address.host, port=address.port, tls=address.scheme == "https") if address else None,
        origin=session.clock.origin, run_seed=session.seed, repetition=repetition, until_stopped=until_stopped,
    )  # fmt: skip


def measure_load(
    session: Session, use: UseScenario, stage: str, repetition: int = 0, *, launch: Launch | None = None
) -> LoadResult:
    """Run a load to its end.

    Args:
        launch: gets the shards of a load that has some to where they run.

    Raises:
        Interrupted: the run is to end; what was measured is stored.
        LoadError: the load could not be run.
    """
    session.check_stop()
    handle: LoadHandle | ShardedLoad
    if use.shards is None:
        handle = prepare_load(session, use, stage, repetition)
    else:
        handle = ShardedLoad(
            _spec_of(session, use, stage, repetition), use.shards, launch,
            lambda delta: session.on_delta(stage, repetition, delta),
            tell=lambda text: session.say("load", label_of(use), text),
        )  # fmt: skip
    handle.start()
    if session.aborts is not None and isinstance(handle, LoadHandle):  # shards are silent until their end
        session.aborts.begin(handle)
    return finish_load(session, handle)


def finish_load(session: Session, handle: LoadHandle | ShardedLoad) -> LoadResult:
    """Wait for a load's end and store it."""
    result = handle.wait(session.stop)
    session.loads.append(result)
    session.store.add_load(session.run_id, result)
    for note in _notes(session, result):
        finding = Finding(Severity.NOTE, f"{result.load}: {note}", subject=result.load)
        if (result.stage, finding) not in session.findings:
            session.find(result.stage, finding)
    session.check_stop()
    return result


def _notes(session: Session, result: LoadResult) -> list[str]:
    """What whoever reads a load's figures must know."""
    notes = list(session.loaded.plan.scenarios[result.scenario].notes)
    if session.calibration is not None:
        notes += [note for near in (near_ceiling, near_floor) if (note := near(result, session.calibration))]
    if result.counts.reconnects:
        notes.append(f"{result.counts.reconnects} requests were sent again: their idle connections had been closed")
    return notes


def measure_suite(session: Session, use: UseSuite, stage: str, repetition: int = 1) -> SuiteResult:
    """Run a suite once.

    Raises:
        Interrupted: the run is to end.
        SuiteError: the suite cannot be run at all.
    """
    session.check_stop()
    label = label_of(use)
    session.say("suite", label, f"running, repetition {repetition}" if stage == "endurance" else "running")
    suite = session.loaded.plan.suites[use.suite]
    out = session.run_dir / "suites" / stage / label / str(repetition)
    with place_of(session.system, suite, label, out, base=session.loaded.base, journal=session.journal) as place:
        result = run_suite(
            use, suite, place, base=session.loaded.base, out=out, stage=stage, repetition=repetition,
            addresses=session.system.inner_environment() if suite.inside else session.system.environment(),
            clock=session.clock, stop=session.stop, seed=session.seed,
        )  # fmt: skip
    _redact(session, result)
    session.suites.append(result)
    session.store.add_suite(session.run_id, result)
    bad = sum(outcome.status.bad for outcome in result.outcomes)
    words = (
        result.problem
        or result.skipped
        or f"{len(result.outcomes)} tests, {bad} failed, {result.end - result.start:.1f} s"
    )
    session.say("suite", label, words)
    session.check_stop()
    return result


def _redact(session: Session, result: SuiteResult) -> None:
    """A test's message may show what it was given."""
    redact = session.loaded.redactor.redact
    result.command = redact(result.command)
    result.problem = redact(result.problem) if result.problem else result.problem
    for position, outcome in enumerate(result.outcomes):
        if outcome.message or outcome.traceback:
            message, traceback = redact(outcome.message), redact(outcome.traceback)
            result.outcomes[position] = replace(outcome, message=message, traceback=traceback)


def read_cycle(session: Session, repetition: int, settle: float) -> Sequence[Sample]:
    """Idle for a moment, then read every resource, at the same point of each repetition."""
    if session.loaded.plan.services:  # nothing else is there to come to rest
        session.stop.wait(settle)
    session.check_stop()
    if session.observer is None:
        return ()
    samples = session.observer.read_now()
    session.store.add_cycle(session.run_id, repetition, samples)
    return samples
