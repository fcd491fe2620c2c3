"""Reading results back, as the records that were written."""

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine, func, select
from sqlmodel import Session, SQLModel, col

from shakedown.errors import UsageError
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.figures import Change, Figure, FigureName, Outlook
from shakedown.records.histogram import Histogram
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import (
    Bucket,
    BucketKey,
    ErrorRecord,
    GeneratorHealth,
    LoadCounts,
    LoadDelta,
    LoadResult,
    Outcome,
    Pulse,
    merge_parts,
)
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison, RecoveryMeasurement
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus
from shakedown.results import tables as t
from shakedown.results.database import open_database
from shakedown.verdict import Verdict

__all__ = ["PROFILE_CUTS", "ExperimentInfo", "Peer", "RegressionInfo", "Results", "RunInfo", "StageInfo"]

PROFILE_CUTS = "left out by the profile"  # in a run's environment: what its profile made less of
MOST_NAMED = 100  # runs whose names begin alike are counted up to here


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run."""

    id: str
    plan: str
    plan_path: str
    plan_digest: str
    plan_json: str
    profile: str | None
    overrides: tuple[str, ...]
    command: str
    started: datetime
    ended_at: float | None
    status: str
    verdict: Verdict | None
    reason: str
    exit_code: int | None
    version: str
    seed: int
    planned: float
    environment: dict[str, str]
    workload: str = ""  # equal ones ask for the same work
    machine: str = ""  # equal ones were measured on the same kind of machine; empty: not known
    build: str = ""
    git_commit: str = ""
    git_dirty: bool | None = None
    kernel: str = ""
    cpu: str = ""
    container_engine: str = ""
    figured: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """A run as comparisons see it, with its figures."""

    id: str
    started: datetime
    verdict: Verdict | None
    version: str
    build: str
    git_commit: str
    git_dirty: bool | None
    figures: dict[FigureName, Figure]


@dataclass(frozen=True, slots=True)
class RegressionInfo:
    """What a run's comparison with earlier runs said of one figure when it ended."""

    name: FigureName
    unit: str
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class StageInfo:
    """One stage."""

    name: str
    verdict: Verdict | None
    reason: str
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class ExperimentInfo:
    """One experiment with what was measured and concluded."""

    record: ExperimentRecord
    recovery: RecoveryMeasurement | None
    verdict: Verdict | None
    reason: str


_RECORD = TypeAdapter(ExperimentRecord)
_RECOVERY = TypeAdapter(RecoveryMeasurement)
_LEDGER = TypeAdapter(LedgerResult)


class Results:
    """Reads one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, root: Path, url: str | None = None) -> "Results":
        """Open the database.

        Raises:
            StoreError: it cannot be opened.
        """
        return cls(open_database(root, url))

    def _all(self, table: type[SQLModel], *where: Any, order: Any = None) -> Sequence[Any]:
        with Session(self._engine) as session:
            query = select(table).where(*where)
            return session.execute(query if order is None else query.order_by(order)).scalars().all()

    def _columns(self, *columns: Any, where: Sequence[Any], order: Any) -> Sequence[Any]:
        """Some columns of many rows: an object for each row of a long series would cost twenty times as much."""
        with Session(self._engine) as session:
            return session.execute(select(*columns).where(*where).order_by(order)).all()

    # ----------------------------------------------------------------------------------------------------------- runs
    def runs(self, limit: int = 20, plan: str | None = None) -> list[RunInfo]:
        """The newest runs first; of one plan, or of all."""
        with Session(self._engine) as session:
            query = select(t.RunRow).order_by(col(t.RunRow.started).desc(), col(t.RunRow.id)).limit(limit)
            if plan is not None:
                query = query.where(col(t.RunRow.plan) == plan)
            return [_run(row) for row in session.execute(query).scalars()]

    def run(self, name: str) -> RunInfo:
        """The run of an identity, of the beginning of one, or `last`.

        Raises:
            UsageError: there is no such run, or several begin like this.
        """
        if name == "last":
            newest = self.runs(1)
            if not newest:
                raise UsageError("there is no run yet", hint="`shakedown run PLAN` makes one")
            return newest[0]
        with Session(self._engine) as session:
            row = session.get(t.RunRow, name)
            if row is None:
                begin = col(t.RunRow.id).startswith(name, autoescape=True)
                ids = session.execute(select(col(t.RunRow.id)).where(begin).limit(MOST_NAMED)).scalars().all()
                # Not every database tells capital letters apart here; identities do.
                ids = [one for one in ids if one.startswith(name)]
                if len(ids) != 1:
                    several = f"{len(ids)} runs" if len(ids) < MOST_NAMED else f"{MOST_NAMED} runs or more"
                    what = "there is no run" if not ids else f"{several} begin with"
                    raise UsageError(f"{what} {name!r}", hint="`shakedown runs` lists them; `last` is the newest")
                row = session.get(t.RunRow, ids[0])
            if row is None:
                raise UsageError(f"there is no run {name!r}", hint="it was removed a moment ago")
            return _run(row)

    def runs_of(self, *, build: str | None = None, commit: str | None = None, limit: int = 50) -> list[RunInfo]:
        """The newest runs of a build, or of a commit (its beginning is enough), the newest first."""
        query = select(t.RunRow).order_by(col(t.RunRow.started).desc(), col(t.RunRow.id)).limit(limit)
        if build is not None:
            query = query.where(col(t.RunRow.build) == build)
        if commit is not None:
            query = query.where(col(t.RunRow.git_commit).startswith(commit, autoescape=True))
        with Session(self._engine) as session:
            return [_run(row) for row in session.execute(query).scalars()]

    def run_of_process(self, pid: int) -> RunInfo | None:
        """The newest run that a process of this machine made."""
        where = (col(t.RunRow.pid) == pid, col(t.RunRow.host) == socket.gethostname())
        query = select(t.RunRow).where(*where).order_by(col(t.RunRow.started).desc()).limit(1)
        with Session(self._engine) as session:
            row = session.execute(query).scalar_one_or_none()
            return None if row is None else _run(row)

    def stages(self, run: str) -> list[StageInfo]:
        """The stages in order."""
        rows = self._all(t.StageRow, t.StageRow.run_id == run, order=t.StageRow.position)
        return [
            StageInfo(row.name, Verdict(row.verdict) if row.verdict else None, row.reason, row.start, row.end)
            for row in rows
        ]

    def services(self, run: str) -> list[tuple[str, str, str]]:
        """Name, kind and image of each service."""
        return [(row.name, row.kind, row.image) for row in self._all(t.ServiceRow, t.ServiceRow.run_id == run)]

    def image_digests(self, run: str) -> dict[str, str]:
        """The engine's own identity of each service's image, where it was known."""
        rows = self._all(t.ServiceRow, t.ServiceRow.run_id == run, order=t.ServiceRow.id)
        return {row.name: row.image_digest for row in rows if row.image_digest}

    def artifacts(self, run: str) -> list[tuple[str, int, str]]:
        """Path within the run's folder, size in bytes and SHA-256 of each file that the run made."""
        rows = self._all(t.ArtifactRow, t.ArtifactRow.run_id == run, order=t.ArtifactRow.path)
        return [(row.path, row.size, row.sha256) for row in rows]

    # -------------------------------------------------------------------------------------------------------- history
    def figures(self, run: str) -> list[Figure]:
        """The figures of a run; none before they were formed (`shakedown.results.history` does)."""
        rows = self._all(t.FigureRow, t.FigureRow.run_id == run, order=t.FigureRow.id)
        return [_figure(row) for row in rows]

    def regressions(self, run: str) -> list[RegressionInfo]:
        """What the run's comparison with earlier runs said when it ended."""
        rows = self._all(t.RegressionRow, t.RegressionRow.run_id == run, order=t.RegressionRow.id)
        return [
            RegressionInfo(
                FigureName(row.stage, row.subject, row.metric), row.unit,
                Outlook(Change(row.change), row.value, row.usual, row.limit, row.runs, row.in_a_row, row.reason),
            )
            for row in rows
        ]  # fmt: skip

    def peers(
        self, plan: str, profile: str | None, *, workload: str | None = None, machine: str | None = None,
        since: datetime | None = None, until: datetime | None = None, name: FigureName | None = None, limit: int = 100,
    ) -> list[Peer]:  # fmt: skip
        """Finished runs of a plan with their figures, in time; the newest `limit` of them.

        Args:
            profile: None is a profile of its own: none.
            workload, machine: only runs with this digest.
            since: only runs that began then or later.
            until: only runs that began earlier.
            name: only this figure, and only runs that have it.
        """
        run, figure = t.RunRow, t.FigureRow
        where = [col(run.plan) == plan, col(run.status) == "finished", col(run.figured) > 0]
        where.append(col(run.profile).is_(None) if profile is None else col(run.profile) == profile)
        where += [col(run.workload) == workload] if workload is not None else []
        where += [col(run.machine) == machine] if machine is not None else []
        where += [col(run.started) >= since] if since is not None else []
        where += [col(run.started) < until] if until is not None else []
        columns = (run.id, run.started, run.verdict, run.version, run.build, run.git_commit, run.git_dirty)
        newest = select(*(col(one) for one in columns)).where(*where).order_by(col(run.started).desc()).limit(limit)
        wanted: list[Any] = []
        if name is not None:
            wanted = [
                col(figure.stage) == name.stage,
                col(figure.subject) == name.subject,
                col(figure.metric) == name.metric,
            ]
            newest = newest.join(figure, col(figure.run_id) == col(run.id)).where(*wanted)
        with Session(self._engine) as session:
            peers = {row.id: _peer(row) for row in reversed(session.execute(newest).all())}
            for some in _batches(list(peers)):
                rows = session.execute(select(figure).where(col(figure.run_id).in_(some), *wanted)).scalars()
                for row in rows:
                    one = _figure(row)
                    peers[row.run_id].figures[one.name] = one
        return list(peers.values())

    def count(self, plan: str, profile: str | None) -> int:
        """How many finished runs of a plan and profile there are, comparable or not."""
        where = [col(t.RunRow.plan) == plan, col(t.RunRow.status) == "finished"]
        where.append(col(t.RunRow.profile).is_(None) if profile is None else col(t.RunRow.profile) == profile)
        with Session(self._engine) as session:
            return int(session.execute(select(func.count()).select_from(t.RunRow).where(*where)).scalar_one())

    def unfigured(self, version: int, plan: str | None = None, limit: int = 500) -> list[str]:
        """Ended runs whose figures are not formed, or of another version; the newest first."""
        query = select(col(t.RunRow.id)).where(col(t.RunRow.figured) != version, col(t.RunRow.status) == "finished")
        if plan is not None:
            query = query.where(col(t.RunRow.plan) == plan)
        with Session(self._engine) as session:
            return list(session.execute(query.order_by(col(t.RunRow.started).desc()).limit(limit)).scalars())

    # ---------------------------------------------------------------------------------------------------- measurements
    def loads(self, run: str) -> list[LoadResult]:
        """Every load, with its distributions; one that never ended (the run died) is there with what came of it."""
        parts: dict[tuple[str, str, int], LoadDelta] = {}

        def part(row: Any) -> LoadDelta:
            key = (row.stage, row.label, row.repetition)
            return parts.setdefault(key, LoadDelta(row.label, 0.0, LoadCounts(), {}, {}, {}, []))

        for row in self._all(t.HistogramRow, t.HistogramRow.run_id == run):
            delta = LoadDelta(row.label, 0.0, LoadCounts(), {}, {}, {}, [])
            response = Histogram.from_bytes(row.response)
            if row.kind == "lag":
                delta.start_lag[row.second] = response
            elif row.kind == "degraded":
                delta.degraded[row.request, row.second] = response
            else:
                bucket = Bucket(response, Histogram.from_bytes(row.service), row.bytes_received, row.unanswered)
                delta.buckets[BucketKey(row.request, Outcome(row.outcome), row.second, row.warm_up)] = bucket
            merge_parts(part(row), delta)
        for row in self._all(t.PulseRow, t.PulseRow.run_id == run):
            pulse = LoadDelta(row.label, 0.0, LoadCounts(), {}, {row.slot: Pulse(row.ok, row.bad, row.slowest)}, {}, [])
            merge_parts(part(row), pulse)
        for row in self._all(t.ErrorRow, t.ErrorRow.run_id == run):
            error = ErrorRecord(row.kind, row.request, row.count, row.first_at, row.last_at, row.example)
            merge_parts(part(row), LoadDelta(row.label, 0.0, LoadCounts(), {}, {}, {}, [error]))
        finished = {
            (row.stage, row.label, row.repetition): row
            for row in self._all(t.LoadRow, t.LoadRow.run_id == run, order=t.LoadRow.start)
        }
        keys = [*finished, *(key for key in parts if key not in finished)]
        empty = LoadDelta("", 0.0, LoadCounts(), {}, {}, {}, [])
        return [_load(key, finished.get(key), parts.get(key, empty)) for key in keys]

    def samples(
        self, run: str, start: float = float("-inf"), end: float = float("inf"), series: Sequence[str] = ()
    ) -> list[Sample]:
        """The samples of a window, in time; of all series, or of those named."""
        where: list[Any] = [t.SampleRow.run_id == run]
        if series:
            where.append(col(t.SampleRow.series).in_(series))
        if start > float("-inf"):  # not every database knows infinity
            where.append(t.SampleRow.at >= start)
        if end < float("inf"):
            where.append(t.SampleRow.at < end)
        row = t.SampleRow
        found = self._columns(row.at, row.source, row.series, row.value, where=where, order=row.at)
        return [Sample(*one) for one in found]

    def probes(self, run: str) -> list[ProbeResult]:
        """Every look at a service's health, in time."""
        row, where = t.ProbeRow, [t.ProbeRow.run_id == run]
        found = self._columns(row.at, row.service, row.healthy, row.latency, row.detail, where=where, order=row.at)
        return [ProbeResult(*one) for one in found]

    def events(self, run: str) -> list[Event]:
        """Everything that happened, in time."""
        rows = self._all(t.EventRow, t.EventRow.run_id == run, order=t.EventRow.at)
        return [Event(row.at, row.kind, row.subject, row.message) for row in rows]

    def suites(self, run: str) -> list[SuiteResult]:
        """Every execution of a suite, in time."""
        with Session(self._engine) as session:
            query = (
                select(t.TestRow)
                .join(t.SuiteRow, t.TestRow.suite_id == t.SuiteRow.id)  # type: ignore[arg-type]
                .where(t.SuiteRow.run_id == run)  # type: ignore[arg-type]
            )
            tests: dict[int, list[TestOutcome]] = {}
            for row in session.execute(query).scalars():
                outcome = TestOutcome(row.test, TestStatus(row.status), row.duration, row.message, row.traceback)
                tests.setdefault(row.suite_id, []).append(outcome)
        return [
            SuiteResult(
                row.label, row.stage, row.repetition, row.start, row.end, row.workers, row.exit_code,
                tests.get(row.id, []), row.peak_memory, row.problem, row.skipped, row.command,
                row.order_seed,
            )
            for row in self._all(t.SuiteRow, t.SuiteRow.run_id == run, order=t.SuiteRow.start)
        ]  # fmt: skip

    def cycles(self, run: str, source: str | None = None, series: str | None = None) -> list[tuple[int, Sample]]:
        """Repetition and reading, in order; of one source and series alone where they are given."""
        where = [t.CycleRow.run_id == run]
        where += [t.CycleRow.source == source] if source is not None else []
        where += [t.CycleRow.series == series] if series is not None else []
        rows = self._all(t.CycleRow, *where, order=t.CycleRow.repetition)
        return [(row.repetition, Sample(row.at, row.source, row.series, row.value)) for row in rows]

    # ------------------------------------------------------------------------------------------------------ conclusions
    def experiments(self, run: str) -> list[ExperimentInfo]:
        """The experiments in order."""
        return [
            ExperimentInfo(
                _RECORD.validate_json(row.record),
                _RECOVERY.validate_json(row.recovery) if row.recovery else None,
                Verdict(row.verdict) if row.verdict else None,
                row.reason,
            )
            for row in self._all(t.ExperimentRow, t.ExperimentRow.run_id == run, order=t.ExperimentRow.position)
        ]

    def thresholds(self, run: str) -> list[tuple[str, str, ThresholdResult]]:
        """Stage, scope and result of each threshold."""
        return [
            (row.stage, row.scope,
             ThresholdResult(row.text, Verdict(row.verdict), row.actual, row.limit, row.unit, row.samples, row.reason))
            for row in self._all(t.ThresholdRow, t.ThresholdRow.run_id == run, order=t.ThresholdRow.id)
        ]  # fmt: skip

    def findings(self, run: str) -> list[tuple[str, Finding]]:
        """Stage and finding."""
        return [
            (row.stage,
             Finding(Severity(row.severity), row.title, row.cause, tuple(json.loads(row.evidence)), row.recommendation,
                     row.subject))
            for row in self._all(t.FindingRow, t.FindingRow.run_id == run, order=t.FindingRow.id)
        ]  # fmt: skip

    def ledgers(self, run: str) -> list[LedgerResult]:
        """Every ledger that was read back."""
        return [_LEDGER.validate_json(row.record) for row in self._all(t.LedgerRow, t.LedgerRow.run_id == run)]

    def comparisons(self, run: str) -> list[Comparison]:
        """Figures before and after."""
        return [
            Comparison(row.subject, row.metric, row.unit, row.before, row.after, row.tolerance, Verdict(row.verdict),
                       row.samples, row.reason)
            for row in self._all(t.ComparisonRow, t.ComparisonRow.run_id == run, order=t.ComparisonRow.id)
        ]  # fmt: skip


def _run(row: t.RunRow) -> RunInfo:
    return RunInfo(
        id=row.id, plan=row.plan, plan_path=row.plan_path, plan_digest=row.plan_digest, plan_json=row.plan_json,
        profile=row.profile, overrides=tuple(json.loads(row.overrides)), command=row.command, started=_aware(row.started),
        ended_at=row.ended_at, status=row.status, verdict=Verdict(row.verdict) if row.verdict else None,
        reason=row.reason, exit_code=row.exit_code, version=row.version, seed=row.seed, planned=row.planned,
        environment=json.loads(row.environment or "{}"), workload=row.workload, machine=row.machine, build=row.build,
        git_commit=row.git_commit, git_dirty=row.git_dirty, kernel=row.kernel, cpu=row.cpu,
        container_engine=row.container_engine, figured=row.figured,
    )  # fmt: skip


def _aware(at: datetime) -> datetime:
    """SQLite keeps no zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _peer(row: Any) -> Peer:
    return Peer(
        row.id, _aware(row.started), Verdict(row.verdict) if row.verdict else None, row.version, row.build, row.git_commit,
        row.git_dirty, {},
    )  # fmt: skip


def _figure(row: t.FigureRow) -> Figure:
    return Figure(FigureName(row.stage, row.subject, row.metric), row.unit, row.value, row.samples, row.doubt)


def _batches(values: list[str], size: int = 500) -> Iterator[list[str]]:
    """Parts of a list: a statement takes only so many parameters."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _load(key: tuple[str, str, int], row: t.LoadRow | None, part: LoadDelta) -> LoadResult:
    stage, label, repetition = key
    seconds = [bucket.second for bucket in part.buckets] or [0]
    if row is None:  # the run died before the load ended: what it measured is whole, its counts are not known
        return LoadResult(
            label, "", stage, repetition, min(seconds), max(seconds) + 1, "", None, LoadCounts(), part.buckets,
            part.pulses, part.start_lag, part.errors, GeneratorHealth(), interrupted=True, rate_held=False,
            degraded=part.degraded,
        )  # fmt: skip
    return LoadResult(
        label, row.scenario, stage, repetition, row.start, row.end, row.executor, row.target_rate,
        LoadCounts(**json.loads(row.counts)), part.buckets, part.pulses, part.start_lag, part.errors,
        GeneratorHealth(**json.loads(row.generator)), interrupted=row.interrupted, rate_held=row.rate_held,
        warm_up=row.warm_up, degraded=part.degraded,
    )  # fmt: skip
