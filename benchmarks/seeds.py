"""Every row of the scenario catalogue, run by the examples' plans: `make seeds`. A line a row.

    python benchmarks/seeds.py                       # at the scale of the plans' profile `smoke`
    python benchmarks/seeds.py --full                # with the catalogue's figures
    python benchmarks/seeds.py --only raglox,N15     # examples, rows, or both
    python benchmarks/seeds.py --keep DIR            # runs that DIR has already are not run again; without it they stay unless all is well
    python benchmarks/seeds.py --write               # the results go into the table of examples/README.md

Ends with 1 unless every row passed. A row that is judged by its history (`regression`) has none here: instead the sound system
and one with the row's mistake are two builds in turn, and the row passes when the slower one is named.
"""  # noqa: INP001

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.catalogue import (
    EXAMPLES,
    SMOKE,
    by_history,
    plans,
    profile_of,
    read_table,
    rows_of_catalogue,
    with_results,
)
from benchmarks.plan_runs import Ran, Told, compare_builds, end_calls, run_plan, say, worst
from benchmarks.prefect_server import prefect_server

LIMIT = {
    False: 1800.0,
    True: 4 * 3600.0,
}  # seconds for one run, at either scale; one that takes longer is ended: an error
NOT_COVERED = "not covered"


def chosen(only: Sequence[str], covered: Mapping[str, Sequence[str]], rows: Sequence[str]) -> list[str]:
    """The rows that were asked for, in the catalogue's order.

    Args:
        only: names of examples' folders, and rows; empty: all rows.

    Raises:
        ValueError: one is neither.
    """
    examples = {plan.partition("/")[0] for plan in covered}
    if unknown := [name for name in only if name not in examples and name not in rows]:
        known = f"{', '.join(sorted(examples))}, and rows from {rows[0]} to {rows[-1]}"
        raise ValueError(f"unknown: {', '.join(unknown)}; known are {known}")
    of_examples = {row for plan, own in covered.items() if plan.partition("/")[0] in only for row in own}
    return [row for row in rows if not only or row in only or row in of_examples]


def told_of_all(rows: Sequence[str], ran: Mapping[str, Ran], covered: Mapping[str, Sequence[str]]) -> dict[str, Told]:
    """What became of each row: the worst of its plans."""
    found = {}
    for row in rows:
        said = []
        for plan, run in ran.items():
            if row in covered[plan]:
                told = run.rows.get(row) or Told("error", "", run.problem or "the report does not speak of it")
                said.append(replace(told, where=f"{plan}: {told.where}".removesuffix(": ")))
        found[row] = worst(said) if said else Told(NOT_COVERED, "", "no plan names it")
    return found


def lines(rows: Mapping[str, Told], seconds: Mapping[str, float]) -> list[str]:
    """A line a row: id, verdict, plan and place, what decides, seconds of the plan's run."""
    width = max((len(_cut(told.where, 60)) for told in rows.values()), default=0)
    found = []
    for row, told in rows.items():
        took = seconds.get(told.where.partition(": ")[0])
        text = f"{row}  {told.verdict:<12}  {_cut(told.where, 60):<{width}}  {f'{took:5.0f} s' if took else '':>7}  {_cut(told.words, 120)}"
        found.append(text.rstrip())
    return found


def _cut(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def last_results(rows: Mapping[str, Told], days: Mapping[str, str], *, full: bool) -> dict[str, str]:
    """What the table says of each row that was run: `2026-01-31 passed, smoke`."""
    scale = "full" if full else SMOKE
    return {
        row: f"{day} {told.verdict}, {scale}"
        for row, told in rows.items()
        if (day := days.get(told.where.partition(": ")[0]))
    }


def main() -> None:
    """Run what was asked for, one plan after another, and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the catalogue's figures, instead of the profile `smoke`")
    parser.add_argument("--only", default="", help="examples and rows, joined by commas")
    parser.add_argument("--keep", type=Path, help="where the runs stay; those that are there are not run again")
    parser.add_argument("--write", action="store_true", help="write the results into the table of examples/README.md")
    options = parser.parse_args()
    covered, catalogue = plans(), rows_of_catalogue()
    try:
        rows = chosen([name for name in options.only.split(",") if name], covered, catalogue)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what runs is ended in order
    begun = time.monotonic()
    keep = (options.keep or Path(tempfile.mkdtemp(prefix="seeds-"))).resolve()
    try:
        with prefect_server(keep):
            ran = _run_all(rows, covered, keep, full=options.full)
    except KeyboardInterrupt:
        say(f"interrupted; the runs are in {keep}")
        sys.exit(130)
    told = told_of_all(rows, ran, covered)
    days = {plan: run.day for plan, run in ran.items()}
    sys.stdout.write("\n".join(lines(told, {plan: run.seconds for plan, run in ran.items()})) + "\n")
    passed = sum(one.verdict == "passed" for one in told.values())
    sys.stdout.write(f"{passed} of {len(told)} rows passed, {time.monotonic() - begun:.0f} s\n")
    if options.write:
        readme = EXAMPLES / "README.md"
        text = with_results(readme.read_text(encoding="utf-8"), last_results(told, days, full=options.full))
        readme.write_text(text, encoding="utf-8")
    well = passed == len(told) and all(run.verdict != "error" for run in ran.values())
    if well and options.keep is None:
        shutil.rmtree(keep)
    else:
        say(f"the runs, with their reports, are in {keep}")
    sys.exit(0 if well else 1)


def _run_all(rows: Sequence[str], covered: Mapping[str, Sequence[str]], keep: Path, *, full: bool) -> dict[str, Ran]:
    """All plans, one after another; then the comparisons, two side by side: what they are to tell is no matter of noise."""
    table, scale = read_table(), "full" if full else SMOKE
    ran: dict[str, Ran] = {}
    compared: list[tuple[str, str, Path]] = []
    order = sorted(covered, key=lambda plan: min(map(rows_of_catalogue().index, covered[plan])))
    for plan in (plan for plan in order if set(covered[plan]) & set(rows)):
        name = f"{scale}-{plan.removesuffix('.yaml').replace('/', '-')}"
        say(f"{plan}: begins, load average {os.getloadavg()[0]:.1f}")
        run = run_plan(plan, keep / name, options=profile_of(plan, full=full), limit=LIMIT[full])
        say(f"{plan}: {run.verdict} ({run.seconds:.0f} s) {run.problem}".rstrip())
        ran[plan] = run
        of_history = [row for row in by_history(plan) if row in rows and row in run.rows]
        compared += [(plan, row, keep / f"{name}-{row}") for row in of_history if row in table and table[row].mistakes]

    def compare(one: tuple[str, str, Path]) -> Told:
        plan, row, folder = one
        told = compare_builds(plan, table[row].mistakes[0], folder, full=full, limit=LIMIT[full])
        say(f"{plan}: {row}, two builds in turn: {told.verdict}")
        return told

    with ThreadPoolExecutor(2) as pool:
        try:
            answers = list(pool.map(compare, compared))
        except KeyboardInterrupt:
            end_calls()
            raise
    for (plan, row, _), told in zip(compared, answers, strict=True):
        run = ran[plan]
        whole = worst([told, run.beside[row]]) if row in run.beside else told
        ran[plan] = replace(run, rows={**run.rows, row: whole})
    return ran


if __name__ == "__main__":
    main()
