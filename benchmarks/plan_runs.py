"""Whole runs of the examples' plans, and what each said of the rows that it covers. Shared by the benchmarks and the tests."""  # noqa: INP001

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.catalogue import EXAMPLES, ROOT, environment_of, figures_alone, profile_of, sound_environment
from shakedown.records.figures import show_value
from shakedown.units import format_duration

HISTORY = "regression"  # where a row stands that the comparison with earlier runs judges
_calls: "set[subprocess.Popen[bytes]]" = set()
_PROGRAM = "from shakedown.cli import main; main()"
# Worst first, as in reports: of several plans of a row the worst counts.
WORST = ("error", "failed", "inconclusive", "not judged", "skipped", "passed")


@dataclass(frozen=True)
class Told:
    """What a run, or a comparison of two builds, said of one row."""

    verdict: str
    where: str
    words: str = ""  # a figure, or why it did not pass


@dataclass(frozen=True)
class Ran:
    """One run of one plan.

    Attributes:
        verdict: of the run; `error` when there is no report.
        rows: what it said of each row that it covers.
        beside: of those that the comparison with earlier runs judges among others: what the others said.
        day: when it began, as 2026-01-31.
        problem: why there is no report.
    """

    verdict: str
    rows: Mapping[str, Told]
    seconds: float = 0.0
    day: str = ""
    problem: str = ""
    beside: Mapping[str, Told] = field(default_factory=dict)


def run_plan(
    plan: str, folder: Path, *, options: Sequence[str] = (), environment: Mapping[str, str] | None = None, limit: float
) -> Ran:
    """Run a plan, unless the folder has a run of it that came to a verdict, and read what it said.

    Args:
        folder: for everything that the run leaves.
        options: of `shakedown run`.
        environment: what switches a mistake on.
        limit: seconds after which the run is asked to end.
    """
    ran = read(folder)
    if ran.verdict == "error":
        command = ["run", str(EXAMPLES / plan), "--root", str(folder), *options]
        call(command, folder, environment=environment or {}, limit=limit)
        ran = read(folder)
    return ran


def call(command: Sequence[str], folder: Path, *, environment: Mapping[str, str], limit: float) -> int:
    """Call Shakedown; its standard output is kept in `out`, the rest in `log`. Its exit code; -1 when it took too long."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {**sound_environment(), "DIALOGUE_FOLDER": str(folder / "files"), **environment, "PYTHONPATH": str(ROOT)}
    with (folder / "out").open("w") as out, (folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-P", "-c", _PROGRAM, *command], env=given, stdout=out, stderr=log, start_new_session=True
        )
        _calls.add(process)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return -1
        finally:
            if process.poll() is None:  # too long, or we are to end: it takes back what it did, and then ends
                process.terminate()
                process.wait(300)
            _calls.discard(process)


def end_calls() -> None:
    """Ask every call that other threads wait for to end: what it did is taken back first."""
    for process in list(_calls):
        process.terminate()


def read(folder: Path) -> Ran:
    """What the newest run in a folder said."""
    summary = newest_summary(folder)
    if summary is None:
        return Ran("error", {}, problem=_last_words(folder))
    rows = {one["row"]: told_of(summary, one["entries"]) for one in summary["covers"]}
    beside = {
        one["row"]: told_of(summary, others)
        for one in summary["covers"]
        if (others := [entry for entry in one["entries"] if entry["where"] != HISTORY])
        and len(others) < len(one["entries"])
    }
    verdict = summary["verdict"] or "error"
    problem = summary["reason"] or summary["status"] if verdict == "error" else ""
    return Ran(verdict, rows, summary["seconds"] or 0.0, summary["started"][:10], problem, beside)


def newest_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of the newest run in a folder; None when no run there came to a report."""
    path = max(folder.glob("runs/*/report/summary.json"), default=None)
    return None if path is None else dict(json.loads(path.read_text(encoding="utf-8")))


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _last_words(folder: Path) -> str:
    log = folder / "log"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip() if lines else "there is no run"


def told_of(summary: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Told:
    """The worst of a row's entries, with the places of the plan that say so, and the figure or the reason that decides."""
    verdict = min((entry["verdict"] or "not judged" for entry in entries), key=WORST.index)
    where = "; ".join(entry["where"] for entry in entries)
    if verdict == "passed":
        return Told(verdict, where, next(filter(None, (_figure(summary, entry["where"]) for entry in entries)), ""))
    deciding = [entry for entry in entries if (entry["verdict"] or "not judged") == verdict]
    return Told(verdict, where, "; ".join(dict.fromkeys(entry["reason"] for entry in deciding if entry["reason"])))


def _figure(summary: Mapping[str, Any], where: str) -> str:
    """What was measured at one place of a plan, in words; empty when nothing says it."""
    stage, _, part = where.partition(": ")
    for experiment in summary["experiments"]:
        if stage == "faults" and experiment["name"] == part:
            back = experiment["recovered_after"]
            return "" if back is None else f"back after {format_duration(back)}"
    held = [item for item in summary["thresholds"] if item["stage"] == stage and item["actual"] is not None]
    subject = re.compile(rf"(?<![\w.-]){re.escape(part)}[.{{]") if part else None
    for item in held:
        if subject is None or subject.search(item["text"]):
            return f"{item['text']}: {show_value(item['actual'], item['unit'])}"
    if stage == "recovery" and summary["ledgers"]:
        ledgers = summary["ledgers"]
        return f"{sum(one['acknowledged'] for one in ledgers)} acknowledged, {sum(one['lost'] for one in ledgers)} lost"
    return ""


def compare_builds(plan: str, mistake: str, folder: Path, *, full: bool, runs: int = 3, limit: float) -> Told:
    """The sound system and one with a mistake as two builds in turn: the second must be named as the worse one.

    What says so is kept in the folder, and is not measured again.
    """
    broken = environment_of(plan, mistake)
    command = [
        "compare",
        str(EXAMPLES / plan),
        "--root",
        str(folder),
        *profile_of(plan, full=full),
        *figures_alone(plan),
    ]
    for name, value in broken.items():
        command += ["--build", f"sound={name}=", "--build", f"broken={name}={value}"]
    kept = folder / "code"
    if not kept.exists():
        code = call([*command, "--runs", str(runs), "--json"], folder, environment={}, limit=limit)
        if code in (0, 1, 3):
            kept.write_text(str(code), encoding="utf-8")
        else:
            return Told("error", HISTORY, _last_words(folder))
    text = (folder / "out").read_text(encoding="utf-8")
    begin = re.search(r"^\{$", text, re.MULTILINE)  # before it the runs themselves have told how they ended
    return judged_builds(int(kept.read_text(encoding="utf-8")), json.loads(text[begin.start() :] if begin else "{}"))


def judged_builds(code: int, said: Mapping[str, Any]) -> Told:
    """A row that is about two builds: passed when the worse one was named."""
    worse = [one for one in said["figures"] if one["verdict"] == "regressed"]
    if code == 1 and worse:
        words = "; ".join(f"{one['figure']} {one['change']:+.0%}, {one['reason']}" for one in worse)
        return Told("passed", "two builds in turn", f"the slower one is named: {words}")
    if code == 0:
        return Told("failed", "two builds in turn", "the slower one was not noticed")
    return Told("inconclusive", "two builds in turn", "; ".join(said["obstacles"]) or "the runs scatter too much")


def worst(found: Iterable[Told]) -> Told:
    """The worst of several."""
    return min(found, key=lambda told: WORST.index(told.verdict))
