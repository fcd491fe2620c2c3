"""Writing results as they happen: each call is a transaction of its own, so that a crash loses only what came after."""

import json
import math
import threading
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, SQLModel

from shakedown.errors import StoreError
from shakedown.guard.journal import Owner
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, ThresholdResult
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadDelta, LoadResult
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.recovery import Comparison, RecoveryMeasurement
from shakedown.records.suites import SuiteResult
from shakedown.results import tables as t
from shakedown.results.database import hint_for, open_database
from shakedown.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Store"]


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

    @contextmanager
    def _write(self) -> "Iterator[Session]":
        with self._lock:
            try:
                with Session(self.engine) as session:
                    yield session
                    session.commit()
            except SQLAlchemyError as error:
                reason = getattr(error, "orig", error)
                raise StoreError(f"results cannot be written: {reason}", hint=hint_for(error)) from error

    def _add(self, *rows: SQLModel) -> None:
        with self._write() as session:
            session.add_all(rows)

    # ----------------------------------------------------------------------------------------------------------- runs
    def begin_run(self, row: t.RunRow) -> None:
        """A run begins."""
        self._add(row)

    def end_run(
        self, run: str, *, status: str, verdict: Verdict | None, reason: str, exit_code: int, at: float
    ) -> None:
        """A run ended."""
        with self._write() as session:
            session.execute(
                update(t.RunRow)
                .where(t.RunRow.id == run)  # type: ignore[arg-type]  # an SQL expression
                .values(status=status, verdict=verdict, reason=reason, exit_code=exit_code, ended_at=at)
            )

    def reconcile(self) -> list[str]:
        """Mark runs as interrupted whose process on this machine is gone; their identities."""
        import socket  # noqa: PLC0415 - used here alone

        with self._write() as session:
            rows = session.execute(
                select(t.RunRow).where(t.RunRow.status == "running", t.RunRow.host == socket.gethostname())  # type: ignore[arg-type]
            ).scalars()
            dead = [row.id for row in rows if not Owner.of(row.pid, row.pid_created).alive()]
            # Asked again in the update itself: a run may have ended in order, and its process with it, since the look.
            session.execute(
                update(t.RunRow)
                .where(t.RunRow.id.in_(dead), t.RunRow.status == "running")  # type: ignore[arg-type, attr-defined]
                .values(status="interrupted", reason="its process ended without a word", exit_code=130)
            )
            return dead

    def begin_stage(self, run: str, name: str, position: int, at: float) -> None:
        """A stage begins."""
        self._add(t.StageRow(run_id=run, name=name, position=position, start=at))

    def end_stage(self, run: str, name: str, verdict: Verdict, reason: str, at: float) -> None:
        """A stage ended."""
        with self._write() as session:
            session.execute(
                update(t.StageRow)
                .where(t.StageRow.run_id == run, t.StageRow.name == name)  # type: ignore[arg-type]
                .values(verdict=verdict, reason=reason, end=at)
            )

    def skip_stage(self, run: str, name: str, position: int, reason: str) -> None:
        """A stage will not run."""
        self._add(t.StageRow(run_id=run, name=name, position=position, verdict=Verdict.SKIPPED, reason=reason))

    def add_services(self, run: str, services: Iterable[tuple[str, str, str]]) -> None:
        """Name, kind and image of each service."""
        self._add(*(t.ServiceRow(run_id=run, name=name, kind=kind, image=image) for name, kind, image in services))

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
        with self._write() as session:
            for table, rows in ((t.HistogramRow, histograms), (t.PulseRow, pulses), (t.ErrorRow, errors)):
                if rows:
                    session.execute(insert(table), rows)

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
            with self._write() as session:
                session.execute(insert(t.SampleRow), rows)

    def add_probes(self, run: str, probes: Sequence[ProbeResult]) -> None:
        """Looks at services' health."""
        if probes:
            with self._write() as session:
                session.execute(insert(t.ProbeRow), [{"run_id": run, **asdict(probe)} for probe in probes])

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
        with self._write() as session:
            session.add(row)
            session.flush()
            rows = [
                {"suite_id": row.id, **asdict(outcome), "status": outcome.status.value} for outcome in result.outcomes
            ]
            if rows:
                session.execute(insert(t.TestRow), rows)

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
        with self._write() as session:
            where = (t.ExperimentRow.run_id == run, t.ExperimentRow.name == record.name)
            row = session.execute(select(t.ExperimentRow).where(*where)).scalar_one_or_none()  # type: ignore[arg-type]
            if row is None:
                session.add(t.ExperimentRow(run_id=run, name=record.name, **values))
            else:
                for key, value in values.items():
                    setattr(row, key, value)

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
