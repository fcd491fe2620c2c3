"""`calibrate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from shakedown.cli.console import err, out

if TYPE_CHECKING:
    from shakedown.load.calibrate import Calibration

__all__ = ["calibrate_machine"]

BUSY = 0.3


def calibrate_machine(root: Path, *, as_json: bool) -> None:
    """Measure what this machine's load generator can do, print it, and keep it with the results."""
    from shakedown.load.calibrate import calibrate, write_calibration

    calibration = calibrate(say=lambda what: err.print(f"measuring: {escape(what)}"))
    path = write_calibration(calibration, root)
    if as_json:
        sys.stdout.write(calibration.model_dump_json(indent=2) + "\n")
    else:
        out.print(_table(calibration))
    if calibration.busy > BUSY:
        err.print(f"[yellow]other programs used {calibration.busy:.0%} of this machine: it can do more than this[/]")
    err.print(f"written to {escape(str(path))}")


def _table(calibration: "Calibration") -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "value", "meaning"):
        table.add_column(heading, no_wrap=heading != "meaning", justify="right" if heading == "value" else "left")

    def micros(seconds: float) -> str:
        return f"{seconds * 1e6:,.0f} µs"

    lag = (
        f"start lag p99 {micros(calibration.open_lag_p99)}" if calibration.open_lag_p99 is not None else "none was held"
    )
    workers = calibration.workers
    for row in (
        ("ceiling, closed model", f"{calibration.closed_one:,.0f}/s", "one worker, 50 users"),
        ("", f"{calibration.closed_all:,.0f}/s", f"{workers} workers"),
        (
            "ceiling, open model",
            f"{calibration.open_one:,.0f}/s",
            f"one worker, highest rate tried with a p99 start lag below 2 ms: {lag}",
        ),
        ("cost of a request", micros(calibration.cpu_per_request), "CPU time of a worker"),
        ("floor of latency", micros(calibration.latency_min), "least, one user alone"),
        ("", micros(calibration.latency_p50), "median"),
        ("timers late by", micros(calibration.timer_p50), "median"),
        ("", micros(calibration.timer_p99), "p99"),
        ("event loop late by", micros(calibration.loop_lag_p99), "p99, an idle worker"),
    ):
        table.add_row(*map(escape, row))
    return table
