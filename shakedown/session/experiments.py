"""The faults stage: steady load, one experiment after another, each watched until the system is back or the time is up."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from shakedown.analysis.recovery import Holds, Steady, Timeline, find_recovery, learn_steady
from shakedown.analysis.slots import SLOT
from shakedown.errors import GuardError, PlanError, PlanProblem
from shakedown.faults import Fault, FaultContext, Gate, Planned, build_fault, run_fault, schedule_of, seed_of
from shakedown.faults.agents import Agents
from shakedown.guard import Watchdog
from shakedown.load import LoadHandle
from shakedown.observe import whole_machine
from shakedown.plan.abort import Condition, parse_condition
from shakedown.plan.experiments import Experiment
from shakedown.plan.model import FaultsStage
from shakedown.records.experiment import ExperimentRecord, Injection
from shakedown.records.load import LoadResult
from shakedown.session.alerting import judge_quiet_alerts
from shakedown.session.causes import name_experiments
from shakedown.session.experiment_verdicts import judge_experiments
from shakedown.session.judging import look_at_thresholds, show_value
from shakedown.session.live import Session
from shakedown.session.measure import finish_load, prepare_load
from shakedown.session.recoveries import recovery_in
from shakedown.session.steady_state import DeclaredSteady
from shakedown.units import format_duration
from shakedown.verdict import Verdict

__all__ = ["FaultBench", "bench_of"]

# What was measured reaches us up to half a second after it happened; only what is older than this is complete.
SETTLED = 0.9
LOOK_EVERY = 0.2
STRAGGLERS = 10.0  # seconds that the answers to a step of a staircase are waited for, once it is over
SAMPLED_WITHIN = 5.0  # seconds until everything that is sampled once a second must have a value


@dataclass(slots=True)
class FaultBench:
    """The background load of the faults stage and the experiments under it."""

    session: Session
    stage: FaultsStage
    handle: LoadHandle | None = None
    load: LoadResult | None = None
    steady: Steady | None = None
    records: list[ExperimentRecord] = field(default_factory=list)
    warm: tuple[float, float] = (0.0, 0.0)  # from when to when the steady state was learned
    _faults: list[Fault[Any]] = field(default_factory=list)
    _agents: Agents = field(init=False)
    _usual: int = 0  # iterations under way at a quiet moment
    declared: DeclaredSteady = field(init=False)  # what the plan says that steady state needs
    _patient: bool = True  # whether the steady state is worth waiting for: it came each time

    def __post_init__(self) -> None:
        self._agents = Agents(self.session.system, self.session.journal)
        self.declared = DeclaredSteady(self.session, self.stage)

    @property
    def client(self) -> str:
        """The service that the load talks to."""
        scenario = self.session.loaded.plan.scenarios[self.stage.load.use]
        return (scenario.target or "").partition(".")[0]

    # -------------------------------------------------------------------------------------------------------- the load
    def warm_up(self) -> None:
        """Start the background load and learn what normal is.

        Raises:
            Interrupted: the run is to end.
        """
        self.handle = prepare_load(self.session, self.stage.load, "faults", until_stopped=True)
        self.handle.start()
        if self.session.aborts is not None:
            self.session.aborts.begin(self.handle)
        begun = self.session.clock.now()
        self.session.say("fault", "", f"steady load for {format_duration(self.stage.warm_up)}")
        self._sleep(self.stage.warm_up + SETTLED)
        self._usual = _under_way(self.handle)
        self.warm = (begun + 0.5, begun + self.stage.warm_up)
        load = self.handle.result()
        self.steady = learn_steady(load, self._timeline(), *self.warm, self.stage.tolerance)
        if problem := self.declared.learn(load, *self.warm):
            self.steady = replace(self.steady, problem=self.steady.problem or problem)

    def finish(self) -> LoadResult:
        """End the background load, and let go of what the faults needed.

        Raises:
            Interrupted: the run is to end; the load ended all the same.
        """
        try:
            if self.handle is None:
                raise RuntimeError("the load was never started")
            self.handle.stop()
            self.load = finish_load(self.session, self.handle)
            return self.load
        finally:
            self.close()

    def close(self) -> None:
        """End what is still there, whatever happened."""
        if self.handle is not None and self.load is None:
            self.handle.kill()
        closing = [fault.close for fault in reversed(self._faults)]
        self._faults.clear()
        for close in (*closing, self._agents.close):
            try:
                close()
            except GuardError as error:
                self.session.say("warning", "", str(error))

    def _timeline(self) -> Timeline:
        if self.handle is None:
            return Timeline({}, list(self.session.probes))
        return Timeline(self.handle.pulses(), list(self.session.probes), self.handle.dues())

    def _settled(self) -> float:
        """Up to when what was due has ended, but for what is slower than usual; that lacks until it has, or fails."""
        usual = self.steady.p95 if self.steady is not None else None
        return self.session.clock.now() - SETTLED - (usual or 0.0)

    def _holds(self) -> Holds | None:
        """What the plan declares, judged on what is known now."""
        if not self.declared or self.handle is None:
            return None
        load, complete = self.handle.result(), self._settled()
        return lambda second: self.declared.holds(load, second, complete)

    def _sleep(self, seconds: float) -> None:
        self.session.stop.wait(seconds)
        self.session.check_stop()

    # --------------------------------------------------------------------------------------------------- an experiment
    def run(self, experiment: Experiment) -> ExperimentRecord:
        """Inject, hold, revert, and watch until the system is back or its time is up.

        Raises:
            Interrupted: the run is to end; the fault was reverted.
        """
        session = self.session
        record = ExperimentRecord(experiment.name)
        position = len(self.records)
        self.records.append(record)
        saving = threading.Lock()  # faults at the same time save the same record

        def save() -> None:
            with saving:
                session.store.put_experiment(session.run_id, position, record)

        if position:
            self._sleep(self.stage.pause)
        context = FaultContext(
            session.system, session.journal, session.clock, session.stop, self._agents, session.seed,
            redact=session.loaded.redactor.redact,
        )  # fmt: skip
        planned = schedule_of(experiment, session.seed)
        if problem := self._await_steady() or self._unwatched(experiment) or self._unguarded():
            self._begin(planned[0], record, context)[1].refused = problem
            save()
            session.say("fault", record.name, f"not injected: {problem}")
            return record
        with self._guarded(experiment, record, context):
            self._inject(experiment, planned, record, context, save)
        session.check_stop()
        if record.reverted_at is not None:
            self._watch(record, experiment)
        save()
        return record

    def _begin(self, planned: Planned, record: ExperimentRecord, context: FaultContext) -> tuple[Fault[Any], Injection]:
        """The fault, with a seed of its own, and its entry in the record."""
        seed = seed_of(self.session.seed, record.name, len(record.injections))
        fault = build_fault(planned.fault, replace(context, seed=seed, agents=self._agents.shared()))
        self._faults.append(fault)
        injection = Injection(planned.fault.type, planned.fault.where, fault.parameters, fault.mechanism, fault.layers)
        record.injections.append(injection)
        return fault, injection

    def _inject(
        self,
        experiment: Experiment,
        planned: Sequence[Planned],
        record: ExperimentRecord,
        context: FaultContext,
        save: Callable[[], None],
    ) -> None:
        """Bring about everything that an experiment has, each at its time; what is due together begins together."""
        for at, group in itertools.groupby(planned, key=lambda one: one.at):
            if at and record.applied_at is not None:
                begin = self.session.clock.monotonic(record.applied_at + at)
                while time.monotonic() < begin and not context.ending:
                    context.stop.wait(min(LOOK_EVERY, max(begin - time.monotonic(), 0.0)))
            if context.ending:
                return
            together = [(one, *self._begin(one, record, context)) for one in group]
            gate = Gate(len(together))
            threads = [
                threading.Thread(target=self._live, args=(one, fault, injection, record, save, gate), name="fault")
                for one, fault, injection in together
            ]
            for one, _, injection in together:
                words = f"{injection.fault} on {injection.target}".removesuffix(" on ")
                parameters = f" ({injection.parameters})" if len(planned) > 1 and injection.parameters else ""
                self.session.say("fault", record.name, f"{words}{parameters} for {format_duration(one.hold)}")
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if any(injection.refused or injection.error for _, _, injection in together):
                return
            if experiment.staircase is not None and self._broken(experiment, record):
                return

    def _live(
        self, planned: Planned, fault: Fault[Any], injection: Injection, record: ExperimentRecord,
        save: Callable[[], None], gate: Gate,
    ) -> None:  # fmt: skip
        try:
            run_fault(
                fault, injection, planned.hold, fault.context, subject=record.name, on_event=self.session.on_event, save=save,
                gate=gate,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - it is told in the record; a thread has nobody to raise it to
            injection.error = injection.error or f"{type(error).__name__}: {error}"

    def _broken(self, experiment: Experiment, record: ExperimentRecord) -> bool:
        """Whether the climb ends with this step, as it broke what is expected; what that says of the limit is noted.

        A step that cannot be judged, or whose fault had no effect, holds nothing: the climb ends there as well.
        """
        staircase, step = experiment.staircase, record.injections[-1]
        if staircase is None or self.handle is None:
            return False
        results = look_at_thresholds(
            self.session, "faults", experiment.expect.during, loads=[self._load_until(step.revert_asked_at or 0.0)],
            start=step.applied_at, end=step.revert_asked_at,
        )  # fmt: skip
        value = staircase.values[len(record.injections) - 1]
        before = f"held at {staircase.values[len(record.injections) - 2]}, " if len(record.injections) > 1 else ""
        broken = next((result for result in results if result.verdict is Verdict.FAILED), None)
        doubt = next((result for result in results if result.verdict is not Verdict.PASSED), None)
        if broken is None and doubt is None and step.effect is not None and step.effect.held:
            record.held += 1
            record.limit = f"held up to {staircase.parameter} {value}"
            return False
        record.broke = broken is not None
        if broken is None:
            why = f"{doubt.text}: {doubt.reason or doubt.verdict}" if doubt is not None else "it had no effect"
            record.limit = f"{before}unknown at {staircase.parameter} {value}: {why}"
            return True
        record.limit = f"{before}broke at {staircase.parameter} {value}: {broken.text} was {show_value(broken.actual, broken.unit)}"
        return True

    def _load_until(self, at: float) -> LoadResult:
        """The load under way as if it had ended at a time that is past; what was sent before it has ended by now.

        Answers that are still awaited are missing from every figure, and they are the slowest: without them a step
        would look better than it was.
        """
        assert self.handle is not None  # noqa: S101 - the caller looked
        until = self.session.clock.now() + SETTLED + STRAGGLERS
        self._sleep(SETTLED)
        while _under_way(self.handle) > self._usual and self.session.clock.now() < until:
            self._sleep(LOOK_EVERY)
        result = self.handle.result(until=at)
        counts = result.counts
        ended = counts.ok + counts.failed + counts.timed_out + counts.cancelled
        return replace(result, counts=replace(counts, started=ended, scheduled=ended + counts.dropped))

    # ------------------------------------------------------------------------------------------------- ending it early
    @contextmanager
    def _guarded(self, experiment: Experiment, record: ExperimentRecord, context: FaultContext) -> Iterator[None]:
        """While inside, a condition of `abort_if` that is met ends the experiment's faults at once."""
        over = threading.Event()
        conditions = [parse_condition(text) for text in experiment.abort_if]

        def look() -> None:
            while not over.wait(LOOK_EVERY):
                met = next((one for one in conditions if self._met(one)), None)
                if met is not None:
                    record.aborted = met.text
                    self.session.say("fault", record.name, f"ended early: {met.text}")
                    context.halt.set()
                    return

        watching = threading.Thread(target=look, name="abort-if", daemon=True)
        if conditions:
            watching.start()
        try:
            yield
        finally:
            over.set()
            if conditions:
                watching.join()

    def _unwatched(self, experiment: Experiment) -> str | None:
        """Why a condition of `abort_if` could never end the experiment: a guard that sees nothing guards nothing."""
        until = self.session.clock.now() + SAMPLED_WITHIN
        conditions = [parse_condition(text) for text in experiment.abort_if]
        while blind := [one for one in conditions if (one.subject, one.series) not in self.session.latest]:
            if self.session.clock.now() > until:
                return (
                    f"`{blind[0].text}` cannot be watched: there is no sample of {blind[0].subject}.{blind[0].series}"
                )
            self._sleep(LOOK_EVERY)
        met = next((one for one in conditions if self._met(one)), None)
        return f"`{met.text}` is so before anything was injected" if met is not None else None

    def _unguarded(self) -> str | None:
        """Why there is nobody who would take a fault back if this process died; a watchdog that died is replaced."""
        session = self.session
        if session.watchdog.alive:
            return None
        session.watchdog.close()
        try:
            session.watchdog = Watchdog.start(session.run_dir, session.run_id)
        except GuardError as error:
            return f"the watchdog died: {error}"
        session.say("warning", "", "the watchdog died; another one was started")
        return None

    def _met(self, condition: Condition) -> bool:
        latest = self.session.latest.get((condition.subject, condition.series))
        if latest is None:
            return False
        return condition.met(latest / (whole_machine(condition.series) if condition.share else 1.0))

    # ------------------------------------------------------------------------------------------------------ steady state
    def _await_steady(self) -> str | None:
        """Wait for the steady state before a fault; why it does not come.

        A machine's own disturbances pass. Where it did not come once, it is not waited for again.
        """
        until = self.session.clock.now() + (self.stage.steady_within if self._patient else 0.0)
        while (problem := self._unsteady()) and self._may_come() and self.session.clock.now() < until:
            self._sleep(LOOK_EVERY)
        self._patient = self._patient and problem is None
        return problem

    def _may_come(self) -> bool:
        return self.steady is not None and not self.steady.problem

    def _unsteady(self) -> str | None:
        """Why no fault may be injected now: what came after could not be told from what was before."""
        if self.session.aborts is not None and self.session.aborts.breached:
            return f"the load was ended by {self.session.aborts.breached[0].text}"
        if self.steady is None:
            return "no steady state was learned"
        if self.steady.problem:
            return f"there was no steady state to begin with: {self.steady.problem}"
        now = self._settled()
        width = self.stage.hold_window
        found = find_recovery(
            self._timeline(),
            self.steady,
            now - width - 3 * SLOT,
            now,
            hold_window=width,
            tolerance=self.stage.tolerance,
        )
        if found.back is None:
            return "the system is not in its steady state, so no further fault was injected"
        if (holds := self._holds()) is not None:
            verdict, why = holds(int(now) - self.declared.width)
            if verdict is not Verdict.PASSED:
                return f"the system is not in its steady state, so no further fault was injected: {why}"
        return None

    def _watch(self, record: ExperimentRecord, experiment: Experiment) -> None:
        """Wait until steady state holds again, at most as long as the plan allows."""
        session, reverted = self.session, record.reverted_at or 0.0
        limit = reverted + experiment.recover_within + self.stage.hold_window
        more = 1.0 if self.declared else 0.0  # windows of whole seconds end later
        while True:
            settled = self._settled()
            back = None
            if settled > reverted:
                until = min(settled, limit)
                back = recovery_in(self._timeline(), self.steady, self.stage, record, until, self._holds()).back
            if back is not None:
                record.watched_until = min(settled, limit)
                took = format_duration(max(back.at - reverted, 0.0))
                session.say("fault", record.name, f"recovered {took} after the revert")
                return
            if settled >= limit + more:
                record.watched_until = limit
                session.say("fault", record.name, f"not recovered within {format_duration(experiment.recover_within)}")
                return
            self._sleep(LOOK_EVERY)

    def judge(self) -> list[tuple[Verdict, str]]:
        """Judge every experiment on everything that was measured; verdicts with their reasons."""
        name_experiments(self)  # first: what explains the others
        quiet = judge_quiet_alerts(self.session, "faults", *self.warm, when="in the steady load before the faults")
        return [part for part in quiet if part[0] is not Verdict.PASSED] + judge_experiments(self)


def _under_way(handle: LoadHandle) -> int:
    counts = handle.snapshot().counts
    return counts.started - counts.ok - counts.failed - counts.timed_out - counts.cancelled


def bench_of(session: Session) -> FaultBench:
    """The session's fault bench, made when it is first asked for.

    Raises:
        PlanError: the plan has no faults stage.
    """
    stage = session.loaded.plan.stages.faults
    if session.bench is None:
        if stage is None:
            raise PlanError([PlanProblem("the plan has no faults stage", key="stages.faults")])
        session.bench = FaultBench(session, stage)
    return session.bench
