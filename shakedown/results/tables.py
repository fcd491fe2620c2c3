"""The tables. Times are seconds since the run began; a run's `started` is its one date."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

__all__ = [
    "ArtifactRow", "ComparisonRow", "CycleRow", "ErrorRow", "EventRow", "ExperimentRow", "FigureRow", "FindingRow",
    "HistogramRow", "LedgerRow", "LoadRow", "ProbeRow", "PulseRow", "RegressionRow", "RunRow", "SampleRow", "ServiceRow",
    "StageRow", "SuiteRow", "TestRow", "ThresholdRow",
]  # fmt: skip


def _run() -> str:
    return Field(foreign_key="run.id", index=True, ondelete="CASCADE")  # type: ignore[no-any-return]


def _key() -> int | None:
    return Field(default=None, primary_key=True)  # type: ignore[no-any-return]


def _large() -> int:
    """Bytes and seeds: PostgreSQL's INTEGER ends at 2 GB."""
    return Field(default=0, sa_column=Column(BigInteger, nullable=False))  # type: ignore[no-any-return]


def _text() -> str:
    return Field(default="", sa_column=Column(Text, nullable=False))  # type: ignore[no-any-return]


class RunRow(SQLModel, table=True):
    """One run, with what it was measured on as columns: what is asked for over years stands in no JSON."""

    __tablename__ = "run"
    __table_args__ = (
        Index("run_by_plan", "plan", "started"),
        Index("run_by_workload", "workload", "machine", "started"),
    )
    id: str = Field(primary_key=True)
    plan: str
    plan_path: str
    plan_digest: str = Field(index=True)
    plan_json: str = _text()  # resolved and redacted
    profile: str | None = None
    overrides: str = "[]"
    command: str = ""
    started: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False, index=True))
    ended_at: float | None = None
    status: str = Field(index=True)  # running, finished, interrupted
    verdict: str | None = None
    reason: str = _text()
    exit_code: int | None = None
    host: str = ""
    pid: int = 0
    pid_created: float = 0.0
    version: str = ""
    seed: int = _large()
    planned: float = 0.0  # sum of the planned durations, seconds
    environment: str = _text()  # JSON
    workload: str = ""  # digest of the plan without what judges and what is tested: equal ones ask for the same work
    machine: str = ""  # digest of processor, cores, memory and kernel series; empty: not known
    build: str = Field(default="", index=True)  # what was tested, as the user calls it
    git_commit: str = Field(default="", index=True)  # of the plan's folder
    git_dirty: bool | None = None
    kernel: str = ""
    cpu: str = ""
    cores: int | None = None
    memory: int | None = Field(default=None, sa_column=Column(BigInteger))  # bytes
    container_engine: str = ""  # its version
    python: str = ""
    figured: int = 0  # the version of its figures; 0: none were formed yet


class FigureRow(SQLModel, table=True):
    """One figure of one run, for comparing runs and for trends: `stress.send.p95`."""

    __tablename__ = "figure"
    __table_args__ = (
        Index("figure_of_run", "run_id", "stage", "subject", "metric", unique=True),
        Index("figure_by_name", "stage", "subject", "metric", "run_id"),
    )
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    stage: str
    subject: str  # a load's label, a service, an experiment
    metric: str
    unit: str = ""
    value: float | None = None
    samples: int = 0
    doubt: str = _text()  # why it may not be compared


class RegressionRow(SQLModel, table=True):
    """What a run's comparison with earlier runs said of one figure when it ended."""

    __tablename__ = "regression"
    id: int | None = _key()
    run_id: str = _run()
    stage: str
    subject: str
    metric: str
    unit: str = ""
    change: str  # see shakedown.analysis.regression.Change
    value: float | None = None
    usual: float | None = None  # the median of the runs before
    limit: float | None = None
    runs: int = 0  # how many runs before it was compared with
    in_a_row: int = 0  # runs beyond the limit, this one included
    reason: str = _text()


class ArtifactRow(SQLModel, table=True):
    """A file that a run made."""

    __tablename__ = "artifact"
    __table_args__ = (Index("artifact_of_run", "run_id", "path", unique=True),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    path: str  # relative to the run's folder
    size: int = _large()
    sha256: str = ""


class StageRow(SQLModel, table=True):
    """One stage of a run."""

    __tablename__ = "stage"
    id: int | None = _key()
    run_id: str = _run()
    name: str
    position: int
    verdict: str | None = None
    reason: str = _text()
    start: float | None = None
    end: float | None = None


class ServiceRow(SQLModel, table=True):
    """One service of a run."""

    __tablename__ = "service"
    id: int | None = _key()
    run_id: str = _run()
    name: str
    kind: str
    image: str = ""
    image_digest: str = ""  # the engine's own identity of the image, sha256:…


class LoadRow(SQLModel, table=True):
    """One load, whole; counts and the generator's health as JSON."""

    __tablename__ = "load"
    id: int | None = _key()
    run_id: str = _run()
    stage: str
    label: str
    repetition: int = 0
    scenario: str
    executor: str
    start: float
    end: float
    target_rate: float | None = None
    warm_up: float = 0.0
    rate_held: bool
    interrupted: bool
    counts: str
    generator: str


class HistogramRow(SQLModel, table=True):
    """Distributions of one cell; rows of the same cell add up."""

    __tablename__ = "histogram"
    __table_args__ = (Index("histogram_by_load", "run_id", "stage", "label", "second"),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    stage: str
    label: str
    repetition: int = 0
    kind: str  # request, lag, or degraded: good answers that bore the marker of a degraded one
    request: str = ""
    outcome: str = ""
    second: int
    response: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    service: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    bytes_received: int = _large()
    unanswered: int = 0
    warm_up: bool = False


class PulseRow(SQLModel, table=True):
    """Requests that ended within 100 ms; rows of the same slot add up."""

    __tablename__ = "pulse"
    __table_args__ = (Index("pulse_by_load", "run_id", "stage", "label", "slot"),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    stage: str
    label: str
    repetition: int = 0
    slot: int
    ok: int
    bad: int
    slowest: float


class ErrorRow(SQLModel, table=True):
    """One kind of error; rows of the same kind add up."""

    __tablename__ = "error"
    id: int | None = _key()
    run_id: str = _run()
    stage: str
    label: str
    repetition: int = 0
    kind: str
    request: str
    count: int
    first_at: float
    last_at: float
    example: str = _text()


class SampleRow(SQLModel, table=True):
    """One value of one series."""

    __tablename__ = "sample"
    __table_args__ = (Index("sample_by_series", "run_id", "source", "series", "at"),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    at: float
    source: str
    series: str
    value: float


class ProbeRow(SQLModel, table=True):
    """One look at a service's health."""

    __tablename__ = "probe"
    __table_args__ = (Index("probe_by_service", "run_id", "service", "at"),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    at: float
    service: str
    healthy: bool
    latency: float
    detail: str = ""


class EventRow(SQLModel, table=True):
    """Something that happened."""

    __tablename__ = "event"
    id: int | None = _key()
    run_id: str = _run()
    at: float
    kind: str
    subject: str
    message: str = _text()


class SuiteRow(SQLModel, table=True):
    """One execution of a suite."""

    __tablename__ = "suite"
    id: int | None = _key()
    run_id: str = _run()
    stage: str
    label: str
    repetition: int
    start: float
    end: float
    workers: int
    exit_code: int | None = None
    peak_memory: int = _large()
    problem: str | None = None
    skipped: str | None = None
    command: str = _text()
    order_seed: int | None = Field(default=None, sa_column=Column(BigInteger))


class TestRow(SQLModel, table=True):
    """One test in one execution."""

    __test__ = False
    __tablename__ = "test"
    id: int | None = _key()
    suite_id: int = Field(foreign_key="suite.id", index=True, ondelete="CASCADE")
    test: str
    status: str
    duration: float
    message: str = _text()
    traceback: str = _text()


class ExperimentRow(SQLModel, table=True):
    """One experiment: what was done and what was measured, as JSON of the records; its verdict to ask for."""

    __tablename__ = "experiment"
    __table_args__ = (Index("experiment_by_name", "run_id", "name", unique=True),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    name: str
    position: int
    fault: str
    target: str
    applied_at: float | None = None
    reverted_at: float | None = None
    detected_after: float | None = None
    recovered_after: float | None = None
    verdict: str | None = None
    reason: str = _text()
    record: str = _text()
    recovery: str | None = Field(default=None, sa_column=Column(Text))


class ThresholdRow(SQLModel, table=True):
    """One threshold, judged."""

    __tablename__ = "threshold"
    id: int | None = _key()
    run_id: str = _run()
    stage: str
    scope: str = ""  # the experiment and phase, when it belongs to one
    text: str
    verdict: str
    actual: float | None = None
    limit: float
    unit: str
    samples: int
    reason: str = _text()


class FindingRow(SQLModel, table=True):
    """One thing that a reader must know."""

    __tablename__ = "finding"
    id: int | None = _key()
    run_id: str = _run()
    stage: str
    severity: str
    title: str = _text()
    cause: str = _text()
    evidence: str = "[]"
    recommendation: str = _text()
    subject: str = ""


class LedgerRow(SQLModel, table=True):
    """One ledger, read back; the record as JSON, its figures to ask for."""

    __tablename__ = "ledger"
    id: int | None = _key()
    run_id: str = _run()
    ledger: str
    acknowledged: int
    lost: int
    duplicated: int
    record: str = _text()


class ComparisonRow(SQLModel, table=True):
    """One figure before and after."""

    __tablename__ = "comparison"
    id: int | None = _key()
    run_id: str = _run()
    subject: str
    metric: str
    unit: str
    before: float | None = None
    after: float | None = None
    tolerance: float
    verdict: str
    samples: int
    reason: str = _text()


class CycleRow(SQLModel, table=True):
    """One reading at the end of one repetition."""

    __tablename__ = "cycle"
    id: int | None = _key()
    run_id: str = _run()
    repetition: int
    at: float
    source: str
    series: str
    value: float
