"""Does each row of the scenario catalogue fail when the mistake that it looks for is made? `make bench-detection ROWS=1`.

The table in examples/README.md says which mistake that is. Each one is switched on in turn, and its plan is run once, at the
scale of the profile `smoke`; printed is a line for each row of the mistake, with what made it fail, and which other rows did.

    python benchmarks/rows.py                             # all mistakes of all plans: hours
    python benchmarks/rows.py --only raglox,N15,truncate  # examples, rows, mistakes
    python benchmarks/rows.py --short                     # only what covers its rows of each plan: less than two hours
    python benchmarks/rows.py --keep DIR                  # runs that DIR has already are not run again

Ends with 1 unless every row failed with each of its mistakes.
"""  # noqa: INP001

import argparse
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.catalogue import (
    BESIDES,
    Line,
    by_history,
    environment_of,
    in_baseline,
    lenient_baseline,
    parts_alone,
    profile_of,
    read_table,
)
from benchmarks.plan_runs import Ran, Told, compare_builds, run_plan, say
from benchmarks.prefect_server import prefect_server

LIMIT = 2700.0  # seconds for one run; one that takes longer is ended: an error


@dataclass(frozen=True)
class Job:
    """One mistake of one plan.

    Attributes:
        rows: that must fail.
        alone: whether earlier runs judge its only row: then two builds are compared instead.
        short: whether the stages and experiments that cover none of the rows are left out.
    """

    plan: str
    mistake: str
    rows: tuple[str, ...]
    alone: bool = False
    short: bool = False

    @property
    def name(self) -> str:
        """Of its folder."""
        kind = "-builds" if self.alone else "-baseline" if in_baseline(self.plan, self.rows) else ""
        words = f"{self.plan.removesuffix('.yaml')}-{self.mistake}{kind}"
        return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in words)

    @property
    def environment(self) -> dict[str, str]:
        """What switches it on."""
        return {**BESIDES.get(self.plan.partition("/")[0], {}), **environment_of(self.plan, self.mistake)}

    @property
    def options(self) -> list[str]:
        """Of the run: the baseline judges only where it is what must fail."""
        kept = in_baseline(self.plan, self.rows)
        parts = parts_alone(self.plan, self.rows, self.environment) if self.short and not kept else []
        return [*profile_of(self.plan, full=False), *([] if kept else lenient_baseline(self.plan)), *parts]


def jobs_of(table: Mapping[str, Line], only: Sequence[str] = (), *, short: bool = False) -> list[Job]:
    """Each distinct mistake of each plan, with the rows that look for it.

    Args:
        only: names of examples' folders, rows and mistakes; empty: all.
        short: of the jobs.
    """
    found: dict[tuple[str, str, bool, bool], list[str]] = {}
    for line in table.values():
        for plan in line.plans:
            for mistake in line.mistakes:
                alone = line.row in by_history(plan)
                quiet = in_baseline(
                    plan, [line.row]
                )  # what must fail there stops the run: no other row is judged beside it
                found.setdefault((plan, mistake, alone, quiet), []).append(line.row)
    jobs = [Job(plan, mistake, tuple(rows), alone, short) for (plan, mistake, alone, _), rows in found.items()]
    wanted = set(only)
    return [
        job for job in jobs if not wanted or wanted & {job.plan.partition("/")[0], job.mistake, *job.rows}
    ]  # fmt: skip


def run(job: Job, folder: Path) -> Ran:
    """The run of a mistake, or the comparison; a comparison that names the slower build counts as a row that failed."""
    if not job.alone:
        return run_plan(job.plan, folder, options=job.options, environment=job.environment, limit=LIMIT)
    told = compare_builds(job.plan, job.mistake, folder, full=False, limit=LIMIT)
    found = {"passed": "failed", "failed": "passed"}.get(told.verdict, told.verdict)
    return Ran(found, dict.fromkeys(job.rows, Told(found, told.where, told.words)))


def lines(jobs: Sequence[Job], ran: Sequence[Ran]) -> list[str]:
    """A line for each row of each mistake: whether it failed, and which others did."""
    found = ["| row | plan | mistake | verdict | | seconds | others that failed |", "|---|---|---|---|---|---:|---|"]
    for job, one in zip(jobs, ran, strict=True):
        others = ", ".join(row for row, told in one.rows.items() if told.verdict == "failed" and row not in job.rows)
        for row in job.rows:
            told = one.rows.get(row) or Told("error", "", one.problem or "the report does not speak of it")
            caught = "found" if told.verdict == "failed" else "not found"
            why = f": {told.words}" if told.words else ""
            found.append(
                f"| {row} | `{job.plan}` | `{job.mistake}` | {told.verdict} | {caught}{why.replace('|', '/')} "
                f"| {one.seconds:.0f} | {others} |"
            )
    return found


def missed(jobs: Sequence[Job], ran: Sequence[Ran]) -> list[str]:
    """The rows that did not fail with one of their mistakes."""
    return [
        f"{row} with {job.mistake}"
        for job, one in zip(jobs, ran, strict=True)
        for row in job.rows
        if row not in one.rows or one.rows[row].verdict != "failed"
    ]


def main() -> None:
    """Run what was asked for, one mistake after another, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="examples, rows and mistakes, joined by commas")
    parser.add_argument("--short", action="store_true", help="only the stages and experiments that cover the rows")
    parser.add_argument("--keep", type=Path, help="where the runs stay; those that are there are not run again")
    options = parser.parse_args()
    table = read_table()
    only = [name for name in options.only.split(",") if name]
    jobs = jobs_of(table, only, short=options.short)
    if not jobs:
        parser.error(f"nothing is called {options.only}; give examples, rows or mistakes of examples/README.md")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what runs is ended in order
    keep, ran = (options.keep or Path(tempfile.mkdtemp(prefix="rows-"))).resolve(), []
    say(f"the runs, with their reports, are in {keep}")
    try:
        with prefect_server(keep):
            for job in jobs:
                ran.append(run(job, keep / job.name))
                said = ", ".join(f"{row} {told.verdict}" for row in job.rows if (told := ran[-1].rows.get(row)))
                say(f"{job.name}: {said or ran[-1].problem} ({ran[-1].seconds:.0f} s)")
    except KeyboardInterrupt:
        say("interrupted")
    done = jobs[: len(ran)]
    sys.stdout.write("\n".join(lines(done, ran)) + "\n")
    if not only:
        sys.stdout.writelines(
            f"{line.row}: nothing is switched on, its mistake is no setting of the example: {line.defect or NOTHING}\n"
            for line in table.values()
            if not line.mistakes
        )
    if misses := missed(done, ran):
        sys.stdout.write(f"not found: {', '.join(misses)}\n")
    sys.exit(1 if misses or done != jobs else 0)


NOTHING = "the table names none"

if __name__ == "__main__":
    main()
