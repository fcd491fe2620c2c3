"""What questions cost with 10 000 runs in the store: `make bench-history`. Writes its table in benchmarks/README.md.

The runs are small but whole: rows of run, stages, services, loads, histograms, samples, events, thresholds, figures. They
are made once from a real run's shape and copied with shifted values, straight into the tables. Questions are asked as the
commands ask them, in one process that is warm; the start of a Python process comes on top. SQLite and PostgreSQL are asked
alike; without `--postgresql` a server of the demo's image is started in a container, and removed at the end.
"""  # noqa: INP001

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from publish import publish

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from shakedown.errors import ShakedownError  # noqa: E402 - from this very folder's project
from shakedown.guard import find_engine  # noqa: E402
from shakedown.plan.services import Build  # noqa: E402
from shakedown.records.figures import FigureName  # noqa: E402
from shakedown.records.histogram import Histogram  # noqa: E402
from shakedown.reports import write_report  # noqa: E402
from shakedown.reports.history import collect_history, trend_of  # noqa: E402
from shakedown.reports.history_page import render_history  # noqa: E402
from shakedown.results import Results, Store  # noqa: E402
from shakedown.results.history import comparable, look_at_run  # noqa: E402
from shakedown.results.transfer import TABLES  # noqa: E402
from shakedown.services.images import build_image  # noqa: E402

BEGIN, END = "<!-- history: begin -->", "<!-- history: end -->"
PLANS = 10
SECONDS = 3
CHUNK = 500
RUN = "run-005003-3"
P95 = FigureName("stress", "send", "p95")
PLAN = {
    "version": 1, "name": "plan", "services": {"api": {"image": "demo:1", "ports": {"http": 80}}},
    "scenarios": {"send": {"executor": {"type": "constant-vus", "vus": 1, "duration": "3s"},
                           "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}},
    "stages": {"baseline": {"scenarios": ["send"]}, "stress": {"parallel": [{"use": "send"}]}},
    "description": "x" * 4000,
}  # fmt: skip
METRICS = (
    ("p50", 0.05, "s"),
    ("p95", 0.1, "s"),
    ("p99", 0.2, "s"),
    ("error_rate", 0.001, "%"),
    ("throughput", 50.0, "/s"),
)


def rows_of(number: int, rng: random.Random, histogram: bytes) -> dict[str, list[dict[str, object]]]:
    """One run's rows, by table."""
    run, plan = f"run-{number:06d}-{number % PLANS}", f"plan-{number % PLANS}"
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * number)
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
    rows["run"].append({
        "id": run, "plan": plan, "plan_path": "plan.yaml", "plan_digest": "d" * 64, "plan_json": json.dumps(PLAN), "profile": "smoke",
        "overrides": "[]", "command": "shakedown run plan.yaml", "started": at, "ended_at": 20.0, "status": "finished",
        "verdict": rng.choice(["passed", "passed", "failed"]), "reason": "", "exit_code": 0, "host": "h", "pid": 1, "pid_created": 1.0,
        "version": "0.1.0", "seed": number, "planned": 12.0, "environment": "{}", "workload": "w" * 16, "machine": "m" * 16, "build": "",
        "git_commit": f"{number // 20:040x}", "git_dirty": False, "kernel": "6.1.0", "cpu": "a processor", "cores": 2, "memory": 2**33,
        "container_engine": "20.10", "python": "3.11", "figured": 1,
    })  # fmt: skip
    rows["service"].append(
        {"run_id": run, "name": "api", "kind": "docker", "image": "demo:1", "image_digest": "sha256:1"}
    )
    for position, stage in enumerate(("baseline", "stress")):
        start = 8.0 * position
        key = {"run_id": run, "stage": stage, "label": "send", "repetition": 0}
        rows["stage"].append({"run_id": run, "name": stage, "position": position, "verdict": "passed", "reason": "", "start": start, "end": start + SECONDS})  # fmt: skip
        counts = json.dumps({"scheduled": 300, "started": 300, "ok": 300, "requests": 300, "on_time": 300})
        rows["load"].append({**key, "scenario": "send", "executor": "constant-vus", "start": start, "end": start + SECONDS, "target_rate": None,
                             "warm_up": 0.0, "rate_held": True, "interrupted": False, "counts": counts, "generator": "{}"})  # fmt: skip
        for second in range(SECONDS):
            rows["histogram"].append({**key, "kind": "request", "request": "r", "outcome": "ok", "second": int(start) + second, "response": histogram,
                                      "service": histogram, "bytes_received": 100, "unanswered": 0, "warm_up": False})  # fmt: skip
            for series in ("memory_anon", "cpu"):
                rows["sample"].append(
                    {"run_id": run, "at": start + second, "source": "api", "series": series, "value": 5e7}
                )
        rows["threshold"].append({"run_id": run, "stage": stage, "scope": "", "text": "send.p95 < 1s", "verdict": "passed", "actual": 0.1, "limit": 1.0, "unit": "s", "samples": 300, "reason": ""})  # fmt: skip
        rows["event"].append(
            {"run_id": run, "at": start, "kind": "stage.start", "subject": stage, "message": f"{stage} begins"}
        )
        level = 1.2 if number > 0.95 * 10_000 else 1.0
        for metric, usual, unit in METRICS:
            value = usual * level * rng.lognormvariate(0.0, 0.03)
            rows["figure"].append({"run_id": run, "stage": stage, "subject": "send", "metric": metric, "unit": unit, "value": value, "samples": 300, "doubt": ""})  # fmt: skip
    return rows


def fill(store: Store, runs: int, seed: int) -> float:
    """Put the runs in; the seconds that it took."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    distribution = Histogram()
    distribution.record_many([0.05 * rng.lognormvariate(0.0, 0.3) for _ in range(50)])
    histogram, begun = distribution.to_bytes(), time.perf_counter()
    plain = sa.create_engine(store.engine.url)  # without the store's cleaning of text, which is not what is timed here
    for start in range(0, runs, CHUNK):
        many = [rows_of(number, rng, histogram) for number in range(start, min(start + CHUNK, runs))]
        with plain.begin() as connection:
            for name, table in TABLES.items():
                rows = [row for one in many for row in one[name]]
                if rows:
                    connection.execute(sa.insert(table), rows)
    with plain.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    plain.dispose()
    return time.perf_counter() - begun


def trend(results: Results) -> int:
    """What `shakedown trend` asks and works out for 50 runs."""
    newest = results.runs(1, "plan-3")[0]
    peers = results.peers(
        "plan-3", "smoke", workload=newest.workload, machine=newest.machine, name=P95, limit=50
    )  # fmt: skip
    results.count("plan-3", "smoke")
    return len(trend_of(P95, peers).levels)


def compare_last(results: Results) -> int:
    """What a run's end asks: the newest beside those before it."""
    newest = results.runs(1, "plan-3")[0]
    peers, _ = comparable(results, newest)
    return len(look_at_run(results.figures(newest.id), peers, ["*.*.*"])[0])


def history(results: Results, root: Path) -> int:
    """What `shakedown history --html` asks, works out and writes for a plan's 1,000 runs and ten figures over 100 of them."""
    return len(render_history(collect_history(results, "plan-3"), root / "history.html", root))


def questions(results: Results, folder: Path) -> dict[str, Callable[[], object]]:
    """What is timed."""
    return {
        "`runs`": lambda: results.runs(20),
        "`trend`, 50 runs": lambda: trend(results),
        "a run's comparison with those before it": lambda: compare_last(results),
        "`report`, charts and all": lambda: write_report(results, RUN, folder),
        "`history --html`, 1,000 runs": lambda: history(results, folder.parent),
        "a run by the beginning of its name": lambda: results.run(RUN[:-2]),
        "opening the store": lambda: reopen(results, folder.parent),
    }  # fmt: skip


def reopen(results: Results, root: Path) -> None:
    """What every command does first: the schema looked at, and whether a run died."""
    Store.open(root, results._engine.url.render_as_string(hide_password=False)).engine.dispose()  # noqa: SLF001


def measure(question: Callable[[], object], times: int = 7) -> tuple[float, float]:
    """Median of the time and of the processor's time in this process, in seconds: the latter tells on a busy machine, too."""
    taken, used = [], []
    for _ in range(times):
        begun, before = time.perf_counter(), time.process_time()
        question()
        taken.append(time.perf_counter() - begun)
        used.append(time.process_time() - before)
    return statistics.median(taken), statistics.median(used)


def plans(store: Store) -> list[str]:
    """How SQLite answers the questions that grow with the number of runs: each by an index."""
    asked = {
        "newest runs": "SELECT id FROM run ORDER BY started DESC LIMIT 20",
        "comparable runs": "SELECT id FROM run WHERE workload='w' AND machine='m' AND started<'2027' AND plan='p' AND status='finished' AND figured>0 AND profile='smoke' ORDER BY started DESC LIMIT 40",
        "a figure's runs": "SELECT run.id FROM run JOIN figure ON figure.run_id=run.id WHERE run.plan='p' AND run.status='finished' AND run.figured>0 AND stage='s' AND subject='x' AND metric='p95' ORDER BY started DESC LIMIT 50",
        "runs that go on": "SELECT id FROM run WHERE status='running' AND host='h'",
    }  # fmt: skip
    lines = []
    with store.engine.connect() as connection:
        for name, text in asked.items():
            steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()]
            lines.append(f"- {name}: {'; '.join(steps)}")
    return lines


@contextmanager
def postgresql(url: str | None) -> Iterator[str | None]:
    """The address of an empty database: the one given, or one of a server of our own; None where there is no engine."""
    if url is not None:
        yield url
        return
    try:
        engine = find_engine()
    except ShakedownError as error:
        sys.stderr.write(f"PostgreSQL is left out: {error}\n")
        yield None
        return
    tag = build_image(engine, ROOT / "examples" / "courier" / "images" / "postgres", Build(context="."), lambda _: None)
    word = "bench"
    container = engine.containers.run(
        tag, detach=True, environment={"POSTGRES_PASSWORD": word, "POSTGRES_USER": word}, ports={"5432/tcp": ("127.0.0.1", None)}
    )  # fmt: skip
    try:
        container.reload()
        found = f"postgresql+psycopg://{word}:{word}@127.0.0.1:{container.ports['5432/tcp'][0]['HostPort']}/{word}"
        wait_for(found)
        yield found
    finally:
        container.remove(force=True, v=True)


def wait_for(url: str, within: float = 120.0) -> None:
    """Wait until a database answers.

    Raises:
        OperationalError: it did not.
    """
    limit = time.monotonic() + within
    while True:
        try:
            with sa.create_engine(url).connect():
                return
        except sa.exc.OperationalError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.3)


def main() -> None:
    """Fill, ask, publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument(
        "--postgresql", metavar="URL", help="an empty database to be asked instead of one in a container of ours"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    columns: dict[str, dict[str, tuple[float, float]]] = {}
    filled: dict[str, float] = {}
    steps: list[str] = []
    with tempfile.TemporaryDirectory() as name, postgresql(options.postgresql) as server:
        root = Path(name)
        for kind, url in (("SQLite", f"sqlite:///{root / 'shakedown.db'}"), ("PostgreSQL", server)):
            if url is None:
                continue
            store = Store.open(root, url)
            filled[kind] = fill(store, options.runs, options.seed)
            if kind == "SQLite":
                steps = plans(store)
            asked = questions(Results(store.engine), root / "report")
            columns[kind] = {question: measure(ask) for question, ask in asked.items()}
            store.engine.dispose()
        size = (root / "shakedown.db").stat().st_size
    kinds = list(columns)
    lines = [
        f"{options.runs:,} runs of {PLANS} plans, {size / 1e6:.0f} MB in SQLite. Milliseconds, medians of 7: time (processor time in the asking process); goal: below 1,000. Load average at the end {os.getloadavg()[0]:.0f}, on {os.cpu_count()} cores.",
        "",
        f"| question | {' | '.join(kinds)} |",
        f"|---|{'---:|' * len(kinds)}",
    ]
    for question in next(iter(columns.values())):
        cells = [f"{1e3 * columns[kind][question][0]:.0f} ({1e3 * columns[kind][question][1]:.0f})" for kind in kinds]
        lines.append(f"| {question} | {' | '.join(cells)} |")
    lines += ["", "How SQLite finds them:", *steps]
    text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
