"""A run out of the database into a file, and back into another database.

A file is JSON Lines: a heading, then a line for each row, `{"table": …, "row": {…}}`, the run's own first. Bytes are
base64, instants ISO 8601. What reads such a file trusts nothing of it: a table, column or value that this schema does
not have is an error, and a run's identity, which becomes a folder's name, is a plain name.
"""

import base64
import binascii
import csv
import gzip
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import Boolean, Column, DateTime, Float, Integer, LargeBinary, Table, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, SQLModel

from shakedown.errors import StoreError, UsageError
from shakedown.results import tables as t
from shakedown.results.database import schema_version
from shakedown.results.store import Store

__all__ = ["FORMATS", "export_run", "import_run"]

FORMATS = ("jsonl", "csv", "parquet")
KIND = "shakedown-run"
VERSION = 1
BATCH = 1000
LONGEST_LINE = 64 * 2**20
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PARENTS = {"test": "suite"}  # tables whose rows belong to a run by another table's row
_ROWS: tuple[type[SQLModel], ...] = (
    t.RunRow, t.StageRow, t.ServiceRow, t.LoadRow, t.HistogramRow, t.PulseRow, t.ErrorRow, t.SampleRow, t.ProbeRow,
    t.EventRow, t.SuiteRow, t.TestRow, t.ExperimentRow, t.ThresholdRow, t.FindingRow, t.LedgerRow, t.ComparisonRow,
    t.CycleRow, t.FigureRow, t.RegressionRow, t.ArtifactRow,
)  # fmt: skip
TABLES: dict[str, Table] = {SQLModel.metadata.tables[str(row.__tablename__)].name: SQLModel.metadata.tables[str(row.__tablename__)] for row in _ROWS}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- out
def export_run(store: Store, run: str, target: Path, kind: str = "jsonl") -> list[Path]:
    """Write a run.

    Args:
        target: for `jsonl` a file (compressed when its name ends with `.gz`), else a folder with a file for each table.

    Raises:
        StoreError: it cannot be read or written.
        UsageError: the format is none, or Parquet without pyarrow.
    """
    if kind not in FORMATS:
        raise UsageError(f"no such format: {kind}; allowed: {', '.join(FORMATS)}")
    try:
        with Session(store.engine) as session:
            if kind == "jsonl":
                return [_export_lines(session, run, target)]
            target.mkdir(parents=True, exist_ok=True)
            write = _write_csv if kind == "csv" else _parquet()
            paths = []
            for name, table in TABLES.items():
                rows = list(_rows(session, run, name))
                if rows:
                    paths.append(target / f"{name}.{kind}")
                    write(paths[-1], table, rows)
            return paths
    except SQLAlchemyError as error:
        raise StoreError(f"the run {run} cannot be read: {getattr(error, 'orig', None) or error}") from error
    except OSError as error:
        raise StoreError(
            f"the run cannot be written to {target}: {error.strerror or error}",
            hint="free some space there, or name another place with --out",
        ) from error


def _rows(session: Session, run: str, name: str) -> Iterator[Mapping[str, Any]]:
    """A table's rows of a run, in the order in which they were written."""
    table = TABLES[name]
    if name == "run":
        query = select(table).where(table.c.id == run)
    elif name in _PARENTS:
        parent = TABLES[_PARENTS[name]]
        query = select(table).join(parent, table.c.suite_id == parent.c.id).where(parent.c.run_id == run)
    else:
        query = select(table).where(table.c.run_id == run)
    for row in session.execute(query.order_by(table.c.id).execution_options(yield_per=BATCH)).mappings():
        yield dict(row)


def _export_lines(session: Session, run: str, target: Path) -> Path:
    temporary = target.with_name(f".{target.name}.part")
    try:
        with _opened(temporary, "wt", packed=target.suffix == ".gz") as file:
            heading = {"kind": KIND, "version": VERSION, "schema": schema_version(), "run": run}
            file.write(json.dumps(heading) + "\n")
            for name, table in TABLES.items():
                for row in _rows(session, run, name):
                    values = {
                        column.name: _out(row[column.name]) for column in table.columns if column.name != "run_id"
                    }
                    file.write(json.dumps({"table": name, "row": values}, ensure_ascii=False) + "\n")
            file.write(json.dumps({"end": run}) + "\n")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _opened(path: Path, mode: str, *, packed: bool) -> IO[Any]:
    if packed:
        return cast("IO[Any]", gzip.open(path, mode, encoding="utf-8", newline="\n"))
    return path.open(mode, encoding="utf-8", newline="\n")


def _out(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, datetime):
        return _in_utc(value).isoformat()
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no infinity
        return repr(value)
    return value


def _in_utc(value: datetime) -> datetime:
    """SQLite keeps no zone: what it has is UTC."""
    return value.astimezone(UTC) if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _write_csv(path: Path, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in table.columns])
        for row in rows:
            writer.writerow([_inert(_out(row[column.name])) for column in table.columns])


def _inert(value: object) -> object:
    """Text that a spreadsheet would carry out as a formula, with a quote before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _parquet() -> Any:
    try:
        pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")  # an extra, without types
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed", hint="install `pyarrow`, or use --format csv"
        ) from None
    kinds = {Boolean: pa.bool_(), Integer: pa.int64(), Float: pa.float64(), LargeBinary: pa.binary()}

    def kind_of(column: Column[Any]) -> Any:
        if isinstance(column.type, DateTime):
            return pa.timestamp("us")
        return next((kind for sql, kind in kinds.items() if isinstance(column.type, sql)), pa.string())

    def write(path: Path, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        fields = [pa.field(column.name, kind_of(column), nullable=bool(column.nullable)) for column in table.columns]
        columns = {
            column.name: [_naive(row[column.name]) for row in rows] for column in table.columns
        }  # the instants are UTC in either database
        parquet.write_table(pa.table(columns, schema=pa.schema(fields)), path)

    return write


def _naive(value: object) -> object:
    if isinstance(value, datetime):
        return _in_utc(value).replace(tzinfo=None)
    return bytes(value) if isinstance(value, memoryview) else value


# ----------------------------------------------------------------------------------------------------------------- in
def import_run(store: Store, source: Path) -> str:
    """Read a run that `export_run` wrote as JSON Lines, whole or not at all; its identity.

    Raises:
        StoreError: the file is damaged, of another schema, or cannot be stored.
        UsageError: the run is there already, or the file is none.
    """
    try:
        with source.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with _opened(source, "rt", packed=packed) as file:
            return _import_lines(store, file, source)
    except (OSError, EOFError) as error:
        raise UsageError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{source} is no export of a run: it is not UTF-8") from error


def _import_lines(store: Store, file: IO[str], source: Path) -> str:
    lines = _lines(file, source)
    run = _heading(next(lines, (0, None))[1], source)
    batches: list[tuple[str, dict[str, Any]]] = []
    ended = False
    for number, line in lines:
        if ended:
            raise StoreError(f"{source}:{number}: something comes after the end")
        if line == {"end": run}:
            ended = True
            continue
        batches.append(_row(line, run, source, number))
    if not ended:
        raise StoreError(f"{source} ends too soon: it was cut off", hint="export the run again")
    if not batches or batches[0][0] != "run" or sum(name == "run" for name, _ in batches) != 1:
        raise StoreError(f"{source}: the run itself must come first, and once")

    def work(session: Session) -> None:
        if session.get(t.RunRow, run) is not None:
            raise UsageError(f"the run {run} is in this database already")
        suites: dict[int, int] = {}
        pending: dict[str, list[dict[str, Any]]] = {}
        for name, given in batches:
            values = dict(given)  # a transaction may be done again
            if name == "suite":
                old = values.pop("id")
                made = session.execute(insert(TABLES[name]).values(**values).returning(TABLES[name].c.id))
                suites[old] = made.scalar_one()
                continue
            if name == "run":
                session.execute(insert(TABLES[name]), [values])
                continue
            if name == "test":
                if values["suite_id"] not in suites:
                    raise StoreError(f"{source}: a test belongs to no suite of the run")
                values["suite_id"] = suites[values["suite_id"]]
            rows = pending.setdefault(name, [])
            rows.append(values)
            if len(rows) == BATCH:
                session.execute(insert(TABLES[name]), rows)
                rows.clear()
        for name, rows in pending.items():
            if rows:
                session.execute(insert(TABLES[name]), rows)

    store.write(work)
    return run


def _lines(file: IO[str], source: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    while text := file.readline(LONGEST_LINE):
        number += 1
        try:
            yield number, json.loads(text)
        except (ValueError, RecursionError):
            raise StoreError(f"{source}:{number}: not a line of JSON: it was cut off or changed") from None


def _heading(line: Any, source: Path) -> str:
    if not isinstance(line, dict) or line.get("kind") != KIND:
        raise StoreError(f"{source} is no export of a run", hint="`shakedown export RUN` writes one")
    if line.get("version") != VERSION or line.get("schema") != schema_version():
        raise StoreError(
            f"{source} has version {line.get('version')} and schema {line.get('schema')}; this program reads version {VERSION}"
            f" and schema {schema_version()}",
            hint="import it with the version of Shakedown that wrote it, and export it with this one from the database brought up",
        )
    run = line.get("run")
    if not isinstance(run, str) or not _RUN_NAME.fullmatch(run):
        raise StoreError(f"{source}: {run!r} is no name of a run; letters, digits, `.`, `_` and `-` are allowed")
    return run


def _row(line: Any, run: str, source: Path, number: int) -> tuple[str, dict[str, Any]]:
    def wrong(what: str) -> StoreError:
        return StoreError(f"{source}:{number}: {what}")

    name, given = (line.get("table"), line.get("row")) if isinstance(line, dict) else (None, None)
    if not isinstance(name, str) or name not in TABLES or not isinstance(given, dict):
        raise wrong(f"no row of a table of this schema: {name!r}")
    columns = {column.name: column for column in TABLES[name].columns if column.name != "run_id"}
    if given.keys() != columns.keys():
        odd = sorted(given.keys() ^ columns.keys())
        raise wrong(f"the columns of {name} are others: {', '.join(odd)}")
    values: dict[str, Any] = {}
    for key, column in columns.items():
        try:
            values[key] = _in(given[key], column)
        except (ValueError, TypeError, OverflowError, binascii.Error):
            raise wrong(f"{name}.{key} cannot be {str(given[key])[:60]!r}") from None
    if name == "run":
        if values["id"] != run:
            raise wrong(f"the run is {values['id']!r}, the heading says {run!r}")
        if values["status"] == "running":  # nobody here will ever end it
            values |= {"status": "interrupted", "reason": "exported while it went on", "exit_code": 130}
        return name, values
    if name != "suite":
        values.pop("id")
    return name, values if name in _PARENTS else {**values, "run_id": run}


def _in(value: Any, column: Column[Any]) -> Any:
    kind = column.type
    if value is None:
        if not column.nullable:
            raise ValueError("empty")
        return None
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value, validate=True)
    if isinstance(kind, DateTime):
        return _in_utc(datetime.fromisoformat(value))
    if isinstance(kind, Boolean):
        return _exactly(value, bool)
    if isinstance(kind, Integer):
        if isinstance(value, bool) or not -(2**63) <= _exactly(value, int) < 2**63:
            raise ValueError("no integer of a database")
        return value
    if isinstance(kind, Float):
        return float(value) if isinstance(value, str) else float(_exactly(value, int | float))
    return _exactly(value, str)


def _exactly(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise TypeError(f"not {kind}")
    return value
