"""What users' own templates are given: plain data, under names that docs/reports.md lists and that only grow."""

from typing import Any

from pydantic import BaseModel

from shakedown.analysis.quantiles import supported
from shakedown.reports.model import Report
from shakedown.reports.summary import Summary, summarise
from shakedown.reports.tables import error_windows, load_lines, suite_lines
from shakedown.reports.watched import watched_lines

__all__ = ["CONTEXT_VERSION", "TemplateContext", "context_of"]

CONTEXT_VERSION = 1  # rises when a name changes its meaning or goes; not when one is added
_COUNTS = ("requests", "ok", "failed", "timed_out", "dropped")
_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


class TemplateService(BaseModel):
    """One service; `kind` is docker, process or external."""

    name: str
    kind: str
    image: str


class TemplateLoad(BaseModel):
    """One load of one stage, its repetitions together; times in seconds, None without the samples to support them.

    Its counts are None when the run's end cut it off.
    """

    stage: str
    load: str
    repetitions: int
    target_rate: float | None
    rate_held: bool
    requests: int | None
    ok: int | None
    failed: int | None
    timed_out: int | None
    dropped: int | None
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None
    starved: str


class TemplatePhase(BaseModel):
    """What clients saw before, during and after one fault; times in seconds, `error_rate` a fraction."""

    experiment: str
    phase: str
    start: float
    end: float
    requests: int
    error_rate: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class TemplateError(BaseModel):
    """Errors of one kind; `faults` are the experiments around whose faults they fell."""

    stage: str
    load: str
    request: str
    kind: str
    number: int
    first_at: float
    last_at: float
    faults: str
    example: str


class TemplateSuite(BaseModel):
    """One suite of one stage, its repetitions together; times in seconds, memory in bytes."""

    stage: str
    suite: str
    repetitions: int
    tests: int
    failed: int
    shortest: float
    longest: float
    peak_memory: int
    problems: str


class TemplateTest(BaseModel):
    """One test that failed; `low` and `high` are the 95 % interval of its failure rate."""

    stage: str
    suite: str
    test: str
    runs: int
    failures: int
    kind: str
    low: float
    high: float
    message: str
    traceback: str
    command: str


class TemplateComparison(BaseModel):
    """A figure of the recovery stage beside that of the baseline."""

    subject: str
    metric: str
    unit: str
    before: float | None
    after: float | None
    change: float | None
    tolerance: float
    verdict: str
    samples: int
    reason: str


class TemplateResource(BaseModel):
    """One sampled series; counters per second."""

    source: str
    series: str
    unit: str
    least: float
    median: float
    greatest: float
    last: float
    samples: int


class TemplateContext(Summary):
    """One run: all of summary.json, and what only reports show."""

    context_version: int = CONTEXT_VERSION
    seed: int
    version: str
    build: str
    commit: str
    environment: dict[str, str]
    services: list[TemplateService]
    loads: list[TemplateLoad]
    phases: list[TemplatePhase]
    errors: list[TemplateError]
    suites: list[TemplateSuite]
    tests: list[TemplateTest]
    comparisons: list[TemplateComparison]
    resources: list[TemplateResource]


def context_of(report: Report) -> dict[str, Any]:
    """A report as plain data: nothing in it can be called, so that a template can do no more than read it."""
    run = report.run
    summary = summarise(report).model_dump()
    return TemplateContext(
        **summary, seed=run.seed, version=run.version, build=run.build, commit=run.git_commit, environment=run.environment,
        services=[TemplateService(name=name, kind=kind, image=image) for name, kind, image in report.services],
        loads=_loads(report),
        phases=[
            TemplatePhase(
                experiment=info.record.name, phase=phase.phase, start=phase.start, end=phase.end, requests=phase.requests,
                error_rate=phase.error_rate,
                **{name: getattr(phase, name) if supported(q, phase.requests) else None for name, q in _QUANTILES},
            )
            for info in report.experiments
            if info.recovery is not None
            for phase in info.recovery.phases
        ],
        errors=[
            TemplateError(
                stage=line.stage, load=line.load, request=error.request, kind=error.kind, number=error.count,
                first_at=error.first_at, last_at=error.last_at, faults=error_windows(report, error), example=error.example,
            )
            for line in load_lines(report)
            for error in line.errors
        ],
        suites=[
            TemplateSuite(
                stage=line.stage, suite=line.suite, repetitions=line.repetitions, tests=line.tests, failed=line.failed,
                shortest=line.took[0], longest=line.took[1], peak_memory=line.peak_memory, problems=line.problems,
            )
            for line in suite_lines(report)
        ],
        tests=[
            TemplateTest(
                stage=stage, suite=test.suite, test=test.test, runs=test.runs, failures=test.failures, kind=test.kind,
                low=test.low, high=test.high, message=test.first.message if test.first else "",
                traceback=test.first.traceback if test.first else "", command=test.first_in.command if test.first_in else "",
            )
            for stage, test in report.failed_tests
        ],
        comparisons=[
            TemplateComparison(
                subject=item.subject, metric=item.metric, unit=item.unit, before=item.before, after=item.after,
                change=item.change, tolerance=item.tolerance, verdict=item.verdict.value, samples=item.samples,
                reason=item.reason,
            )
            for item in report.comparisons
        ],
        resources=[
            TemplateResource(
                source=line.source, series=line.series, unit=line.unit, least=line.least, median=line.median,
                greatest=line.greatest, last=line.last, samples=line.samples,
            )
            for line in watched_lines(report)
        ],
    ).model_dump(mode="json")  # fmt: skip


def _loads(report: Report) -> list[TemplateLoad]:
    lines = []
    for line in load_lines(report):
        found = {name: line.latency.quantile(q) if supported(q, line.latency.count) else None for name, q in _QUANTILES}
        lines.append(
            TemplateLoad(
                stage=line.stage, load=line.load, repetitions=line.repetitions, target_rate=line.target_rate,
                rate_held=line.rate_held, **{name: getattr(line.counts, name) if line.whole else None for name in _COUNTS},
                **found, longest=line.latency.max if line.latency.count else None, starved=line.starved or "",
            )
        )  # fmt: skip
    return lines
