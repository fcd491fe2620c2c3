"""`make bench-observer`: what watching ten containers costs, once a second, in CPU time of the observer alone.

A process of its own does nothing but watch: the observer of a run, with a run's store behind it. The kernel's account of that
process, and of the engine's, is read at the two ends of one window after the first rounds.
"""  # noqa: INP001

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import yaml
from bench import ROOT, say
from publish import machine, publish

sys.path.insert(0, str(ROOT))

BEGIN, END = "<!-- observer:begin -->", "<!-- observer:end -->"
IMAGE = "debian:bookworm-slim"
CONTAINERS = 10
GOAL = 0.03
IDLE = ["sleep", "3600"]
LISTENING = [
    "perl", "-MIO::Socket::INET", "-e",
    "my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 80) or die; my @all; while (my $c = $s->accept) { push @all, $c }",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one window.

    Attributes:
        cpu: cores of the observer's process, by the kernel's account.
        own: cores as the observer says itself, in the series `observer_cpu`.
        engine: cores of dockerd and containerd.
        start, end: resident bytes of the observer's process at the ends of the window.
        series: of the containers, all in all.
    """

    cpu: float
    own: float
    engine: float
    start: int
    end: int
    series: int
    rounds: int


def observe(plan: Path, seconds: float, warm_up: float, *, direct: bool) -> Cost:
    """Watch a plan's services; in a process of its own."""
    # Loaded here, so that the process that asks for the measurement does without.
    from shakedown.clock import RunClock  # noqa: PLC0415
    from shakedown.guard import Journal  # noqa: PLC0415
    from shakedown.observe import Observer  # noqa: PLC0415
    from shakedown.plan import load_plan  # noqa: PLC0415
    from shakedown.records.observation import Sample  # noqa: PLC0415
    from shakedown.results import Store  # noqa: PLC0415
    from shakedown.results.tables import RunRow  # noqa: PLC0415
    from shakedown.services import System  # noqa: PLC0415

    loaded = load_plan(plan, environ={})
    run = f"bench-{uuid.uuid4().hex[:8]}"
    store = Store.open(plan.parent / run)
    store.begin_run(
        RunRow(id=run, plan="bench", plan_path="", plan_digest="", plan_json="{}", command="", status="running",
               started=datetime.now(UTC), host="", pid=0, pid_created=0.0, version="", seed=0, planned=0.0)
    )  # fmt: skip
    clock = RunClock.start()
    system = System(
        loaded.plan, base=plan.parent, run=run, clock=clock, journal=Journal(plan.parent / "journal", run=run, plan="bench"),
        run_dir=plan.parent, on_event=lambda _: None, redact=str,
    )  # fmt: skip
    samples: list[Sample] = []

    def keep(round_: list[Sample]) -> None:
        samples.extend(sample for sample in round_ if sample.at > 0)
        store.add_samples(run, round_)

    try:
        system.start(threading.Event())
        observer = Observer(system, clock, keep, lambda event: say(str(event)), direct=direct)
        observer.start()
        time.sleep(warm_up)
        samples.clear()
        me, engine = psutil.Process(), [
            process for process in psutil.process_iter(["name"]) if process.info["name"] in ("dockerd", "containerd")
        ]  # fmt: skip
        begun, used, theirs, start = time.monotonic(), _cpu(me), sum(map(_cpu, engine)), me.memory_info().rss
        time.sleep(seconds)
        took = time.monotonic() - begun
        cost = (_cpu(me) - used) / took
        engine_cost, end = (sum(map(_cpu, engine)) - theirs) / took, me.memory_info().rss
        found = list(samples)
        observer.stop()
    finally:
        problems = system.stop()
    assert not problems, problems  # noqa: S101
    own = [sample.value for sample in found if sample.series == "observer_cpu"]
    names = {(sample.source, sample.series) for sample in found if sample.source.startswith("c")}
    return Cost(cost, sum(own) / len(own), engine_cost, start, end, len(names), len(own))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def in_a_process(command: list[str], *, direct: bool, seconds: float, warm_up: float) -> Cost:
    """One way of watching ten containers that run a command."""
    with plan_of(command) as plan:
        order = [sys.executable, __file__, "--observe", str(plan), "--seconds", str(seconds), "--warm-up", str(warm_up)]
        done = subprocess.run(  # noqa: S603 - ourselves
            [*order, *([] if direct else ["--engine"])], check=True, stdout=subprocess.PIPE, text=True
        )
        return Cost(**json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def plan_of(command: list[str]) -> Iterator[Path]:
    """A plan with ten such services."""
    service = {"image": IMAGE, "command": command, "ports": {"http": 80}}
    plan = {
        "version": 1, "name": "bench", "services": {f"c{number}": service for number in range(CONTAINERS)},
        "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                            "http": {"target": "c0.http", "requests": [{"name": "r", "get": "/"}]}}},
        "stages": {"baseline": {"scenarios": ["s"]}},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(yaml.safe_dump(plan), encoding="utf-8")
        yield path


def table(found: dict[tuple[str, str], Cost]) -> Iterator[str]:
    """The lines."""
    yield "| containers | read from | share of a core | as the report says | dockerd and containerd | resident, MB | grown, MB | series | rounds |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for (containers, way), cost in found.items():
        yield (
            f"| {containers} | {way} | {cost.cpu:.2%} | {cost.own:.2%} | {cost.engine:.2%} | {cost.end / 1e6:.0f} | "
            f"{(cost.end - cost.start) / 1e6:.1f} | {cost.series} | {cost.rounds} |"
        )
    yield ""
    for (containers, way), cost in found.items():
        met = "met" if cost.cpu < GOAL else "not met"
        yield f"- Goal: below {GOAL:.0%} of a core. {containers}, {way}: {cost.cpu:.2%}: {met}."


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="half a minute, not published")
    parser.add_argument("--observe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=5.0)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.observe is not None:
        cost = observe(options.observe, options.seconds, options.warm_up, direct=not options.engine)
        sys.stdout.write(json.dumps(asdict(cost)) + "\n")
        return
    seconds = 10.0 if options.quick else options.seconds
    noise = psutil.cpu_percent(interval=2) / 100
    found = {}
    for containers, command in (("ten that sleep", IDLE), ("ten that listen", LISTENING)):
        for way, direct in (("the kernel's files", True), ("the engine", False)):
            found[containers, way] = in_a_process(command, direct=direct, seconds=seconds, warm_up=options.warm_up)
            say(f"{containers}, {way}: {found[containers, way]}")
    text = "\n".join(
        [machine(noise), "", f"{CONTAINERS} containers, sampled once a second for {seconds:g} s.", "", *table(found)]
    )
    sys.stdout.write(text + "\n")
    if not options.quick:
        publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
