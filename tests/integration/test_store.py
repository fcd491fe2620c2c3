"""The store on SQLite and on PostgreSQL: schemas of every age, several writers, runs that leave and come back."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlmodel import Session, SQLModel

from shakedown.errors import StoreError, UsageError
from shakedown.guard import Journal
from shakedown.guard.undo import ContainerRemove
from shakedown.plan.services import Build
from shakedown.records.figures import Change, Figure, FigureName, Outlook
from shakedown.records.observation import Event
from shakedown.results import Results, Store
from shakedown.results import database as db
from shakedown.results.history import comparable, figure_all, figure_run, look_at_run
from shakedown.results.pruning import choose_runs, prune_runs, shrink
from shakedown.results.transfer import TABLES, export_run, import_run
from shakedown.results.workload import machine_digest, workload_digest
from shakedown.services.images import build_image
from shakedown.verdict import Verdict
from tests.conftest import COURIER, ROOT
from tests.integration.test_results import delta, fill, row

pytestmark = pytest.mark.integration
PASSWORD = "store"  # noqa: S105 - of a server that this test starts
P95 = FigureName("stress", "send", "p95")


@pytest.fixture(scope="module")
def postgres(engine) -> Iterator[str]:
    """The address of a PostgreSQL server, without a database's name."""
    tag = build_image(engine, COURIER.parent / "images" / "postgres", Build(context="."), print)
    environment = {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_USER": "store"}
    made = engine.containers.run(tag, detach=True, environment=environment, ports={"5432/tcp": ("127.0.0.1", None)})
    try:
        made.reload()
        url = f"postgresql+psycopg://store:{PASSWORD}@127.0.0.1:{made.ports['5432/tcp'][0]['HostPort']}"
        limit = time.monotonic() + 120
        while True:
            try:
                with sa.create_engine(f"{url}/store").connect():
                    break
            except sa.exc.OperationalError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.3)
        yield url
    finally:
        made.remove(force=True, v=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shakedown.db'}"
    server = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex[:12]}"
    maker = sa.create_engine(f"{server}/store", isolation_level="AUTOCOMMIT")
    with maker.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    maker.dispose()
    return f"{server}/{name}"


@pytest.fixture
def store(url, tmp_path) -> Iterator[Store]:
    """A store in it."""
    made = Store.open(tmp_path, url)
    yield made
    made.engine.dispose()


# ------------------------------------------------------------------------------------------------------------ schemas
def at_revision(url: str, revision: str) -> sa.Engine:
    """A database as an earlier version of the program left it."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config = db._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


def put(engine: sa.Engine, table: str, **values: object) -> None:
    with engine.begin() as connection:
        reflected = sa.Table(table, sa.MetaData(), autoload_with=connection)
        connection.execute(reflected.insert().values(**values))


RUN = {
    "id": "r", "plan": "p", "plan_path": "p.yaml", "plan_digest": "d", "plan_json": "{}", "overrides": "[]", "command": "",
    "started": datetime(2026, 1, 1, tzinfo=UTC), "status": "finished", "reason": "", "host": "h", "pid": 1, "pid_created": 0.0,
    "version": "0.1.0", "seed": 2**40, "planned": 1.0,
    "environment": json.dumps({"system": "Linux 6.1.0-37-amd64", "cores": "8", "python": "3.11.2"}),
}  # fmt: skip
LOAD = {
    "run_id": "r", "stage": "stress", "label": "send", "repetition": 0, "scenario": "send", "executor": "constant-vus", "start": 0.0,
    "end": 3.0, "warm_up": 0.0, "rate_held": True, "interrupted": False, "counts": '{"scheduled": 3, "started": 3, "ok": 3}',
    "generator": "{}",
}  # fmt: skip
INJECTION = {
    "fault": "service-kill",
    "target": "redis",
    "parameters": "",
    "mechanism": "signal",
    "layers": [],
    "asked_at": 1.0,
}


def old_rows(engine: sa.Engine, revision: str) -> None:
    """A run of that time, with a load, an experiment and a suite."""
    put(engine, "run", **RUN)
    put(engine, "load", **LOAD)
    record = {"name": "x", "watched_until": 2.0}
    record |= INJECTION if revision == "0001" else {"injections": [INJECTION]}
    put(engine, "experiment", run_id="r", name="x", position=0, fault="service-kill", target="redis", reason="", record=json.dumps(record))  # fmt: skip
    order = {} if revision == "0001" else {"order_seed": 2**40}
    put(engine, "suite", run_id="r", stage="baseline", label="unit", repetition=1, start=0.0, end=1.0, workers=1, peak_memory=2**33, command="", **order)  # fmt: skip


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_every_earlier_schema_is_brought_up_with_its_rows(url, tmp_path, revision):
    """What an earlier version stored is read as it was, and what it knew of its machine stands in columns."""
    engine = at_revision(url, revision)
    old_rows(engine, revision)
    engine.dispose()
    store = Store.open(tmp_path, url)
    results = Results(store.engine)
    info = results.run("r")
    assert (info.seed, info.kernel, info.environment["cores"], info.machine) == (2**40, "6.1.0-37-amd64", "8", "")
    assert results.loads("r")[0].counts.ok == 3
    assert results.experiments("r")[0].record.injections[0].target == "redis"
    assert results.suites("r")[0].peak_memory == 2**33
    assert figure_all(store, results) == 1
    store.engine.dispose()


def test_the_schema_is_what_the_tables_say(store):
    """Migrations from nothing make exactly the columns and indexes of the tables."""
    found = sa.inspect(store.engine)
    for name, table in SQLModel.metadata.tables.items():
        if name not in TABLES:
            continue
        assert {c["name"]: c["nullable"] for c in found.get_columns(name)} == {
            c.name: c.nullable for c in table.columns
        }
        made = {one["name"]: (one["column_names"], bool(one["unique"])) for one in found.get_indexes(name)}
        assert made == {one.name: ([c.name for c in one.columns], bool(one.unique)) for one in table.indexes}


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_an_incomplete_early_database_is_completed(url, tmp_path, revision):
    """Databases made while the first schema was still changing lack columns: those that can be made up are added."""
    engine = at_revision(url, revision)
    put(engine, "run", **RUN)
    with engine.begin() as connection:
        for table, column in (("load", "warm_up"), ("histogram", "warm_up"), ("histogram", "unanswered")):
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    put(engine, "load", **{key: value for key, value in LOAD.items() if key != "warm_up"})
    engine.dispose()
    store = Store.open(tmp_path, url)
    store.add_delta("r", "stress", 0, delta(1, [0.1]))
    (load,) = Results(store.engine).loads("r")
    assert (load.warm_up, sum(bucket.response.count for bucket in load.buckets.values())) == (0.0, 1)
    store.engine.dispose()


def test_a_database_that_cannot_be_completed_is_told(url, tmp_path):
    """A missing column that nobody can make up is an error that names it, and nothing is changed."""
    engine = at_revision(url, "0002")
    put(engine, "run", **RUN)
    put(engine, "load", **LOAD)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE load DROP COLUMN rate_held")
    with pytest.raises(StoreError, match="table load has no column rate_held"):
        Store.open(tmp_path, url)
    assert "figure" not in sa.inspect(engine).get_table_names()
    engine.dispose()


def test_a_newer_schema_is_refused(url, tmp_path):
    """A database of a later program is not touched."""
    Store.open(tmp_path, url).engine.dispose()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="schema 9999, which this version of Shakedown does not know"):
        Store.open(tmp_path, url)
    engine.dispose()


def test_an_address_without_a_driver_is_understood(postgres, tmp_path):
    """`postgresql://` is enough: the driver is ours to choose."""
    plain = postgres.replace("+psycopg", "") + "/store"
    Store.open(tmp_path, plain).engine.dispose()


# ------------------------------------------------------------------------------------------------------------ writers
def _write_many(url: str, folder: str, name: str, count: int) -> None:
    store = Store.open(Path(folder), url)
    store.begin_run(row(name))
    for number in range(count):
        store.add_event(name, Event(float(number), "k", "s", "m"))
        store.add_delta(name, "stress", 0, delta(number, [0.01] * 20))
    store.engine.dispose()


def test_two_processes_write_at_once(url, tmp_path):
    """Two runs open an empty database at the same time, and neither loses anything to the other."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(url, str(tmp_path), f"run-{n}", 40)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(240)
    assert [writer.exitcode for writer in writers] == [0, 0]
    results = Results.open(tmp_path, url)
    for name in ("run-0", "run-1"):
        assert len(results.events(name)) == 40
        (load,) = results.loads(name)
        assert sum(bucket.response.count for bucket in load.buckets.values()) == 800


def test_a_writer_waits_for_a_lock(tmp_path):
    """A transaction of another process that takes a while holds a writer up, and does not fail it."""
    store = Store.open(tmp_path)
    store.begin_run(row())
    other = sa.create_engine(f"sqlite:///{tmp_path / 'shakedown.db'}")
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        done = threading.Event()
        writer = threading.Thread(target=lambda: (store.add_event("run-1", Event(1.0, "k", "s", "m")), done.set()))
        writer.start()
        assert not done.wait(0.3)
        connection.exec_driver_sql("COMMIT")
        assert done.wait(60)
        writer.join()
    assert len(Results(store.engine).events("run-1")) == 1


def test_what_a_failed_transaction_did_is_undone(store):
    """A transaction is whole or not at all."""
    store.begin_run(row())

    def half(session: Session) -> None:
        session.execute(sa.insert(SQLModel.metadata.tables["event"]), [{"run_id": "run-1", "at": 1.0, "kind": "k", "subject": "s", "message": ""}])  # fmt: skip
        raise StoreError("no more")

    with pytest.raises(StoreError, match="no more"):
        store.write(half)
    assert Results(store.engine).events("run-1") == []


def test_a_killed_writer_leaves_what_was_committed(url, tmp_path):
    """Kill -9 in the middle of a transaction: what was committed before is there, the rest is not, and others can write."""
    code = (
        "import os, signal, sys, pathlib; sys.path.insert(0, sys.argv[3])\n"
        "from tests.integration.test_results import row, delta\n"
        "from shakedown.results import Store; from shakedown.records.observation import Event\n"
        "store = Store.open(pathlib.Path(sys.argv[1]), sys.argv[2]); store.begin_run(row())\n"
        "store.add_event('run-1', Event(1.0, 'k', 's', 'committed'))\n"
        "def work(session):\n"
        "    import sqlalchemy as sa; from sqlmodel import SQLModel\n"
        "    session.execute(sa.insert(SQLModel.metadata.tables['event']),"
        " [{'run_id': 'run-1', 'at': 2.0, 'kind': 'k', 'subject': 's', 'message': 'half'}])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.write(work)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), url, str(ROOT)], check=False, timeout=280)
    assert done.returncode == -9
    store = Store.open(tmp_path, url)
    results = Results(store.engine)
    assert [event.message for event in results.events("run-1")] == ["committed"]
    assert results.run("run-1").status == "interrupted"
    store.add_event("run-1", Event(3.0, "k", "s", "after"))
    store.engine.dispose()


# ------------------------------------------------------------------------------------------------------------ history
PLAN = {
    "version": 1, "name": "demo", "services": {"api": {"image": "demo:1", "ports": {"http": 80}}},
    "scenarios": {"send": {"executor": {"type": "constant-vus", "vus": 1, "duration": "3s"},
                           "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}},
    "stages": {"stress": {"parallel": [{"use": "send"}], "thresholds": ["send.p95 < 1s"]}},
}  # fmt: skip
MACHINE = {"cpu": "a processor", "cores": "2", "memory": str(8 * 2**30), "kernel": "6.1.0-37", "machine": "x86_64"}


def remember(store: Store, number: int, value: float, **changes: object) -> str:
    """A finished run with one figure."""
    run = f"run-{number:03d}"
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    known = {
        "workload": workload_digest(json.dumps(PLAN)),
        "machine": machine_digest(MACHINE),
        "plan_json": json.dumps(PLAN),
    }
    store.begin_run(row(run, started=started, **{**known, **changes}))
    store.put_figures(run, [Figure(P95, "s", value, 100)], version=1, workload=str({**known, **changes}["workload"]))
    store.end_run(run, status="finished", verdict=Verdict.PASSED, reason="", exit_code=0, at=1.0)
    return run


def test_runs_are_compared_with_their_like(store):
    """Comparable are earlier finished runs of the same plan, profile, work and machine; how the others differ is told."""
    for number in range(10):
        remember(store, number, 0.1)
    remember(store, 10, 9.9, machine="another")
    remember(store, 11, 9.9, profile="smoke")
    remember(store, 12, 9.9, workload="other")
    newest = remember(store, 13, 0.13)
    results = Results(store.engine)
    peers, why = comparable(results, results.run(newest))
    assert [peer.figures[P95].value for peer in peers] == [0.1] * 10
    assert "other work, or ran elsewhere" in why
    found, unsound = look_at_run(results.figures(newest), peers, ["stress.*.p95"])
    assert (found[P95][1].change, unsound) == (Change.SUSPECT, [])
    assert look_at_run(results.figures(newest), peers, ["baseline.*.p95"]) == ({}, [])


def test_figures_are_formed_from_what_was_stored(store):
    """A run's percentiles, errors and recoveries become figures; what could not be measured soundly says why."""
    fill(store)
    results = Results(store.engine)
    figure_run(store, results, "run-1")
    found = {str(one.name): one for one in results.figures("run-1")}
    assert found["baseline.send.p95"].sound == pytest.approx(0.01, rel=0.02)
    assert (found["baseline.send.p99"].value is not None, found["baseline.send.p99"].sound) == (True, None)
    assert "150 samples, 299 needed" in found["baseline.send.p99"].doubt
    assert "did not recover" in next(one.doubt for one in found.values() if one.name.metric == "recovery")
    figure_run(store, results, "run-1")
    assert len(results.figures("run-1")) == len(found)


def test_what_judges_does_not_make_another_work():
    """Thresholds, images and environments may change; loads and limits may not."""

    def digest(change) -> str:
        plan = json.loads(json.dumps(PLAN))
        change(plan)
        return workload_digest(json.dumps(plan))

    same = digest(dict)
    assert same == digest(lambda plan: plan["stages"]["stress"].update(thresholds=["send.p95 < 2s"]))
    assert same == digest(lambda plan: plan["services"]["api"].update(image="demo:2", environment={"A": "1"}))
    assert same == digest(lambda plan: plan.update(description="more", regression={"fail": True}))
    assert same != digest(lambda plan: plan["scenarios"]["send"]["executor"].update(vus=2))
    assert same != digest(lambda plan: plan["services"]["api"].update(limits={"memory": "1GB"}))
    assert workload_digest("{}") == workload_digest("not JSON") == ""


def test_machines_are_told_apart_by_what_makes_them_fast():
    """Another kernel build or host name is the same machine; another processor, core or kernel series is not."""
    same = machine_digest(MACHINE)
    assert same == machine_digest({**MACHINE, "kernel": "6.1.0-40", "host": "other"})
    assert len({same, *(machine_digest({**MACHINE, key: "9.9"}) for key in ("cpu", "cores", "kernel"))}) == 4
    assert machine_digest({**MACHINE, "cpu": ""}) == ""


def test_what_was_said_of_a_regression_stays(store):
    """The comparison of a run's end, and its files, are read as they were written."""
    store.begin_run(row())
    look = Outlook(Change.SUSPECT, 0.13, 0.1, 0.105, 12, 1, "why")
    store.add_regressions("run-1", {P95: ("s", look)})
    store.put_artifacts("run-1", [("report/report.md", 5, "ab")])
    store.put_artifacts("run-1", [("report/report.md", 6, "cd")])
    results = Results(store.engine)
    (kept,) = results.regressions("run-1")
    assert (kept.name, kept.unit, kept.outlook) == (P95, "s", look)
    assert results.artifacts("run-1") == [("report/report.md", 6, "cd")]


# ------------------------------------------------------------------------------------------------------------- prune
def test_old_runs_are_removed_with_everything_of_theirs(store, tmp_path):
    """What is older goes, with rows and folder; the last ones of each plan, running ones, and those still to be undone stay."""
    fill(store)
    for number in range(6):
        remember(store, number, 0.1)
    store.begin_run(row("running"))
    for name in ("run-1", "run-000", "running", "elsewhere"):
        (tmp_path / "runs" / name / "report").mkdir(parents=True)
        (tmp_path / "runs" / name / "report" / "report.md").write_text("x" * 100)
    journal = Journal(tmp_path / "runs" / "run-001" / "journal.jsonl", run="run-001", plan="demo")
    journal.intend("container", "container x", ContainerRemove(container="x"))
    journal.close()
    text = journal.path.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999')
    journal.path.write_text(text)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=10)
    assert choose_runs(store, now, keep=86400 * 7.5) == ["run-000", "run-001", "run-1", "run-002"]
    due = choose_runs(store, now, keep=86400 * 7.5, keep_last=4)
    assert due == ["run-000", "run-001", "run-1"]
    done = prune_runs(store, tmp_path, due)
    assert done.removed == ["run-000", "run-1"]
    assert [run for run, _ in done.kept] == ["run-001"]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"run-001", "running", "elsewhere"}
    results = Results(store.engine)
    assert {info.id for info in results.runs()} == {"running", *(f"run-00{n}" for n in range(1, 6))}
    with Session(store.engine) as session:
        for name, table in TABLES.items():
            if "run_id" in table.c:
                left = session.execute(sa.select(sa.func.count()).where(table.c.run_id == "run-1")).scalar_one()
                assert left == 0, name
        assert session.execute(sa.select(sa.func.count()).select_from(TABLES["test"])).scalar_one() == 0
    assert prune_runs(store, tmp_path, ["running"]).removed == [] or results.run("running").status == "running"
    shrink(store)


# ------------------------------------------------------------------------------------------------------------ transfer
def content(store: Store, run: str) -> dict[str, list[dict]]:
    """All rows of a run, without the numbers that a database gives."""
    found: dict[str, list[dict]] = {}
    with Session(store.engine) as session:
        for name, table in TABLES.items():
            query = sa.select(table).order_by(table.c.id)
            rows = [dict(one) for one in session.execute(query).mappings() if one.get("run_id", run) == run]
            for one in rows:
                one.pop("id" if name != "run" else "", None)
                one.pop("suite_id", None)
                if "started" in one:
                    one["started"] = one["started"].replace(tzinfo=UTC)
            found[name] = rows
    return found


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_a_run_comes_back_as_it_was(store, tmp_path, name):
    """Export and import give the same rows, also from one kind of database to another; twice is refused."""
    fill(store)
    figure_run(store, Results(store.engine), "run-1")
    (path,) = export_run(store, "run-1", tmp_path / name)
    other = Store.open(tmp_path / "other")
    assert import_run(other, path) == "run-1"
    assert content(other, "run-1") == content(store, "run-1")
    assert sum(map(len, content(store, "run-1").values())) > 60
    with pytest.raises(UsageError, match="is in this database already"):
        import_run(other, path)
    (again,) = export_run(other, "run-1", tmp_path / "again.jsonl")
    store.remove_runs(["run-1"])
    assert import_run(store, again) == "run-1"
    assert content(store, "run-1") == content(other, "run-1")


@pytest.fixture
def exported(tmp_path) -> list[str]:
    """The lines of an export."""
    store = Store.open(tmp_path / "from")
    fill(store)
    (path,) = export_run(store, "run-1", tmp_path / "run.jsonl")
    return path.read_text(encoding="utf-8").splitlines()


def changed(lines: list[str], what: str, value: object, table: str = "run") -> list[str]:
    """An export in which one value of the first row of a table is another."""
    place = next(n for n, line in enumerate(lines) if json.loads(line).get("table") == table)
    line = json.loads(lines[place])
    line["row"][what] = value
    return [*lines[:place], json.dumps(line), *lines[place + 1 :]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[0].replace('"0003"', '"0001"'), *lines[1:]], "schema 0001; this program reads"),
        (lambda lines: [lines[0].replace('"version": 1', '"version": 2'), *lines[1:]], "has version 2"),
        (lambda lines: [lines[0].replace("run-1", "../../etc"), *lines[1:]], "no name of a run"),
        (lambda lines: ["[]", *lines[1:]], "no export of a run"),
        (lambda lines: lines[1:], "no export of a run"),
        (lambda lines: lines[:-1], "ends too soon"),
        (lambda lines: [*lines[:5], lines[5][: len(lines[5]) // 2]], "not a line of JSON"),
        (lambda lines: [*lines, lines[3]], "after the end"),
        (lambda lines: [lines[0], *lines[2:]], "must come first"),
        (lambda lines: changed(lines, "id", "run-2"), "the heading says"),
        (lambda lines: changed(lines, "seed", 2**70), "run.seed cannot be"),
        (lambda lines: changed(lines, "seed", "1; DROP TABLE run"), "run.seed cannot be"),
        (lambda lines: changed(lines, "evil", 1), "columns of run are others: evil"),
        (lambda lines: changed(lines, "response", "%%%", "histogram"), "histogram.response cannot be"),
        (lambda lines: changed(lines, "suite_id", 4711, "test"), "belongs to no suite"),
        (lambda lines: [*lines[:2], '{"table": "alembic_version", "row": {}}', *lines[2:]], "no row of a table"),
    ],
)
def test_a_foreign_file_is_refused_whole(exported, tmp_path, change, said):
    """What is damaged, of another schema, or means harm is an error that says what, and leaves nothing."""
    path = tmp_path / "changed.jsonl"
    path.write_text("\n".join(change(exported)) + "\n", encoding="utf-8")
    store = Store.open(tmp_path / "to")
    with pytest.raises(StoreError, match=said):
        import_run(store, path)
    assert Results(store.engine).runs() == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_for_other_programs(tmp_path, kind):
    """CSV and Parquet have a file for each table, whose rows are those of the run; no text starts a formula."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    store = Store.open(tmp_path)
    fill(store)
    store.add_event("run-1", Event(2.0, "k", "=cmd()", "m"))
    paths = {path.stem: path for path in export_run(store, "run-1", tmp_path / "out", kind)}
    assert {"run", "histogram", "sample", "event", "test"} <= paths.keys()
    if kind == "csv":
        assert len(paths["sample"].read_text().splitlines()) == 4
        assert ",'=cmd()," in paths["event"].read_text()
        return
    from pyarrow import parquet

    read = parquet.read_table(paths["sample"]).to_pylist()
    assert [one["value"] for one in read] == [5e7 + 1, 5e7 + 2, 5e7 + 3]
    assert parquet.read_table(paths["histogram"]).num_rows == len(content(store, "run-1")["histogram"])


def test_other_formats_are_named(store, tmp_path):
    """A format that there is not is a usage error that lists what there is."""
    with pytest.raises(UsageError, match="jsonl, csv, parquet"):
        export_run(store, "run-1", tmp_path / "x", "xml")
