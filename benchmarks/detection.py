"""Does Shakedown find what is wrong, under its right name, and nothing where nothing is? `make bench-detection`.

Runs the demo system sound and with each of its defects, and prints what was found. A defect is *found* when its run fails, and
*rightly named* when a finding that fails the run carries the words of `NAMES` in its cause. A sound run that fails is a *false
alarm*; one that is inconclusive is no alarm, and not clean either.

    python benchmarks/detection.py --only leaks                  # the three leaks and the sound system, by many repetitions
    python benchmarks/detection.py --only plan --runs 1          # everything else, by one plan
    python benchmarks/detection.py --only no-breaker,sound --keep DIR   # some; runs that DIR has already are not run again
"""  # noqa: INP001

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.catalogue import EXAMPLES
from benchmarks.plan_runs import call, newest_summary, say

COURIER = EXAMPLES / "courier"
SOUND = "sound"
LIMIT = 1800.0  # seconds for one run; a run that takes longer is ended and counts as missed

# Defect -> words of which a cause must carry one. The mistakes themselves: examples/courier/app/courier/defects.py.
NAMES: dict[str, tuple[str, ...]] = {
    "leak-memory": ("memory leak",),
    "leak-files": ("regular_files_open leak",),
    "leak-connections": ("database_connections leak",),
    "blocking-call": ("blocking call",),
    "cascade": ("cascade",),
    "duplicate-writes": ("duplicate writes",),
    "half-commit": ("half transaction", "half commit"),
    "lose-writes": ("lost writes",),
    "lost-on-shutdown": ("lost on shutdown",),
    "lying-health": ("lying health",),
    "no-breaker": ("no circuit breaker",),
    "no-reconnect": ("no reconnect",),
    "no-timeout": ("no time-out",),
    "poison-message": ("poison message",),
    "race": ("race",),
    "retry-storm": ("retry storm",),
    "slow-recovery": ("slow recovery",),
    "stale-cache": ("stale cache",),
    "thundering-herd": ("thundering herd",),
    "unbounded-queue": ("unbounded queue",),
}
LEAKS = ("leak-memory", "leak-files", "leak-connections")

# Defect -> the experiments of detection.yaml without which it cannot show; `--short` leaves the others out.
NEEDS: dict[str, tuple[str, ...]] = {
    "blocking-call": ("chat slow",),
    "cascade": ("database frozen",),
    "duplicate-writes": ("worker stopped",),
    "half-commit": ("database frozen",),
    "lose-writes": ("redis killed",),
    "lost-on-shutdown": ("worker stopped",),
    "lying-health": ("database frozen",),
    "no-breaker": ("model fails",),
    "no-reconnect": ("redis killed",),
    "no-timeout": ("database frozen",),
    "poison-message": ("worker stopped",),
    "race": ("worker stopped",),
    "retry-storm": ("model flaky",),
    "slow-recovery": ("redis killed", "worker stopped"),  # the second only waits for the first to be over
    "stale-cache": ("worker stopped",),
    "thundering-herd": ("chat fails",),
    "unbounded-queue": ("worker frozen",),
}


# Those that need the stress stage; `--short` leaves it out for the others.
STRESSED = ("poison-message", "race", "stale-cache")


@dataclass(frozen=True)
class Said:
    """What one run said.

    Attributes:
        verdict: of the run; `no report` when there is none.
        findings: title and cause of each finding that failed something.
        doubts: what kept the run from a verdict.
    """

    verdict: str
    findings: tuple[tuple[str, str], ...] = ()
    doubts: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """One run of one plan over one state of the system."""

    part: str  # leaks or plan
    defect: str
    number: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.part}-{self.defect}-{self.number}"


def right_name(defect: str, said: Said) -> str | None:
    """The title of the finding that names the defect; None when none does."""
    return next(
        (title for title, cause in said.findings if any(words in cause for words in NAMES[defect])),
        None,
    )


def command_of(job: Job, folder: Path, *, short: bool = False) -> list[str]:
    """The arguments of `shakedown` for a run.

    Args:
        short: only the experiments that the defect needs, and the stress only where it needs that.
    """
    command = ["run", "--root", str(folder)]
    if job.part == "leaks":
        return [*command, str(COURIER / "plan.yaml"), "--profile", "leaks", "--set", "sample_every=5"]
    plan = COURIER / "detection.yaml"
    if short and job.defect in NEEDS:
        experiments = yaml.safe_load(plan.read_text(encoding="utf-8"))["stages"]["faults"]["experiments"]
        known = {experiment["name"]: experiment for experiment in experiments}
        chosen = [known[name] for name in NEEDS[job.defect]]
        command += ["--set", f"stages.faults.experiments={json.dumps(chosen)}"]
        command += [] if job.defect in STRESSED else ["--set", "stages.stress=null"]
    return [*command, str(plan)]


def run(job: Job, keep: Path, *, short: bool = False) -> Said:
    """Run it, unless its result is there already, and read what it said; what could not be carried out is tried once more."""
    said = _run(job, keep / job.name, short=short)
    if said.verdict in ("error", "no report"):
        said = _run(job, keep / f"{job.name}-again", short=short)
    return said


def _run(job: Job, folder: Path, *, short: bool) -> Said:
    if newest_summary(folder) is None:
        environment = {"COURIER_DEFECTS": "" if job.defect == SOUND else job.defect}
        call(command_of(job, folder, short=short), folder, environment=environment, limit=LIMIT)
    said = read(folder)
    name = (
        (right_name(job.defect, said) or "-") if job.defect != SOUND else "; ".join(title for title, _ in said.findings)
    )
    say(f"{job.name}: {said.verdict} ({said.seconds:.0f} s) {name}")
    for doubt in said.doubts:
        say(f"    doubt: {doubt}")
    return said


def read(folder: Path) -> Said:
    """What the run in a folder said."""
    summary = newest_summary(folder)
    if summary is None:
        return Said("no report")
    failures = [item for item in summary["findings"] if item["severity"] == "failure"]
    return Said(
        verdict=summary["verdict"] or summary["status"],
        findings=tuple((item["title"], item["cause"]) for item in failures),
        doubts=tuple(item["title"] for item in summary["findings"] if item["severity"] == "doubt"),
        seconds=summary["seconds"] or 0.0,
    )


def table(jobs: Sequence[Job], answers: Sequence[Said]) -> list[str]:
    """The confusion matrix: a line for each state of the system."""
    lines = [
        "| system | runs | found | under the right name | missed | false alarms | not settled | what names it |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for part, defect in dict.fromkeys((job.part, job.defect) for job in jobs):
        said = [answer for job, answer in zip(jobs, answers, strict=True) if (job.part, job.defect) == (part, defect)]
        failed = [answer for answer in said if answer.verdict == "failed"]
        unsettled = len(said) - len(failed) - sum(answer.verdict == "passed" for answer in said)
        if defect == SOUND:
            shown = "; ".join(dict.fromkeys(title for answer in failed for title, _ in answer.findings))
            lines.append(f"| {SOUND} ({part}) | {len(said)} | – | – | – | {len(failed)} | {unsettled} | {shown} |")
            continue
        named = [title for answer in said if answer.verdict == "failed" and (title := right_name(defect, answer))]
        lines.append(
            f"| {defect} | {len(said)} | {len(failed)} | {len(named)} | {len(said) - len(failed)} | – | {unsettled} "
            f"| {named[0] if named else ''} |"
        )
    return lines


def jobs_of(only: Iterable[str], runs: int, sound: int) -> list[Job]:
    """The runs, the sound ones spread among the others, so that a quiet or busy hour meets both."""
    wanted = set(only)
    parts = {"leaks": LEAKS, "plan": tuple(defect for defect in NAMES if defect not in LEAKS)}
    jobs: list[Job] = []
    for part, defects in parts.items():
        chosen = [defect for defect in defects if not wanted or part in wanted or defect in wanted]
        broken = [Job(part, defect, number) for number in range(1, runs + 1) for defect in chosen]
        clean = []
        if (chosen and not wanted - set(parts)) or SOUND in wanted:
            clean = [Job(part, SOUND, number) for number in range(1, sound + 1)] if chosen or part == "plan" else []
        step = len(broken) / len(clean) if clean else 1
        places = [(index + 0.5, job) for index, job in enumerate(broken)]
        places += [(index * step, job) for index, job in enumerate(clean)]
        jobs += [job for _, job in sorted(places, key=lambda place: place[0])]
    return jobs


def main() -> None:
    """Run everything that was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="of each defect")
    parser.add_argument("--sound", type=int, default=10, help="runs of the sound system, by each plan")
    parser.add_argument("--only", default="", help="leaks, plan, sound, names of defects; joined by commas")
    parser.add_argument("--at-once", type=int, default=1, help="runs side by side")
    parser.add_argument("--keep", type=Path, help="where the runs stay; those that are there are not run again")
    parser.add_argument("--short", action="store_true", help="of the plan only what a defect needs")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    if unknown := sorted(set(only) - {"leaks", "plan", SOUND, *NAMES}):
        parser.error(f"unknown: {', '.join(unknown)}; known are leaks, plan, {SOUND}, {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(prefix="detection-") as folder:
        keep = (options.keep or Path(folder)).resolve()
        jobs = jobs_of(only, options.runs, options.sound)
        with ThreadPoolExecutor(options.at_once) as pool:
            answers = list(pool.map(lambda job: run(job, keep, short=options.short), jobs))
        sys.stdout.write("\n".join(table(jobs, answers)) + "\n")


if __name__ == "__main__":
    main()
