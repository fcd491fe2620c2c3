"""Real suites, repeated in parallel: by `shakedown run`, by plain pytest-xdist in a loop, and by pytest-repeat.

`make bench-suites` (10 minutes, needs PyPI) writes benchmarks/README.md; `--quick` prints one round only. Each suite
comes from its package's source distribution and is installed with its test dependencies into an environment of its own,
all in a folder that is thrown away (`--keep DIR` keeps it). The ways take turns in each round.
"""  # noqa: INP001

import argparse
import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import bench
import psutil
import yaml
from publish import machine, publish
from sqlalchemy import text
from sqlalchemy.exc import NoResultFound

from shakedown.results import Store

BEGIN, END = "<!-- suites:begin -->", "<!-- suites:end -->"
SHAKEDOWN = Path(sys.executable).with_name("shakedown")
REPEAT, PROCESSES = 5, 2
RUNNERS = ("pytest", "pytest-xdist", "pytest-repeat")
TOOLS = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
TIMEOUT = 900


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose source distribution carries its tests, which need no network."""

    name: str
    version: str
    tests: str
    needs: tuple[str, ...] = ()


PACKAGES = (
    Package("toolz", "1.2.0", "toolz/tests"),
    Package("boltons", "26.2.0", "tests"),
    Package("pluggy", "1.6.0", "testing"),
)


@dataclass(slots=True)
class Seen:
    """One way of running one suite, over the rounds."""

    executions: int = 0
    failed: int = 0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    around: list[float] = field(default_factory=list)  # of ours: what a run takes beside its repetitions


def main() -> None:
    """Fetch, run, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round, printed only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", action="append", help="this package")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="bench-suites-"))
    folder.mkdir(parents=True, exist_ok=True)
    busy = psutil.cpu_percent(1.0) / 100
    try:
        lines = []
        for package in PACKAGES:
            if not options.only or package.name in options.only:
                lines += measure(package, folder, 1 if options.quick else options.rounds)
        said = "\n".join([machine(busy), "", *HEAD, *lines])
        sys.stdout.write(f"{said}\n")
        if not options.quick and not options.only:
            publish(BEGIN, END, said)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------- the suites
def fetch(package: Package, folder: Path) -> tuple[Path, Path]:
    """The unpacked source distribution, and the interpreter of an environment that has it installed."""
    home = folder / package.name
    python = home / "env" / "bin" / "python"
    source = home / "source"
    if not python.exists():
        base = Path(sys.base_prefix) / "bin" / "python3"
        run([str(base), "-m", "venv", str(home / "env")])
    pip = [str(python), "-m", "pip", "-q"]
    if not source.exists():
        pinned = f"{package.name}=={package.version}"
        run([*pip, "download", "--no-binary", ":all:", "--no-deps", "-d", str(home), pinned])
        (archive,) = home.glob("*.tar.gz")
        with tarfile.open(archive) as content:
            content.extractall(home / "unpacked", filter="data")
        run([*pip, "install", str(archive), *RUNNERS, *package.needs])
        (unpacked,) = (home / "unpacked").iterdir()
        unpacked.rename(source)
    return source, python


def run(command: Sequence[str]) -> None:
    """A step of the preparation."""
    done = subprocess.run(  # noqa: S603 - our own words
        command, capture_output=True, text=True, check=False, env=os.environ | TOOLS, timeout=TIMEOUT
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


# ----------------------------------------------------------------------------------------------------------- the measuring
def measure(package: Package, folder: Path, rounds: int) -> list[str]:
    """The table's lines of one suite."""
    source, python = fetch(package, folder)
    pytest = [str(python), "-m", "pytest", "-q", "-n", str(PROCESSES), package.tests]
    ways: dict[str, Callable[[Seen], None]] = {
        "plain xdist, in a loop": lambda seen: shell(seen, pytest, source, times=REPEAT),
        "shakedown, `repeat`": lambda seen: ours(seen, package, source, python, folder, repeat=REPEAT),
        "pytest-repeat, `--count`": lambda seen: shell(seen, [*pytest, f"--count={REPEAT}"], source),
        "shakedown, `count`": lambda seen: ours(seen, package, source, python, folder, count=REPEAT),
    }
    subprocess.run(  # noqa: S603 - our own words; what is to be compiled is compiled then
        pytest, cwd=source, capture_output=True, check=False, timeout=TIMEOUT
    )
    found = {way: Seen() for way in ways}
    for number in range(rounds):
        for way in list(ways)[:: 1 if number % 2 == 0 else -1]:
            ways[way](found[way])
            last = found[way]
            sys.stderr.write(f"{package.name}, {way}: {last.wall[-1]:.1f} s, CPU {last.cpu[-1]:.1f} s\n")
    return table(package, found)


def table(package: Package, found: dict[str, Seen]) -> list[str]:
    """A line for each way; ours against the one before it, round by round."""
    lines, plain = [], Seen()
    for way, seen in found.items():
        wall, cpu = statistics.median(seen.wall), statistics.median(seen.cpu)
        over = "–"
        if way.startswith("shakedown"):
            slower = statistics.median(mine / theirs for mine, theirs in zip(seen.wall, plain.wall, strict=True)) - 1
            dearer = statistics.median(mine / theirs for mine, theirs in zip(seen.cpu, plain.cpu, strict=True)) - 1
            over = f"{slower:+.0%}, CPU {dearer:+.0%}"
        plain = seen
        around = f"{statistics.median(seen.around):.1f}" if seen.around else "–"
        lines.append(
            f"| {package.name} {package.version} | {way} | {seen.executions:,} | {seen.failed} | {wall:.1f} | {cpu:.1f} | "
            f"{over} | {around} | {max(seen.peak) / 2**20:.0f} |"
        )
    return lines


HEAD = (
    f"{REPEAT} times each test, {PROCESSES} processes.",
    "",
    "| suite | way | executions of tests | failed | wall, s | CPU, s | ours over the line above | start and report, s | peak, MB |",
    "|---|---|---:|---:|---:|---:|---|---:|---:|",
)


class Watch(threading.Thread):
    """A program and all that it starts: memory together, and CPU time used so far, looked at five times a second."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        super().__init__(daemon=True)
        self.peak, self.used = 0, [(time.time(), 0.0)]
        self._gone: dict[int, float] = {}
        self._command, self._cwd = command, cwd
        self.output = ""

    def whole(self) -> float:
        """Run it to its end; how long that took, seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(  # noqa: S603 - our own words
                self._command, cwd=self._cwd, stdout=output, stderr=output
            )
            self._pid = process.pid
            self.start()
            process.wait(TIMEOUT)
            took = time.monotonic() - begun
            self.join()
            output.seek(0)
            self.output = output.read()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return took

    def run(self) -> None:
        """Until it ends."""
        while family := bench.tree(self._pid):
            total, used = 0, 0.0
            for process in family:
                try:
                    with process.oneshot():
                        total += process.memory_info().rss
                        times = process.cpu_times()
                    used += times.user + times.system + times.children_user + times.children_system
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)
            self.used.append((time.time(), max(used, self.used[-1][1])))
            if family[0].status() == psutil.STATUS_ZOMBIE:
                return
            time.sleep(0.2)

    def between(self, start: float, end: float) -> float:
        """CPU seconds used between two instants."""
        return self._at(end) - self._at(start)

    def _at(self, instant: float) -> float:
        return max((used for at, used in self.used if at <= instant), default=0.0)


def shell(seen: Seen, command: list[str], cwd: Path, times: int = 1) -> None:
    """A loop in a shell."""
    words = " ".join(f"'{word}'" for word in command)
    watch = Watch(["sh", "-c", f"i=0; while [ $i -lt {times} ]; do i=$((i+1)); {words}; done"], cwd)
    seen.wall.append(watch.whole())
    seen.cpu.append(watch.cpu)
    seen.peak.append(watch.peak)
    counts = [line for line in watch.output.splitlines() if " in " in line and ("passed" in line or "failed" in line)]
    seen.executions = sum(_number(line, "passed") + _number(line, "failed") for line in counts)
    seen.failed = sum(_number(line, "failed") for line in counts)


def _number(line: str, word: str) -> int:
    parts = line.replace("=", " ").replace(",", " ").split()
    return next((int(before) for before, after in itertools.pairwise(parts) if after == word), 0)


def ours(
    seen: Seen, package: Package, source: Path, python: Path, folder: Path, *, repeat: int = 1, count: int = 1
) -> None:
    """A run with nothing but an endurance stage; its repetitions are the wall time, the rest stands in its own column."""
    suite = {"pytest": package.tests, "python": str(python), "workers": PROCESSES, "cwd": str(source), "count": count}
    plan = {
        "version": 1, "name": "bench", "suites": {"suite": suite},
        "stages": {"endurance": {"repeat": repeat, "run": [{"suite": "suite"}], "flaky_tests": 10**6}},
    }  # fmt: skip
    home = Path(tempfile.mkdtemp(dir=folder))
    (home / "plan.yaml").write_text(yaml.safe_dump(plan))
    watch = Watch([str(SHAKEDOWN), "run", str(home / "plan.yaml"), "--root", str(home)], home)
    whole = watch.whole()
    try:
        start, end, counted, peak = read(home)
    except NoResultFound:
        raise SystemExit(f"nothing ran: {watch.output}") from None
    seen.wall.append(end - start)
    seen.cpu.append(watch.between(start, end))
    seen.around.append(whole - (end - start))
    seen.peak.append(peak)
    seen.executions = sum(number for status, number in counted.items() if status != "skipped")
    seen.failed = seen.executions - counted.get("passed", 0)
    shutil.rmtree(home, ignore_errors=True)


def read(home: Path) -> tuple[float, float, dict[str, int], int]:
    """From the run's database: when its stage began and ended, tests by outcome, the suite's peak memory."""
    store = Store.open(home)
    try:
        with store.engine.connect() as link:
            started, begun, ended = link.execute(
                text(
                    "select run.started, stage.start, stage.end from stage join run on run.id = stage.run_id "
                    "where stage.name = 'endurance'"
                )
            ).one()
            counted = dict(link.execute(text("select status, count(*) from test group by status")).all())
            peak = link.execute(text("select max(peak_memory) from suite")).scalar_one()
    finally:
        store.engine.dispose()
    at = datetime.fromisoformat(str(started))
    epoch = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return epoch + begun, epoch + ended, {str(status): int(number) for status, number in counted.items()}, int(peak)


if __name__ == "__main__":
    main()
