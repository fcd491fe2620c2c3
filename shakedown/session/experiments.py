"""The faults stage: steady load, one experiment after another, each watched until the system is back or the time is up."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shakedown.analysis.diagnosis import error_words, lying_health, not_recovered, wrong_health
from shakedown.analysis.health import compare_health, share_unhealthy
from shakedown.analysis.recovery import Steady, Timeline, find_effect, find_recovery, learn_steady, phase_stats
from shakedown.analysis.slots import SLOT
from shakedown.errors import GuardError, PlanError, PlanProblem
from shakedown.faults import Fault, FaultContext, build_fault, run_fault
from shakedown.load import LoadHandle
from shakedown.plan.model import Experiment, FaultsStage
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadResult
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.session.judging import judge_thresholds, show_value
from shakedown.session.live import Session
from shakedown.session.measure import finish_load, prepare_load
from shakedown.units import format_duration
from shakedown.verdict import Verdict, combine

__all__ = ["FaultBench", "bench_of"]

# What was measured reaches us up to half a second after it happened; only what is older than this is complete.
SETTLED = 0.9
LOOK_EVERY = 0.2
HEALTH_DELAY = 2.0  # a health endpoint may take this long to notice
HEALTH_SHARE = 0.7
HEALTH_WINDOW = 1.0  # in less time, a few looks would decide


@dataclass(slots=True)
class FaultBench:
    """The background load of the faults stage and the experiments under it."""

    session: Session
    stage: FaultsStage
    handle: LoadHandle | None = None
    load: LoadResult | None = None
    steady: Steady | None = None
    records: list[ExperimentRecord] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _warm: tuple[float, float] = (0.0, 0.0)

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
        self._warm = (begun + 0.5, begun + self.stage.warm_up)
        self.steady = learn_steady(self.handle.result(), self._timeline(), *self._warm, self.stage.tolerance)

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
        while self._faults:
            fault = self._faults.pop()
            try:
                fault.close()
            except GuardError as error:
                self.session.say("warning", "", str(error))

    def _timeline(self) -> Timeline:
        pulses = self.handle.pulses() if self.handle is not None else {}
        return Timeline(pulses, list(self.session.probes))

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
        context = FaultContext(session.system, session.journal, session.clock, session.stop)
        fault = build_fault(experiment.fault, context)
        self._faults.append(fault)
        record = ExperimentRecord(
            experiment.name,
            experiment.fault.type,
            experiment.fault.target,
            fault.parameters,
            fault.mechanism,
            fault.layers,
        )
        position = len(self.records)
        self.records.append(record)

        def save(state: ExperimentRecord) -> None:
            session.store.put_experiment(session.run_id, position, state)

        if position:
            self._sleep(self.stage.pause)
        if problem := self._await_steady():
            record.refused = problem
            save(record)
            session.say("fault", record.name, f"not injected: {problem}")
            return record
        session.say("fault", record.name, f"{record.fault} on {record.target} for {format_duration(experiment.hold)}")
        run_fault(fault, record, experiment.hold, context, session.on_event, save)
        session.check_stop()
        if record.reverted_at is not None:
            self._watch(record, experiment)
            save(record)
        return record

    def _await_steady(self) -> str | None:
        """Wait for the steady state before a fault; why it does not come.

        A machine's own disturbances pass. Where it did not come once, it is not waited for again.
        """
        patient = not any(record.refused for record in self.records)
        until = self.session.clock.now() + (self.stage.steady_within if patient else 0.0)
        while (problem := self._unsteady()) and self._may_come() and self.session.clock.now() < until:
            self._sleep(LOOK_EVERY)
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
        now = self.session.clock.now() - SETTLED
        width = self.stage.hold_window
        back = find_recovery(
            self._timeline(),
            self.steady,
            now - width - 3 * SLOT,
            now,
            hold_window=width,
            tolerance=self.stage.tolerance,
        )
        return None if back is not None else "the system is not in its steady state, so no further fault was injected"

    def _watch(self, record: ExperimentRecord, experiment: Experiment) -> None:
        """Wait until steady state holds again, at most as long as the plan allows."""
        session, reverted = self.session, record.reverted_at or 0.0
        limit = reverted + experiment.recover_within + self.stage.hold_window
        while True:
            now = session.clock.now()
            settled = min(now - SETTLED, limit)
            back = self._recovery(self._timeline(), record, settled) if settled > reverted else None
            if back is not None:
                record.watched_until = settled
                session.say("fault", record.name, f"recovered {format_duration(back - reverted)} after the revert")
                return
            if settled >= limit:
                record.watched_until = limit
                session.say("fault", record.name, f"not recovered within {format_duration(experiment.recover_within)}")
                return
            self._sleep(LOOK_EVERY)

    def _recovery(self, timeline: Timeline, record: ExperimentRecord, end: float) -> float | None:
        if self.steady is None or record.reverted_at is None:
            return None
        return find_recovery(
            timeline,
            self.steady,
            record.reverted_at,
            end,
            hold_window=self.stage.hold_window,
            tolerance=self.stage.tolerance,
        )

    # ------------------------------------------------------------------------------------------------------- judgement
    def judge(self) -> list[tuple[Verdict, str]]:
        """Judge every experiment on everything that was measured; verdicts with their reasons."""
        found: list[tuple[Verdict, str]] = []
        for position, (record, experiment) in enumerate(zip(self.records, self.stage.experiments, strict=False)):
            recovery = self._measure(record)
            verdict, reason = self._judge_one(record, experiment, recovery)
            self.session.store.put_experiment(self.session.run_id, position, record, recovery, verdict, reason)
            found.append((verdict, f"{record.name}: {reason}" if reason else record.name))
        return found

    def _measure(self, record: ExperimentRecord) -> RecoveryMeasurement | None:
        load = self.load
        if load is None or self.steady is None or record.applied_at is None or record.reverted_at is None:
            return None
        watched = record.watched_until if record.watched_until is not None else record.reverted_at
        probes = self.session.results.probes(self.session.run_id)
        timeline = Timeline(load.pulses, probes)
        effect = find_effect(timeline, self.steady, record.applied_at, watched)
        back = self._recovery(timeline, record, watched)
        phases = [phase_stats(load, "before", *self._warm)]
        phases.append(phase_stats(load, "during", record.applied_at, record.revert_asked_at or record.reverted_at))
        if back is not None:
            phases.append(phase_stats(load, "after", back, max(watched, back + self.stage.hold_window)))
        until = back if back is not None else watched
        bad = sum(1 for slot, pulse in load.pulses.items() if pulse.bad and record.applied_at <= slot * SLOT < watched)
        return RecoveryMeasurement(
            experiment=record.name,
            detected_after=effect - record.applied_at if effect is not None else None,
            recovered_after=back - record.reverted_at if back is not None else None,
            censored_at=None if back is not None else watched - record.reverted_at,
            resolution=SLOT,
            error_seconds=bad * SLOT,
            phases=tuple(phases),
            health=tuple(
                compare_health(timeline, service, record.applied_at, until) for service in self._probed(probes, record)
            ),
            problem=load.generator.starved,
        )

    def _probed(self, probes: Sequence[ProbeResult], record: ExperimentRecord) -> list[str]:
        """The services whose health can be held against what clients saw: the one they talk to, and the disturbed one."""
        looked_at = {probe.service for probe in probes}
        return [name for name in dict.fromkeys((self._client(), record.target)) if name in looked_at]

    def _judge_one(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement | None
    ) -> tuple[Verdict, str]:
        if record.refused is not None:
            return Verdict.INCONCLUSIVE, f"not injected: {record.refused}"
        if record.gone is None or not record.gone.held:
            evidence = record.gone.evidence if record.gone else record.error or "it was never looked for"
            self._find(Severity.FAILURE, record, f"{record.name}: the fault could not be proved gone", evidence)
            return Verdict.FAILED, f"the fault could not be proved gone: {evidence}"
        if record.error is not None or recovery is None:
            return Verdict.ERROR, record.error or "nothing was measured"
        if record.effect is None or not record.effect.held:
            evidence = record.effect.evidence if record.effect else "it was never looked for"
            return Verdict.INCONCLUSIVE, f"the fault did not take effect: {evidence}"
        if recovery.problem:
            return Verdict.INCONCLUSIVE, recovery.problem
        parts = [self._judge_recovery(record, experiment, recovery)]
        parts += self._judge_health(record, experiment, recovery)
        parts += self._judge_expectations(record, experiment, recovery)
        verdict = combine(part for part, _ in parts)
        return verdict, "; ".join(words for part, words in parts if part is verdict and words)

    def _judge_recovery(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement
    ) -> tuple[Verdict, str]:
        took = recovery.recovered_after
        if took is not None and took <= experiment.recover_within:
            return Verdict.PASSED, f"recovered {format_duration(took)} after the revert"
        client = self._client()
        since = (record.watched_until or 0.0) - 2.0
        errors = error_words(self.load, since) if self.load else []
        finding = not_recovered(
            record, recovery, experiment.recover_within, client=client, unhealthy=self._unhealthy(record), errors=errors
        )
        self.session.find("faults", finding)
        return Verdict.FAILED, finding.title

    def _client(self) -> str:
        scenario = self.session.loaded.plan.scenarios[self.stage.load.use]
        return (scenario.target or "").partition(".")[0]

    def _unhealthy(self, record: ExperimentRecord) -> list[str]:
        """Services that were healthy in the steady state and were not when the watching ended."""
        last: dict[str, bool] = {}
        for probe in self.session.results.probes(self.session.run_id):
            if probe.at <= (record.watched_until or 0.0):
                last[probe.service] = probe.healthy
        known = self.steady.healthy if self.steady else frozenset()
        return [name for name, healthy in last.items() if name in known and not healthy]

    def _judge_health(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement
    ) -> list[tuple[Verdict, str]]:
        parts: list[tuple[Verdict, str]] = []
        lied: set[str] = set()
        for truth in recovery.health:
            if truth.service == self._client() and (lie := lying_health(record, truth)):
                self.session.find("faults", lie)
                parts.append((Verdict.FAILED, lie.title))
                lied.add(truth.service)
        probes = self.session.results.probes(self.session.run_id)
        start, end = (record.applied_at or 0.0) + HEALTH_DELAY, record.revert_asked_at or 0.0
        for service, wanted in experiment.expect.health.items():
            share = share_unhealthy(probes, service, start, end) if end - start >= HEALTH_WINDOW else None
            good = share is not None and (share >= HEALTH_SHARE if wanted == "unhealthy" else share <= 1 - HEALTH_SHARE)
            if good:
                parts.append((Verdict.PASSED, ""))
                continue
            finding = wrong_health(record, service, wanted, share)
            if service not in lied:
                self.session.find("faults", finding)
            parts.append((Verdict.INCONCLUSIVE if share is None else Verdict.FAILED, finding.title))
        return parts

    def _judge_expectations(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement
    ) -> list[tuple[Verdict, str]]:
        load, parts = self.load, []
        windows = {"during": (record.applied_at, record.revert_asked_at)}
        if recovery.recovered_after is not None and record.reverted_at is not None:
            back = record.reverted_at + recovery.recovered_after
            windows["after"] = (back, max(record.watched_until or back, back + self.stage.hold_window))
        for phase in ("during", "after"):
            texts = getattr(experiment.expect, phase)
            if not texts or load is None:
                continue
            if phase not in windows:
                parts += [(Verdict.INCONCLUSIVE, f"{text}: there was no time after recovery") for text in texts]
                continue
            start, end = windows[phase]
            for result in judge_thresholds(
                self.session, "faults", texts, loads=[load], start=start, end=end, scope=f"{record.name}, {phase}"
            ):
                words = f"{phase}: {result.text}: {show_value(result.actual, result.unit)} {result.reason}".strip()
                parts.append((result.verdict, words))
                if result.verdict is Verdict.FAILED:
                    self._find(
                        Severity.FAILURE,
                        record,
                        f"{record.name}: {words}",
                        "what clients saw was worse than the plan allows",
                    )
        return parts

    def _find(self, severity: Severity, record: ExperimentRecord, title: str, cause: str) -> None:
        self.session.find("faults", Finding(severity, title, cause, subject=record.name))


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
