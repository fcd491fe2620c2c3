"""`shakedown run`: the pipeline with live progress, and its verdict at the end."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.live import Live
from rich.markup import escape
from rich.text import Text

from shakedown.cli.annotations import annotate
from shakedown.cli.console import err, out, paint
from shakedown.cli.live import Panel
from shakedown.errors import ExitCode, ReportError, ShakedownError, UsageError
from shakedown.session.progress import Progress, listen

__all__ = ["run_plan"]

PLAIN_EVERY = 5.0
SERVER_START_LIMIT = 120  # seconds: on a busy machine Prefect's server takes its time
_MARKS = {
    "stage": "▸",
    "service": "·",
    "suite": "·",
    "fault": "⚡",
    "finding": "✗",
    "warning": "!",
    "run": "●",
    "load": "·",
}


class _Teller:
    """Lines for what happens; below them what goes on, rewritten all the time (terminal), or the loads now and then (elsewhere)."""

    def __init__(self, planned: Mapping[str, float]) -> None:
        self._lock = threading.Lock()
        self._panel = Panel(planned)
        self._last_plain = 0.0
        self.live = False

    def __rich__(self) -> Text:
        with self._lock:
            return self._panel.shown(err.width)

    def __call__(self, news: Progress) -> None:
        with self._lock:  # not while printing: that draws the panel, which needs it, perhaps in another thread
            self._panel.take(news)
            loads = self._panel.loads()
            plain = news.kind == "load" and not self.live and news.at - self._last_plain >= PLAIN_EVERY
            if plain:
                self._last_plain = news.at
        if plain:
            err.print(escape(f"{news.at:7.1f} s  … {loads}"))
        if news.kind in ("load", "resources"):
            return
        colour = {"finding": "red", "warning": "yellow", "stage": "bold"}.get(news.kind, "")
        subject = f"{news.subject}: " if news.subject and news.kind not in ("stage", "finding", "run") else ""
        first, *rest = f"{subject}{news.text}".splitlines() or [""]
        line = escape(f"{news.at:7.1f} s  {_MARKS[news.kind]} {first}")
        told = [f"[{colour}]{line}[/]" if colour else line, *(escape(f"             {more}") for more in rest)]
        err.print("\n".join(told))


def run_plan(
    plan: Path, profile: str | None, overrides: list[str], root: Path, seed: int | None, *, allow_inconclusive: bool,
    verbose: bool, build: str = "", copies: Mapping[str, Path], templates: Sequence[Path] = (),
) -> None:  # fmt: skip
    """Run a plan; ends the process with its exit code.

    Args:
        copies: files of the report by name, and where they are to be as well.
        templates: users' own, rendered into the report's folder.

    Raises:
        ReportError: a copy cannot be written.
        UsageError: a copy's folder is not there, or a template is wrong.
    """
    from shakedown.plan import load_plan, planned_durations
    from shakedown.reports import check_template

    for path in copies.values():
        if not path.absolute().parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}", hint="make it before the run")

    loaded = load_plan(plan, profile=profile, overrides=overrides, environ=os.environ)
    for template in [*templates, *(loaded.base / name for name in loaded.plan.report.templates)]:
        check_template(template)  # a mistake is told now, not after the run
    durations = planned_durations(loaded.plan)
    planned = sum(durations.values())
    err.print(
        f"{escape(loaded.plan.name)}: about {planned:.0f} s of planned load, holds and pauses; suites, recoveries, "
        "and loads that end when their work is done come on top"
    )
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", str(SERVER_START_LIMIT))
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")  # each event that a server did not take
        os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
    begun = time.monotonic()
    err.print("starting Prefect" + ("" if os.environ.get("PREFECT_API_URL") else " (its own temporary server)"))
    from flows.pipeline import RunSummary, pipeline

    teller = _Teller(durations)
    with listen(teller):
        if err.is_terminal:
            teller.live = True
            with Live(console=err, refresh_per_second=2, transient=True, get_renderable=teller.__rich__):
                summary = _call(pipeline, RunSummary, plan, profile, overrides, root, seed, build)
        else:
            summary = _call(pipeline, RunSummary, plan, profile, overrides, root, seed, build)
    _conclude(summary, time.monotonic() - begun, planned)
    _copy(summary.report, copies)  # type: ignore[attr-defined]
    for line in annotate(summary.report, plan):  # type: ignore[attr-defined]
        out.print(line, markup=False, emoji=False)
    code = int(summary.exit_code)  # type: ignore[attr-defined]
    if allow_inconclusive and code == ExitCode.INCONCLUSIVE:
        code = int(ExitCode.PASSED)
    unwritten = _render_own(summary.run_id, summary.report, root, templates)  # type: ignore[attr-defined]
    code = code or unwritten  # a template must not hide the run's verdict
    sys.stdout.flush()
    sys.exit(code)


def _call(
    pipeline: object,
    kind: type,
    plan: Path,
    profile: str | None,
    overrides: list[str],
    root: Path,
    seed: int | None,
    build: str,
) -> object:
    from flows.pipeline import last_ended
    from tasks.reach import UNREACHABLE

    before = last_ended()
    try:
        state = pipeline(  # type: ignore[operator]
            plan=str(plan),
            profile=profile,
            overrides=list(overrides),
            root=str(root),
            seed=seed,
            build=build,
            return_state=True,
        )
    except (RuntimeError, *UNREACHABLE) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in ("API server", "reach API")):
            raise
        if (ended := last_ended()) is not before:  # it went away in mid-run, and the run went on without it
            return ended
        raise ShakedownError(
            f"Prefect's server cannot be used: {error}", hint="run it again with --verbose, or set PREFECT_API_URL"
        ) from error
    summary = state.result(raise_on_failure=False)
    if isinstance(summary, kind):
        return summary
    raise ShakedownError(
        f"the pipeline ended without a result: {state.name}: {state.message}", hint="--verbose shows Prefect's log"
    )


def _conclude(summary: object, seconds: float, planned: float) -> None:
    verdict = summary.verdict  # type: ignore[attr-defined]
    word = str(verdict) if verdict is not None else "interrupted"
    mark = verdict.symbol if verdict is not None else "…"
    err.print(f"{seconds:.0f} s in all, {planned:.0f} s planned")
    out.print(paint(word, f"{mark} {word}"))
    from shakedown.reports import tidy

    reason = tidy(summary.reason)  # type: ignore[attr-defined]
    for line in reason.split("; ") if word != "passed" else [reason]:
        out.print(f"  {escape(line)}")
    if summary.report:  # type: ignore[attr-defined]
        out.print(f"report: {escape(_short(summary.report))}")  # type: ignore[attr-defined]


def _copy(report: str | None, copies: Mapping[str, Path]) -> None:
    if report is None:
        return
    for name, path in copies.items():
        try:
            shutil.copyfile(Path(report).with_name(name), path)
        except OSError as error:
            raise ReportError(
                f"{path} cannot be written: {error.strerror or error}", hint=f"it is in {Path(report).parent}"
            ) from error


def _render_own(run: str | None, report: str | None, root: Path, templates: Sequence[Path]) -> int:
    """Render users' own templates; what goes wrong is told and gives an exit code, which is 0 otherwise."""
    if run is None or report is None:
        return 0
    from shakedown.cli.opened import open_results
    from shakedown.reports import own_report

    code = 0
    for template in templates:
        try:
            _, results = open_results(root)
            path = own_report(results, run, template, Path(report).parent)
            out.print(f"report: {escape(_short(str(path)))}")
        except ShakedownError as error:
            err.print(f"[bold red]error:[/] {escape(str(error))}")
            code = int(error.exit_code)
    return code


def _short(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
