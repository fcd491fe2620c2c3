"""What a report shows, collected from the database alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from shakedown.errors import StoreError
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadResult
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison
from shakedown.records.suites import SuiteResult
from shakedown.results import Results, RunInfo, StageInfo
from shakedown.results.queries import ExperimentInfo, RegressionInfo

if TYPE_CHECKING:
    from shakedown.analysis.flakes import TestRecord

__all__ = ["Report", "collect", "reading"]

_DAMAGED = "the database was damaged, or written by another version; move it away, and a new one is made"


@dataclass(frozen=True, slots=True)
class Report:
    """One run, as a reader sees it.

    Attributes:
        tests: of the endurance stage, over all its repetitions.
        failed_tests: stage and test of all that failed at least once, in the order of the stages.
        regressions: what the comparison with earlier runs said when the run ended; empty when there was none.
    """

    run: RunInfo
    stages: list[StageInfo]
    services: list[tuple[str, str, str]]
    thresholds: list[tuple[str, str, ThresholdResult]]
    findings: list[tuple[str, Finding]]
    loads: list[LoadResult]
    suites: list[SuiteResult]
    tests: "list[TestRecord]"
    failed_tests: "list[tuple[str, TestRecord]]"
    experiments: list[ExperimentInfo]
    ledgers: list[LedgerResult]
    comparisons: list[Comparison]
    regressions: list[RegressionInfo]
    cycles: list[tuple[int, Sample]]
    samples: list[Sample]
    probes: list[ProbeResult]
    events: list[Event]

    @property
    def serious(self) -> list[tuple[str, Finding]]:
        """Stage and finding of all that weigh; their numbers in the report are their places here."""
        return [(stage, item) for stage, item in self.findings if item.severity is not Severity.NOTE]

    @property
    def notes(self) -> list[tuple[str, Finding]]:
        """Stage and finding of all that changed no verdict."""
        return [(stage, item) for stage, item in self.findings if item.severity is Severity.NOTE]

    @property
    def end(self) -> float:
        """The last instant that anything is known of, seconds since the run began."""
        known = [self.run.ended_at or 0.0]
        known += [load.end for load in self.loads]
        known += [stage.end or stage.start or 0.0 for stage in self.stages]
        known += [readings[-1].at for readings in (self.samples, self.probes, self.events) if readings]
        return max(known)


def collect(results: Results, run: str) -> Report:
    """Collect a report.

    Raises:
        StoreError: the results cannot be read.
        UsageError: there is no such run.
    """
    with reading(f"the run {run!r}"):
        return _collect(results, run)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Tell damaged results in a sentence.

    Raises:
        StoreError: the database, or what stands in it, cannot be read.
    """
    try:
        yield
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"{what} cannot be read from the database: {reason}", hint=_DAMAGED) from error
    except (ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise StoreError(f"{what} holds something that cannot be read: {reason}", hint=_DAMAGED) from error


def _collect(results: Results, run: str) -> Report:
    from shakedown.analysis.flakes import merge_tests  # noqa: PLC0415 - statistics take a second to load: `runs` needs none

    info = results.run(run)
    suites = results.suites(info.id)
    merged = {stage: merge_tests([suite for suite in suites if suite.stage == stage]) for stage in _stages_of(suites)}
    return Report(
        run=info,
        stages=results.stages(info.id),
        services=results.services(info.id),
        thresholds=results.thresholds(info.id),
        findings=results.findings(info.id),
        loads=results.loads(info.id),
        suites=suites,
        tests=merged.get("endurance", []),
        failed_tests=[(stage, test) for stage, tests in merged.items() for test in tests if test.failures],
        experiments=results.experiments(info.id),
        ledgers=results.ledgers(info.id),
        comparisons=results.comparisons(info.id),
        regressions=results.regressions(info.id),
        cycles=results.cycles(info.id),
        samples=results.samples(info.id),
        probes=results.probes(info.id),
        events=results.events(info.id),
    )


def _stages_of(suites: list[SuiteResult]) -> list[str]:
    return list(dict.fromkeys(suite.stage for suite in suites))
