"""One execution of a suite: a process of its own, each outcome noted as it happens, the whole tree watched."""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from shakedown.clock import RunClock
from shakedown.errors import SuiteError
from shakedown.plan.model import UseSuite
from shakedown.plan.services import Secret
from shakedown.plan.suites import Suite
from shakedown.plan.uses import label_of
from shakedown.records.suites import CUT_SHORT, SuiteResult, TestOutcome, TestStatus
from shakedown.suites.outcomes import Told, read_junit, read_lines, read_tap
from shakedown.suites.places import Place

__all__ = ["run_suite"]

PLUGIN = Path(__file__).parent / "plugin"
REPORT = "outcomes.jsonl"
TESTS_FAILED, INTERRUPTED, NO_TESTS = 1, 2, 5
_SETTINGS = ("SHAKEDOWN_ORDER", "SHAKEDOWN_COUNT", "SHAKEDOWN_TEST_TIMEOUT", "SHAKEDOWN_MAX_FAILURES")


def run_suite(
    use: UseSuite, suite: Suite, place: Place, *, base: Path, addresses: Mapping[str, str], out: Path, stage: str,
    repetition: int, clock: RunClock, stop: threading.Event, seed: int = 0,
) -> SuiteResult:  # fmt: skip
    """Run a suite once.

    Args:
        base: the plan's folder.
        addresses: the services' addresses, as environment variables.
        out: the folder for the output and the outcomes.
        seed: of the run; with the repetition it decides the order of a shuffled suite.

    Raises:
        SuiteError: it cannot be run at all: no interpreter, no pytest, no xdist for several processes.
    """
    label = label_of(use)
    block = (repetition - 1) // 2  # what is varied is so from block to block
    workers = use.workers[block % len(use.workers)] if use.workers else suite.workers
    started = clock.now()
    result = SuiteResult(label, stage, repetition, started, started, workers, None)
    result.order = seed + block if suite.shuffle else None
    most = max([workers, *(use.workers or ())])
    if problem := _absent(suite, place, most, base):
        if not suite.optional:
            raise SuiteError(
                f"suite {label}: {problem}", hint="is it installed there? `python:` names another interpreter"
            )
        result.skipped = f"{problem}, and the suite is optional"
        return result
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT).unlink(missing_ok=True)
    plugin, written = place.prepare(PLUGIN)
    command = _command(suite, workers, use.max_failures or suite.max_failures, written, alone=workers < most)
    paths = [plugin, place.variable("PYTHONPATH")]
    environment = _environment(suite, addresses, paths, f"{written}/{REPORT}", result.order, use.max_failures)
    result.command = _words(command, suite, environment, base / (suite.cwd or ""))
    end = _Ending(stop, suite.timeout)
    with (out / "output.txt").open("wb") as output:
        result.exit_code = place.run(command, environment, output, end)
    result.end = clock.now()
    result.peak_memory = place.peak_memory.bytes
    told = _told(suite, place, result.exit_code, out, label)
    result.outcomes = told.outcomes
    _settle_open(told, result, end.why)
    if end.why is not None:
        result.problem = _ended(end.why, told)
    elif suite.kind == "command":
        result.problem = told.problem or (None if result.outcomes else "no test ran")
    else:
        result.problem = _problem(result.exit_code, result, told, out / "output.txt", suite)
    return result


class _Ending:
    """Whether a suite is to be ended, and why."""

    def __init__(self, stop: threading.Event, limit: float) -> None:
        self._stop, self._until, self._limit = stop, time.monotonic() + limit, limit
        self.why: str | None = None

    def __call__(self) -> bool:
        if self.why is None and self._stop.is_set():
            self.why = "interrupted"
        if self.why is None and time.monotonic() > self._until:
            self.why = f"not done after {self._limit:g} s: ended by us"
        return self.why is not None


# ----------------------------------------------------------------------------------------------------- what is run
def _python(suite: Suite) -> str:
    return suite.python or ("python3" if suite.inside else sys.executable)


def _absent(suite: Suite, place: Place, workers: int, base: Path) -> str | None:
    """Why it cannot be run; None when it can."""
    for path in suite.paths:
        if not (base / (suite.cwd or "") / path.partition("::")[0]).exists():
            return f"no such path: {path}"
    if suite.kind == "command":
        return None
    modules = ["pytest", *(["xdist"] if workers > 1 else [])] if suite.kind == "pytest" else ["unittest"]
    code = f"import importlib.util as u, sys; sys.exit(','.join(m for m in {modules!r} if u.find_spec(m) is None) or 0)"
    if said := place.lacks([_python(suite), "-c", code]):
        return f"{_python(suite)} has no {said}" if set(said.split(",")) <= set(modules) else said
    return None


def _command(suite: Suite, workers: int, max_failures: int | None, written: str, *, alone: bool) -> list[str]:
    """The program and its arguments.

    Args:
        written: the folder for what it writes.
        alone: this time one process, whatever the suite's own settings say of their number: others take turns with it.
    """
    if suite.kind == "command":
        return suite.command if len(suite.command) > 1 else ["sh", "-c", suite.command[0]]
    if suite.kind == "unittest":
        return [_python(suite), "-m", "shakedown_unittest", str(suite.unittest)]
    command = [
        _python(suite),
        "-m",
        "pytest",
        *suite.pytest,
        "-q",
        "-o",
        f"cache_dir={written}/cache",  # what one execution leaves must not choose the tests of the next
        "-p",
        "shakedown_reporter",
    ]
    command += [f"--ignore={path}" for path in suite.ignore]
    command += ["-m", suite.markers] if suite.markers is not None else []
    command += ["-k", suite.keyword] if suite.keyword is not None else []
    command += suite.args
    command += ["-n", str(workers)] if workers > 1 else ["-n", "0"] if alone else []
    command += [f"--maxfail={max_failures}"] if max_failures is not None else []
    return command


def _environment(
    suite: Suite,
    addresses: Mapping[str, str],
    paths: list[str],
    report: str,
    order: int | None,
    max_failures: int | None,
) -> dict[str, str]:
    """What is added to the environment that is there."""
    own = {key: value.value if isinstance(value, Secret) else value for key, value in suite.environment.items()}
    environment = {**own, **addresses}
    if suite.service is not None:  # whose files stay as they are; elsewhere tests are compiled once, as pytest does it
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if suite.kind == "command":
        return environment
    environment["SHAKEDOWN_REPORT"] = report
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, own.get("PYTHONPATH", "")]))
    if order is not None:
        environment["SHAKEDOWN_ORDER"] = str(order)
    if suite.count > 1:
        environment["SHAKEDOWN_COUNT"] = str(suite.count)
    if suite.test_timeout is not None:
        environment["SHAKEDOWN_TEST_TIMEOUT"] = f"{suite.test_timeout:g}"
    if suite.kind == "unittest" and (limit := max_failures or suite.max_failures):
        environment["SHAKEDOWN_MAX_FAILURES"] = str(limit)
    return environment


def _words(command: list[str], suite: Suite, environment: Mapping[str, str], cwd: Path) -> str:
    """A line for a shell that repeats it on this machine; inside a container, what to run there.

    Secret values are left to the environment of whoever repeats it, and so are the services' addresses.
    """
    if suite.inside:
        where = f"in service {suite.service}" if suite.service else f"in a container of {suite.image}"
        order = environment.get("SHAKEDOWN_ORDER")
        own = (
            shlex.join(command)
            .replace(" -p shakedown_reporter", "")
            .replace("-m shakedown_unittest", "-m unittest discover")
        )
        return f"{where}{f', order {order}' if order else ''}: {own}"
    words = [f"cd {shlex.quote(str(cwd))} &&"]
    for key, value in suite.environment.items():
        if key != "PYTHONPATH":  # ours stands before theirs in one
            words.append(f'{key}="${key}"' if isinstance(value, Secret) else f"{key}={shlex.quote(value)}")
    shown = [key for key in ("PYTHONPATH", *_SETTINGS) if key in environment]
    words += [f"{key}={shlex.quote(environment[key])}" for key in shown]
    return f"{' '.join(words)} {shlex.join(command)}"


# ------------------------------------------------------------------------------------------------- what came of it
def _told(suite: Suite, place: Place, code: int | None, out: Path, label: str) -> Told:
    if suite.kind != "command":
        written = place.read(REPORT) or b""
        return read_lines(written.decode("utf-8", "replace").splitlines())
    if suite.results == "junit":
        found = place.read(str(suite.junit))
        return read_junit(found) if found is not None else Told(problem=f"it wrote no {suite.junit}")
    if suite.results == "tap":
        return read_tap((out / "output.txt").read_text(encoding="utf-8", errors="replace"))
    if code is None:
        return Told()
    status = TestStatus.PASSED if code == 0 else TestStatus.FAILED
    message = "" if code == 0 else f"exit code {code}: {_tail(out / 'output.txt')}"
    return Told([TestOutcome(label, status, 0.0, message)], selected=1)


def _settle_open(told: Told, result: SuiteResult, ended: str | None) -> None:
    """Tests that began and never ended: their process died under them, or they hang."""
    code = result.exit_code
    for test in told.open:
        if ended is not None:
            if ended != "interrupted":
                result.outcomes.append(
                    TestOutcome(test, TestStatus.TIMED_OUT, 0.0, f"still ran when the suite was {ended}")
                )
        elif told.selected is None and code is not None:  # None: the container died, and who knows why
            result.outcomes.append(TestOutcome(test, TestStatus.CRASHED, 0.0, f"its process ended with {_code(code)}"))


def _ended(why: str, told: Told) -> str:
    """The problem of an execution that we ended: a test's that hung, or nobody's."""
    if why == "interrupted" or not told.open:
        return why
    return f"{CUT_SHORT}{why} in {', '.join(told.open)}"


def _problem(code: int | None, result: SuiteResult, told: Told, output: Path, suite: Suite) -> str | None:
    """Why an execution cannot be judged in full; None when it can, whatever its tests did.

    What its own tests brought about begins with `CUT_SHORT`; everything else is trouble of what surrounds them.
    """
    if told.uncollected:
        return f"could not be collected: {', '.join(told.uncollected)}"
    if code == NO_TESTS or (code == 0 and not result.outcomes):
        return "no test ran"
    bad = [outcome for outcome in result.outcomes if outcome.status.bad]
    crashed = [outcome.test for outcome in bad if outcome.status is TestStatus.CRASHED]
    missing = (told.selected or told.planned) - len({outcome.test for outcome in result.outcomes})
    unseen = f"{missing} of {told.selected or told.planned} tests did not run"
    if told.selected is None and crashed:
        return f"{CUT_SHORT}{crashed[-1]} crashed, {suite.kind} ended with {_code(code)}; {unseen}"
    if code is None:
        return "its container ended"
    if len(told.lost) > len(crashed):  # as many are explained by the tests that they ran
        return f"a process of the suite was lost while it ran no test ({told.lost[-1]}); {unseen}"
    if (
        code in (TESTS_FAILED, INTERRUPTED) and bad and told.selected is not None
    ):  # 2: --maxfail under several processes
        return f"{CUT_SHORT}it stopped after {len(bad)} failures; {unseen}" if missing > 0 else None
    if code != 0:
        return f"{suite.kind} ended with {_code(code)}: {_tail(output)}"
    if told.selected is None:
        return f"{suite.kind} ended with 0 in the middle of its session: something in it exits"
    if missing > 0:
        return f"{suite.kind} ended with 0, but {missing} of {told.selected} tests have no outcome"
    return None


def _code(code: int | None) -> str:
    """An exit code, and the signal that it stands for."""
    if code is None or code >= 0:
        return str(code)
    try:
        return f"{code} ({signal.Signals(-code).name})"
    except ValueError:
        return str(code)


def _tail(output: Path) -> str:
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
