"""One execution of a pytest suite: a process of its own, each outcome noted as it happens, the whole tree watched."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from shakedown.clock import RunClock
from shakedown.errors import SuiteError
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.process import start_program
from shakedown.guard.undo import carry_out
from shakedown.plan.model import Suite, UseSuite
from shakedown.plan.services import Secret
from shakedown.plan.uses import label_of
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus

__all__ = ["run_suite"]

PLUGIN = Path(__file__).parent / "plugin"
LOOK_EVERY = 0.25
OUTCOMES = ("passed", "failed", "skipped")
FOREIGN = ("PYTEST_", "COV_CORE", "COVERAGE_")  # settings of a pytest that we run under: not for the suite
TESTS_FAILED, INTERRUPTED, INTERNAL, USAGE, NO_TESTS = 1, 2, 3, 4, 5


def run_suite(
    use: UseSuite, suite: Suite, *, base: Path, addresses: Mapping[str, str], out: Path, stage: str, repetition: int,
    clock: RunClock, stop: threading.Event, journal: Journal,
) -> SuiteResult:  # fmt: skip
    """Run a suite once.

    Args:
        base: the plan's folder.
        addresses: the services' addresses, as environment variables.
        out: the folder for the output and the outcomes.

    Raises:
        SuiteError: it cannot be run at all: no interpreter, no pytest, no xdist for several processes.
    """
    label = label_of(use)
    workers = use.workers or suite.workers
    path, python = base / suite.pytest, suite.python or sys.executable
    started = clock.now()
    result = SuiteResult(label, stage, repetition, started, started, workers, None)
    if not path.exists():
        if not suite.optional:
            raise SuiteError(f"suite {label}: no such path: {path}")
        result.skipped = f"{suite.pytest} is not there, and the suite is optional"
        return result
    if problem := _missing_modules(python, workers, base):
        if not suite.optional:
            raise SuiteError(f"suite {label}: {problem}", hint="install it there, or name another `python:`")
        result.skipped = problem
        return result
    arguments = [str(path), "-q", "-p", "no:cacheprovider", "-p", "shakedown_reporter", *suite.args]
    if workers > 1:
        arguments += ["-n", str(workers)]
    max_failures = use.max_failures or suite.max_failures
    if max_failures is not None:
        arguments += [f"--maxfail={max_failures}"]
    out.mkdir(parents=True, exist_ok=True)
    report = out / "outcomes.jsonl"
    report.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    environment |= {
        key: value.value if isinstance(value, Secret) else value for key, value in suite.environment.items()
    }
    environment |= addresses
    environment |= {
        "SHAKEDOWN_REPORT": str(report.resolve()),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PLUGIN), environment.get("PYTHONPATH", "")])),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    result.command = shlex.join([python, "-m", "pytest", *arguments])
    with (out / "output.txt").open("wb") as output:
        try:
            process, intent = start_program(
                journal, f"suite {label}", [python, "-m", "pytest", *arguments],
                cwd=base, environment=environment, output=output,
            )  # fmt: skip
        except OSError as error:
            raise SuiteError(f"suite {label}: {python} cannot be started: {error}") from error
        killed = _watch(process, intent, suite.timeout, stop, result)
        journal.strike(intent.id)
    result.end = clock.now()
    result.exit_code = None if killed else process.returncode
    notes = _outcomes(report, result)
    result.problem = killed or _problem(process.returncode, result, notes, out / "output.txt")
    return result


def _missing_modules(python: str, workers: int, base: Path) -> str | None:
    modules = ["pytest", *(["xdist"] if workers > 1 else [])]
    code = f"import importlib.util as u, sys; sys.exit(','.join(m for m in {modules!r} if u.find_spec(m) is None) or 0)"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter; where the suite will run: its path may be relative
            [python, "-c", code], cwd=base, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the interpreter {python} cannot be started: {error}"
    return f"{python} has no {done.stderr.strip()}" if done.returncode else None


def _watch(
    process: "subprocess.Popen[bytes]", intent: Intent, limit: float, stop: threading.Event, result: SuiteResult
) -> str | None:
    """Wait for the end, look at the tree's memory meanwhile; why it was killed, or None."""
    tree = psutil.Process(process.pid)  # not waited for yet, so it is there, if only as a zombie
    until, killed = time.monotonic() + limit, None
    while True:
        try:
            process.wait(LOOK_EVERY)
            break
        except subprocess.TimeoutExpired:
            pass
        result.peak_memory = max(result.peak_memory, _tree_memory(tree))
        if killed is None and (stop.is_set() or time.monotonic() > until):
            killed = "interrupted" if stop.is_set() else f"not done after {limit:g} s: ended by us"
            carry_out(intent.undo, None)
    return killed


def _tree_memory(tree: psutil.Process) -> int:
    """Resident memory of a process and all its children, bytes."""
    total = 0
    try:
        family = [tree, *tree.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += int(member.memory_info().rss)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


@dataclass(slots=True)
class _Notes:
    """What the plugin told of the session as a whole."""

    uncollected: list[str] = field(default_factory=list)
    selected: int | None = None  # tests; None: the session never came to its end


def _outcomes(report: Path, result: SuiteResult) -> _Notes:
    """Fold phases into one outcome per test; what is told of the session is returned."""
    notes = _Notes()
    tests: dict[str, TestOutcome] = {}
    spent: dict[str, float] = {}
    for line in report.read_text(encoding="utf-8").splitlines() if report.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:  # torn by a crash
            continue
        if "collect" in entry:
            notes.uncollected.append(str(entry["collect"]))
            continue
        if "end" in entry:
            notes.selected = int(entry["selected"])
            continue
        test, phase, known = entry["test"], entry["phase"], tests.get(entry["test"])
        spent[test] = spent.get(test, 0.0) + float(entry["duration"])
        if entry["outcome"] not in OUTCOMES:  # "rerun", of a plugin of theirs: the attempt that counts comes later
            continue
        status = _status(phase, entry["outcome"])
        if status is TestStatus.PASSED and phase != "call":
            if known is not None:  # a good teardown changes nothing but the time
                tests[test] = replace(known, duration=spent[test])
            continue  # a good setup is no outcome yet: the test may hang or crash
        if known is None or known.status is TestStatus.PASSED:
            tests[test] = TestOutcome(test, status, spent[test], entry["message"], entry["traceback"])
    result.outcomes = list(tests.values())
    return notes


def _status(phase: str, outcome: str) -> TestStatus:
    if outcome == "skipped":
        return TestStatus.SKIPPED
    if outcome == "passed":
        return TestStatus.PASSED
    return TestStatus.FAILED if phase == "call" else TestStatus.ERROR


def _problem(code: int, result: SuiteResult, notes: _Notes, output: Path) -> str | None:
    """Why an execution cannot be judged; None when it can, whatever its tests did."""
    if notes.uncollected:
        return f"could not be collected: {', '.join(notes.uncollected)}"
    if code == NO_TESTS or (code == 0 and not result.outcomes):
        return "no test ran"
    failures = any(outcome.status in (TestStatus.FAILED, TestStatus.ERROR) for outcome in result.outcomes)
    if code == TESTS_FAILED and failures:
        return None
    if code == INTERRUPTED and failures:  # --maxfail reached under several processes
        return None
    if code != 0:
        tail = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return f"pytest ended with {code}: {' '.join(tail)}"
    if notes.selected is None:
        return "pytest ended with 0 in the middle of its session: something in it exits"
    if len(result.outcomes) < notes.selected:
        return f"pytest ended with 0, but {notes.selected - len(result.outcomes)} of {notes.selected} tests have no outcome"
    return None
