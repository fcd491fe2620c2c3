"""What is concluded of each experiment, from everything that was measured.

Every experiment whose fault took effect is judged by its recovery, its health, what the plan expects of it, and by
`shakedown.session.behaviour.judge`, whose findings and record are stored beside the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shakedown.analysis.diagnosis import error_words, not_recovered
from shakedown.analysis.recovery import Steady
from shakedown.analysis.worse import describe, recovered_but_worse
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
from shakedown.session.recoveries import measure_recovery, quiet_until
from shakedown.session.signal_verdicts import judge_alerts, judge_health
from shakedown.units import format_duration
from shakedown.verdict import Verdict, combine

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["judge_experiments"]


def judge_experiments(bench: "FaultBench") -> list[tuple[Verdict, str]]:
    """Judge and store every experiment of a bench whose load has ended; verdicts with their reasons."""
    probes = bench.session.results.probes(bench.session.run_id)
    return _Judge(bench, bench.session, bench.stage, bench.load, bench.steady, bench.warm, probes).judge(bench.records)


@dataclass(frozen=True, slots=True)
class _Judge:
    bench: "FaultBench"
    session: Session
    stage: FaultsStage
    load: LoadResult | None
    steady: Steady | None
    warm: tuple[float, float]  # from when to when the steady state was learned
    probes: Sequence[ProbeResult]  # of the whole run: read once for all experiments

    def judge(self, records: Sequence[ExperimentRecord]) -> list[tuple[Verdict, str]]:
        found: list[tuple[Verdict, str]] = []
        for position, (record, experiment) in enumerate(
            zip(records, self.session.loaded.plan.experiments, strict=False)
        ):
            recovery = measure_recovery(self.bench, record, experiment, self.probes)
            verdict, reason, recovery = self._judge_one(record, experiment, recovery)
            self.session.store.put_experiment(self.session.run_id, position, record, recovery, verdict, reason)
            found.append((verdict, f"{record.name}: {reason}" if reason else record.name))
        return found

    def _judge_one(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement | None
    ) -> tuple[Verdict, str, RecoveryMeasurement | None]:
        """The verdict with its reason, and the measurement with what was found out about it."""
        undecided = self._undecided(record, recovery)
        if undecided is not None or recovery is None or self.load is None:
            return *(undecided or (Verdict.ERROR, "nothing was measured")), recovery
        behaved = behaviour.judge(self.session, record, recovery, self.load, self.bench, self.probes)
        parts = [self._judge_recovery(record, experiment, recovery, behaved.not_recovered)]
        quiet = quiet_until(self.bench, record)
        parts += judge_health(self.bench, record, experiment, recovery, self.probes, quiet)
        parts += judge_alerts(self.bench, record, experiment, recovery, quiet)
        parts += self._judge_worse(record, recovery)
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
        if took is None and recovery.doubt:
            return Verdict.INCONCLUSIVE, f"whether it came back cannot be said: {recovery.doubt}"
        if took is None and (recovery.censored_at or 0.0) < experiment.recover_within:
            watched = format_duration(recovery.censored_at or 0.0)
            return Verdict.INCONCLUSIVE, f"not back when its watching was cut short, {watched} after the revert"
        client = self.bench.client
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
        said = [line for line in recovery.wrong if line not in finding.evidence]
        self.session.find("faults", replace(finding, evidence=(*finding.evidence, *said)))
        return Verdict.FAILED, finding.title

    def _judge_worse(self, record: ExperimentRecord, recovery: RecoveryMeasurement) -> list[tuple[Verdict, str]]:
        """Steady state is back, but something is worse than it was: a finding of its own."""
        worse = [item for item in recovery.worse if item.verdict is Verdict.FAILED]
        if worse:
            finding = recovered_but_worse(record.name, worse)
            self.session.find("faults", finding)
            return [(Verdict.FAILED, finding.title)]
        return [
            (Verdict.INCONCLUSIVE, f"back, but {describe(item)}; {item.reason}")
            for item in recovery.worse
            if item.verdict is Verdict.INCONCLUSIVE
        ]

    def _unhealthy(self, record: ExperimentRecord) -> list[str]:
        """Services that were healthy in the steady state and were not when the watching ended."""
        last: dict[str, bool] = {}
        for probe in self.probes:
            if probe.at <= (record.watched_until or 0.0):
                last[probe.service] = probe.healthy
        known = self.steady.healthy if self.steady else frozenset()
        return [name for name, healthy in last.items() if name in known and not healthy]

    def _judge_expectations(
        self, record: ExperimentRecord, experiment: Experiment, recovery: RecoveryMeasurement
    ) -> list[tuple[Verdict, str]]:
        load, parts = self.load, []
        windows = {"during": (record.applied_at, record.revert_asked_at)}
        if recovery.recovered_after is not None and record.reverted_at is not None:
            back = record.reverted_at + recovery.recovered_after
            windows["after"] = (back, max(quiet_until(self.bench, record), back + self.stage.hold_window))
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
        self._find(Severity.FAILURE, record, f"{record.name}: {words}", "")
        return Verdict.FAILED, words

    def _find(self, severity: Severity, record: ExperimentRecord, title: str, cause: str) -> None:
        self.session.find("faults", Finding(severity, title, cause, subject=record.name))
