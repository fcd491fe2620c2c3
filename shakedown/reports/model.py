"""What a report shows, collected from the database alone."""

from dataclasses import dataclass

from shakedown.analysis.flakes import TestRecord, merge_tests
from shakedown.records.judgement import Finding, ThresholdResult
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadResult
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison
from shakedown.records.suites import SuiteResult
from shakedown.results import Results, RunInfo, StageInfo
from shakedown.results.queries import ExperimentInfo

__all__ = ["Report", "collect"]


@dataclass(frozen=True, slots=True)
class Report:
    """One run, as a reader sees it."""

    run: RunInfo
    stages: list[StageInfo]
    services: list[tuple[str, str, str]]
    thresholds: list[tuple[str, str, ThresholdResult]]
    findings: list[tuple[str, Finding]]
    loads: list[LoadResult]
    suites: list[SuiteResult]
    tests: list[TestRecord]
    experiments: list[ExperimentInfo]
    ledgers: list[LedgerResult]
    comparisons: list[Comparison]
    cycles: list[tuple[int, Sample]]
    samples: list[Sample]
    probes: list[ProbeResult]
    events: list[Event]

    def stage_loads(self, stage: str) -> list[LoadResult]:
        """The loads of a stage, in order."""
        return [load for load in self.loads if load.stage == stage]

    def stage_suites(self, stage: str) -> list[SuiteResult]:
        """The suites of a stage, in order."""
        return [suite for suite in self.suites if suite.stage == stage]


def collect(results: Results, run: str) -> Report:
    """Collect a report.

    Raises:
        UsageError: there is no such run.
    """
    info = results.run(run)
    suites = results.suites(info.id)
    return Report(
        run=info,
        stages=results.stages(info.id),
        services=results.services(info.id),
        thresholds=results.thresholds(info.id),
        findings=results.findings(info.id),
        loads=results.loads(info.id),
        suites=suites,
        tests=merge_tests([suite for suite in suites if suite.stage == "endurance"]),
        experiments=results.experiments(info.id),
        ledgers=results.ledgers(info.id),
        comparisons=results.comparisons(info.id),
        cycles=results.cycles(info.id),
        samples=results.samples(info.id),
        probes=results.probes(info.id),
        events=results.events(info.id),
    )
