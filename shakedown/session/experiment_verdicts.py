"""What is concluded of each experiment, from everything that was measured.

Every experiment whose fault took effect is judged by its recovery, its health, what the plan expects of it, and by
`shakedown.session.behaviour.judge`, whose findings and record are stored beside the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shakedown.analysis.diagnosis import error_words, lying_health, not_recovered, wrong_health
from shakedown.analysis.health import compare_health, share_unhealthy
from shakedown.analysis.recovery import Steady, Timeline, find_effect, find_recovery, phase_stats
from shakedown.analysis.slots import SLOT
from shakedown.plan.experiments import Experiment, Staircase
from shakedown.plan.model import FaultsStage
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadResult
from shakedown.records.observation import ProbeResult
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.session import behaviour, causes
from shakedown.session.judging import judge_thresholds, show_value
from shakedown.session.live import Session
from shakedown.units import format_duration
from shakedown.verdict import Verdict, combine

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["judge_experiments", "recovery_in"]

HEALTH_DELAY = 2.0  # a health endpoint may take this long to notice
HEALTH_SHARE = 0.7
HEALTH_WINDOW = 1.0  # in less time, a few looks would decide


def recovery_in(
    timeline: Timeline, steady: Steady | None, stage: FaultsStage, record: ExperimentRecord, end: float
) -> float | None:
    """When steady state held again after an experiment's last revert; None when it did not by `end`."""
    if steady is None or record.reverted_at is None:
        return None
    return find_recovery(
        timeline, steady, record.reverted_at, end, hold_window=stage.hold_window, tolerance=stage.tolerance
    )


def judge_experiments(bench: "FaultBench") -> list[tuple[Verdict, str]]:
    """Judge and store every experiment of a bench whose load has ended; verdicts with their reasons."""
    return _Judge(bench, bench.session, bench.stage, bench.load, bench.steady, bench.warm).judge(bench.records)


@dataclass(frozen=True, slots=True)
class _Judge:
    bench: "FaultBench"
    session: Session
    stage: FaultsStage
    load: LoadResult | None
    steady: Steady | None
    warm: tuple[float, float]  # from when to when the steady state was learned

    def judge(self, records: Sequence[ExperimentRecord]) -> list[tuple[Verdict, str]]:
        found: list[tuple[Verdict, str]] = []
        for position, (record, experiment) in enumerate(
            zip(records, self.session.loaded.plan.experiments, strict=False)
        ):
            recovery = self._measure(record)
            verdict, reason, recovery = self._judge_one(record, experiment, recovery)
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
        back = recovery_in(timeline, self.steady, self.stage, record, watched)
        phases = [phase_stats(load, "before", *self.warm)]
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
        return [name for name in dict.fromkeys((self._client(), *record.targets)) if name in looked_at]

    def _judge_one(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement | None
    ) -> tuple[Verdict, str, RecoveryMeasurement | None]:
        """The verdict with its reason, and the measurement with what was found out about it."""
        undecided = self._undecided(record, recovery)
        if undecided is not None or recovery is None or self.load is None:
            return *(undecided or (Verdict.ERROR, "nothing was measured")), recovery
        behaved = behaviour.judge(self.session, record, recovery, self.load, self.bench)
        parts = [self._judge_recovery(record, experiment, recovery, behaved.not_recovered)]
        parts += self._judge_health(record, experiment, recovery)
        parts += self._judge_expectations(record, experiment, recovery)
        for finding in behaved.findings:
            self.session.find("faults", finding)
        parts += behaved.parts
        verdict = combine(part for part, _ in parts)
        reason = "; ".join(words for part, words in parts if part is verdict and words)
        return verdict, reason, replace(recovery, behaviour=behaved.record)

    def _undecided(self, record: ExperimentRecord, recovery: RecoveryMeasurement | None) -> tuple[Verdict, str] | None:
        """What forbids to judge the system by this experiment; None when nothing does."""
        left = next(
            (one for one in record.injections if one.asked_at is not None and not (one.gone and one.gone.held)), None
        )
        if left is not None:  # before everything else: what is left over spoils whatever comes after it
            evidence = left.gone.evidence if left.gone else left.error or "it was never looked for"
            self._find(Severity.FAILURE, record, f"{record.name}: the fault could not be proved gone", evidence)
            return Verdict.FAILED, f"the fault could not be proved gone: {evidence}"
        if record.refused is not None:
            return Verdict.INCONCLUSIVE, f"not injected: {record.refused}"
        if record.error is not None or recovery is None:
            return Verdict.ERROR, record.error or "nothing was measured"
        if record.aborted is not None:
            return Verdict.INCONCLUSIVE, f"ended early: {record.aborted}"
        if record.effect is None or not record.effect.held:
            evidence = record.effect.evidence if record.effect else "it was never looked for"
            return Verdict.INCONCLUSIVE, f"the fault did not take effect: {evidence}"
        if recovery.problem:
            return Verdict.INCONCLUSIVE, recovery.problem
        return None

    def _judge_recovery(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement, known: Finding | None
    ) -> tuple[Verdict, str]:
        """Args: known: what its behaviour tells of why it did not come back."""
        took = recovery.recovered_after
        if took is not None and took <= experiment.recover_within:
            return Verdict.PASSED, f"recovered {format_duration(took)} after the revert"
        client = self._client()
        since = (record.watched_until or 0.0) - 2.0
        errors = error_words(self.load, since) if self.load else []
        finding = (
            causes.late_recovery(self.bench, record, experiment.recover_within, client)
            or known
            or not_recovered(
                record,
                recovery,
                experiment.recover_within,
                client=client,
                unhealthy=self._unhealthy(record),
                errors=errors,
            )
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
        if experiment.staircase is not None:
            parts.append(self._judge_staircase(record, experiment.staircase))
        for phase in ("after",) if experiment.staircase is not None else ("during", "after"):
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
                    cause, advice = causes.breach_of(result, load, start, end)
                    title = f"{record.name}: {words}"
                    self.session.find("faults", Finding(Severity.FAILURE, title, cause, (), advice, record.name))
        return parts

    def _judge_staircase(self, record: ExperimentRecord, staircase: Staircase) -> tuple[Verdict, str]:
        """The steps that must hold did; how far it went beyond is said and not judged."""
        words = f"{staircase.parameter}: {record.limit or 'no step was taken'}"
        if record.held >= staircase.required:
            self.session.find(
                "faults", Finding(Severity.NOTE, f"{record.name}: {record.limit}", "", subject=record.name)
            )
            return Verdict.PASSED, ""
        if not record.broke:
            return Verdict.INCONCLUSIVE, words
        self._find(
            Severity.FAILURE, record, f"{record.name}: {words}", "what clients saw was worse than the plan allows"
        )
        return Verdict.FAILED, words

    def _find(self, severity: Severity, record: ExperimentRecord, title: str, cause: str) -> None:
        self.session.find("faults", Finding(severity, title, cause, subject=record.name))
