"""Runs as processes of their own: repeated until a suspicion is confirmed or gone, and for builds in turn."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from rich.markup import escape

from shakedown.cli.console import err
from shakedown.cli.opened import open_results
from shakedown.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from shakedown.results import Results, RunInfo

__all__ = ["ended_run", "run_child", "run_until_confirmed"]

ENDED = (ExitCode.PASSED, ExitCode.FAILED, ExitCode.INCONCLUSIVE)  # a run that came to a verdict
_PROGRAM = "from shakedown.cli import main; main()"


def run_child(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Run this program once more; its exit code and process id. Signals that end us end it first, in order."""
    child = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-P", "-c", _PROGRAM, *arguments], env={**os.environ, **(environment or {})}
    )

    def hand_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        while True:
            try:
                return child.wait(), child.pid
            except KeyboardInterrupt:  # a terminal sends it to the child as well, which takes its time to clean up
                continue
    finally:
        signal.signal(signal.SIGTERM, before)


def run_until_confirmed(arguments: Sequence[str], root: Path) -> NoReturn:
    """Run a plan; while a figure is suspect, again, until the suspicion is confirmed or gone: three runs at most.

    Ends with the exit code of the last run.
    """
    from shakedown.analysis.regression import IN_A_ROW
    from shakedown.records.figures import Change

    for left in reversed(range(IN_A_ROW)):
        code, pid = run_child([argument for argument in arguments if argument != "--confirm"])
        if code not in tuple(map(int, ENDED)) or not left:
            break
        _, results = open_results(root)
        info = results.run_of_process(pid)
        suspect = [one for one in results.regressions(info.id) if one.outlook.change is Change.SUSPECT] if info else []
        if not suspect:
            break
        names = ", ".join(str(one.name) for one in suspect)
        err.print(f"suspect: {escape(names)}; the plan is run again, {left} more times at most")
    sys.stdout.flush()
    sys.exit(code)


def ended_run(results: "Results", code: int, pid: int) -> "RunInfo":
    """The run that a child made.

    Raises:
        UsageError: it came to no verdict.
    """
    info = results.run_of_process(pid)
    if code not in tuple(map(int, ENDED)) or info is None:
        raise UsageError(
            f"a run ended with {code} and no verdict: nothing can be compared", hint="what it said is above"
        )
    return info
