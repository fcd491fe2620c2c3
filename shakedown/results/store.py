"""Writing results as they happen: each call is a transaction of its own, so that a crash loses only what came after."""

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlmodel import Session, SQLModel, col

from shakedown.errors import StoreError
from shakedown.guard.journal import Owner
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.figures import Figure, FigureName, Outlook
from shakedown.records.judgement import Finding, ThresholdResult
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadDelta, LoadResult
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison, RecoveryMeasurement
from shakedown.records.suites import SuiteResult
from shakedown.results import tables as t
from shakedown.results.database import hint_for, open_database, worth_retrying
from shakedown.verdict import Verdict

__all__ = ["Store"]

T = TypeVar("T")
ATTEMPTS = 4  # of a transaction that another process's makes impossible; SQLite waits 15 s in each


class Store:
    """One database; safe to write to from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.Lock()

    @classmethod
    def open(cls, root: Path, url: str | None = None) -> Self:
        """Open the database (see `open_database`), and note which runs died without saying so.

        Raises:
            StoreError: it cannot be opened.
        """
        store = cls(open_database(root, url))
        store.reconcile()
        return store

    def write(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction of its own; whole or not at all.

        One that another process's transaction made impossible is done again: `work` may be called several times.

        Raises:
            StoreError: it could not be stored.
        """
        with self._lock:
            for left in reversed(range(ATTEMPTS)):
                try:
                    with Session(self.engine) as session:
                        result = work(session)
                        session.commit()
                        return result
                except SQLAlchemyError as error:
                    if left and isinstance(error, DBAPIError) and worth_retrying(error):
                        continue
                    reason = getattr(error, "orig", None) or error
                    raise StoreError(f"results cannot be written: {reason}", hint=hint_for(error)) from error
            raise AssertionError("unreachable")

    def _add(self, *rows: SQLModel) -> None:
        """Rows of one table; as values, for a row that was tried once is not fit to be tried again."""
        if rows:
            values = [row.model_dump(exclude={"id"} if getattr(row, "id", 0) is None else None) for row in rows]
            self.write(lambda session: session.execute(insert(type(rows[0])), values))

    def _update(self, table: type[SQLModel], *where: Any, **values: object) -> None:
        self.write(lambda session: session.execute(update(table).where(*where).values(**values)))

    # ----------------------------------------------------------------------------------------------------------- runs
    def begin_run(self, row: t.RunRow) -> None:
        """A run begins."""
        self._add(row)

    def end_run(
        self, run: str, *, status: str, verdict: Verdict | None, reason: str, exit_code: int, at: float
    ) -> None:
        """A run ended."""
        self._update(
            t.RunRow,
            t.RunRow.id == run,
            status=status,
            verdict=verdict,
            reason=reason,
            exit_code=exit_code,
            ended_at=at,
        )

    def reconcile(self) -> list[str]:
        """Mark runs as interrupted whose process on this machine is gone; their identities."""
        import socket  # noqa: PLC0415 - used here alone

        def work(session: Session) -> list[str]:
            mine = (col(t.RunRow.status) == "running", col(t.RunRow.host) == socket.gethostname())
            rows = session.execute(
                select(col(t.RunRow.id), col(t.RunRow.pid), col(t.RunRow.pid_created)).where(*mine)
            ).all()
            dead = [row.id for row in rows if not Owner.of(row.pid, row.pid_created).alive()]
            if dead:
                # Asked again in the update itself: a run may have ended in order, and its process with it, since the look.
                session.execute(
                    update(t.RunRow)
                    .where(col(t.RunRow.id).in_(dead), t.RunRow.status == "running")  # type: ignore[arg-type]
                    .values(status="interrupted", reason="its process ended without a word", exit_code=130)
                )
            return dead

        return self.write(work)

    def begin_stage(self, run: str, name: str, position: int, at: float) -> None:
        """A stage begins."""
        self._add(t.StageRow(run_id=run, name=name, position=position, start=at))

    def end_stage(self, run: str, name: str, verdict: Verdict, reason: str, at: float) -> None:
        """A stage ended."""
        where = (t.StageRow.run_id == run, t.StageRow.name == name)
        self._update(t.StageRow, *where, verdict=verdict, reason=reason, end=at)

    def skip_stage(self, run: str, name: str, position: int, reason: str) -> None:
        """A stage will not run."""
        self._add(t.StageRow(run_id=run, name=name, position=position, verdict=Verdict.SKIPPED, reason=reason))

    def add_services(
        self, run: str, services: Iterable[tuple[str, str, str]], digests: Mapping[str, str] | None = None
    ) -> None:
        """Name, kind and image of each service.

        Args:
            digests: by service, the engine's own identity of its image, where it has one.
        """
        known = digests or {}
        self._add(
            *(
                t.ServiceRow(run_id=run, name=name, kind=kind, image=image, image_digest=known.get(name, ""))
                for name, kind, image in services
            )
        )

    def add_engine(self, run: str, version: str) -> None:
        """The version of the container engine."""
        self._update(t.RunRow, t.RunRow.id == run, container_engine=version)

    def put_figures(self, run: str, figures: Sequence[Figure], *, version: int, workload: str) -> None:
        """The figures of a run, in the place of those that it had."""
        rows = [
            {"run_id": run, **asdict(figure.name), "unit": figure.unit, "value": _finite(figure.value),
             "samples": figure.samples, "doubt": figure.doubt}
            for figure in figures
        ]  # fmt: skip

        def work(session: Session) -> None:
            session.execute(delete(t.FigureRow).where(col(t.FigureRow.run_id) == run))
            if rows:
                session.execute(insert(t.FigureRow), rows)
            session.execute(update(t.RunRow).where(col(t.RunRow.id) == run).values(figured=version, workload=workload))

        self.write(work)

    def add_regressions(self, run: str, outlooks: Mapping[FigureName, tuple[str, Outlook]]) -> None:
        """What the comparison with earlier runs says: of each figure, its unit and how it looks."""
        self._add(
            *(
                t.RegressionRow(
                    run_id=run, **asdict(name), unit=unit, change=look.change.value, value=look.value, usual=look.usual,
                    limit=look.limit, runs=look.runs, in_a_row=look.in_a_row, reason=look.reason,
                )
                for name, (unit, look) in outlooks.items()
            )
        )  # fmt: skip

    def put_artifacts(self, run: str, files: Iterable[tuple[str, int, str]]) -> None:
        """Path within the run's folder, size and SHA-256 of each file that it made, in the place of those noted before."""
        rows = [{"run_id": run, "path": path, "size": size, "sha256": digest} for path, size, digest in files]

        def work(session: Session) -> None:
            session.execute(delete(t.ArtifactRow).where(col(t.ArtifactRow.run_id) == run))
            if rows:
                session.execute(insert(t.ArtifactRow), rows)

        self.write(work)

    def remove_runs(self, runs: Sequence[str]) -> int:
        """Remove runs with everything of theirs, in one transaction; how many there were. Running ones stay."""

        def work(session: Session) -> int:
            gone = delete(t.RunRow).where(col(t.RunRow.id).in_(runs), col(t.RunRow.status) != "running")
            return session.execute(gone).rowcount  # type: ignore[attr-defined, no-any-return]

        return self.write(work)

    # ---------------------------------------------------------------------------------------------------- measurements
    def add_delta(self, run: str, stage: str, repetition: int, delta: LoadDelta) -> None:
        """What a load measured since its last delta."""
        where = {"run_id": run, "stage": stage, "label": delta.load, "repetition": repetition}
        histograms = [
            {**where, "kind": "request", "request": key.request, "outcome": key.outcome.value, "second": key.second,
             "response": bucket.response.to_bytes(), "service": bucket.service.to_bytes(),
             "bytes_received": bucket.bytes_received, "unanswered": bucket.unanswered, "warm_up": key.warm_up}
            for key, bucket in delta.buckets.items()
        ] + [
            {**where, "kind": "lag", "request": "", "outcome": "", "second": second, "response": lag.to_bytes(),
             "service": None, "bytes_received": 0, "unanswered": 0, "warm_up": False}
            for second, lag in delta.start_lag.items()
        ] + [
            {**where, "kind": "degraded", "request": request, "outcome": "ok", "second": second,
             "response": times.to_bytes(), "service": None, "bytes_received": 0, "unanswered": 0, "warm_up": False}
            for (request, second), times in delta.degraded.items()
        ]  # fmt: skip
        pulses = [{**where, "slot": slot, **asdict(pulse)} for slot, pulse in delta.pulses.items()]
        errors = [{**where, **asdict(error)} for error in delta.errors]

        def work(session: Session) -> None:
            for table, rows in ((t.HistogramRow, histograms), (t.PulseRow, pulses), (t.ErrorRow, errors)):
                if rows:
                    session.execute(insert(table), rows)

        self.write(work)

    def add_load(self, run: str, load: LoadResult) -> None:
        """A load ended; its distributions came as deltas."""
        self._add(
            t.LoadRow(
                run_id=run, stage=load.stage, label=load.load, repetition=load.repetition, scenario=load.scenario,
                executor=load.executor, start=load.start, end=load.end, target_rate=load.target_rate, warm_up=load.warm_up,
                rate_held=load.rate_held, interrupted=load.interrupted, counts=_json(asdict(load.counts)),
                generator=_json(asdict(load.generator)),
            )
        )  # fmt: skip

    def add_samples(self, run: str, samples: Sequence[Sample]) -> None:
        """Samples of any sources; one that is not a number (an empty summary, say) is no measurement and not kept."""
        rows = [{"run_id": run, **asdict(sample)} for sample in samples if not math.isnan(sample.value)]
        if rows:
            self.write(lambda session: session.execute(insert(t.SampleRow), rows))

    def add_probes(self, run: str, probes: Sequence[ProbeResult]) -> None:
        """Looks at services' health."""
        if probes:
            rows = [{"run_id": run, **asdict(probe)} for probe in probes]
            self.write(lambda session: session.execute(insert(t.ProbeRow), rows))

    def add_event(self, run: str, event: Event) -> None:
        """Something happened."""
        self._add(t.EventRow(run_id=run, **asdict(event)))

    def add_suite(self, run: str, result: SuiteResult) -> None:
        """A suite was executed."""
        row = t.SuiteRow(
            run_id=run, stage=result.stage, label=result.suite, repetition=result.repetition, start=result.start,
            end=result.end, workers=result.workers, exit_code=result.exit_code, peak_memory=result.peak_memory,
            problem=result.problem, skipped=result.skipped, command=result.command,
            order_seed=result.order,
        )  # fmt: skip
        tests = [{**asdict(outcome), "status": outcome.status.value} for outcome in result.outcomes]

        def work(session: Session) -> None:
            made = session.execute(
                insert(t.SuiteRow).values(**row.model_dump(exclude={"id"})).returning(col(t.SuiteRow.id))
            )
            suite = made.scalar_one()
            if tests:
                session.execute(insert(t.TestRow), [{"suite_id": suite, **test} for test in tests])

        self.write(work)

    def add_cycle(self, run: str, repetition: int, samples: Sequence[Sample]) -> None:
        """Readings at the end of a repetition."""
        self._add(*(t.CycleRow(run_id=run, repetition=repetition, **asdict(sample)) for sample in samples))

    # ------------------------------------------------------------------------------------------------------ conclusions
    def put_experiment(
        self, run: str, position: int, record: ExperimentRecord, recovery: RecoveryMeasurement | None = None,
        verdict: Verdict | None = None, reason: str = "",
    ) -> None:  # fmt: skip
        """An experiment, as far as it got; called at each of its transitions."""
        values: dict[str, Any] = {
            "position": position, "fault": record.fault, "target": record.target, "applied_at": record.applied_at,
            "reverted_at": record.reverted_at, "record": _json(asdict(record)), "verdict": verdict, "reason": reason,
            "detected_after": recovery.detected_after if recovery else None,
            "recovered_after": recovery.recovered_after if recovery else None,
            "recovery": _json(asdict(recovery)) if recovery else None,
        }  # fmt: skip

        def work(session: Session) -> None:
            where = (t.ExperimentRow.run_id == run, t.ExperimentRow.name == record.name)
            changed = session.execute(update(t.ExperimentRow).where(*where).values(**values))  # type: ignore[arg-type]
            if changed.rowcount == 0:  # type: ignore[attr-defined]
                session.execute(insert(t.ExperimentRow), [{"run_id": run, "name": record.name, **values}])

        self.write(work)

    def add_thresholds(self, run: str, stage: str, results: Sequence[ThresholdResult], scope: str = "") -> None:
        """Thresholds, judged."""
        self._add(*(t.ThresholdRow(run_id=run, stage=stage, scope=scope, **asdict(result)) for result in results))

    def add_findings(self, run: str, stage: str, findings: Sequence[Finding]) -> None:
        """What a reader must know."""
        self._add(
            *(
                t.FindingRow(run_id=run, stage=stage, **{**asdict(finding), "evidence": _json(finding.evidence)})
                for finding in findings
            )
        )

    def add_ledger(self, run: str, result: LedgerResult) -> None:
        """A ledger was read back."""
        self._add(
            t.LedgerRow(
                run_id=run, ledger=result.ledger, acknowledged=result.acknowledged, lost=result.lost,
                duplicated=result.duplicated, record=_json(asdict(result)),
            )
        )  # fmt: skip

    def add_comparisons(self, run: str, comparisons: Sequence[Comparison]) -> None:
        """Figures before and after."""
        self._add(*(t.ComparisonRow(run_id=run, **asdict(comparison)) for comparison in comparisons))


def _json(value: object) -> str:
    """As JSON in which text stays text, so that the database's own cleaning of text reaches it."""
    return json.dumps(value, ensure_ascii=False)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
