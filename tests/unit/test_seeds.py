"""`make seeds` and `make bench-detection ROWS=1`: which runs they make, and what they say of each row."""

import itertools
import json
import re

import pytest

from benchmarks import catalogue, plan_runs, rows, seeds
from benchmarks.plan_runs import Ran, Told
from shakedown.plan import load_plan

COVERED = {"raglox/plan.yaml": ["R01", "R02"], "dialogue/plan.yaml": ["D01", "D09"], "dialogue/more.yaml": ["D01"]}
IDS = ["N01", "R01", "R02", "D01", "D09"]
README = """# Examples
| name | what |
|---|---|
| N1 | not a row |

| row | plan | where | figures | what it checks | defect |
|---|---|---|---|---|---|
| R01 | `raglox/plan.yaml` | faults: held | all | back | `pool-leak`, `RAGLOX_POOL=0 RAGLOX_WAIT=9` |
| D09 | `dialogue/plan.yaml` | regression | - | the slower one | the build |
"""
SUMMARY = {
    "verdict": "failed", "reason": "a.p95", "status": "finished", "seconds": 61.5, "started": "2026-01-31T23:59:00+00:00",
    "experiments": [{"name": "held", "recovered_after": 1.25}, {"name": "lost", "recovered_after": None}],
    "thresholds": [
        {"stage": "stress", "text": "many.p95 < 1s", "actual": 0.9, "unit": "s"},
        {"stage": "stress", "text": "any.p95 < 1s", "actual": 0.2, "unit": "s"},
        {"stage": "stress", "text": "other.p95 < 1s", "actual": None, "unit": "s"},
    ],
    "ledgers": [{"acknowledged": 7, "lost": 0}, {"acknowledged": 5, "lost": 1}],
    "covers": [],
}  # fmt: skip


def entry(where, verdict="passed", reason=""):
    return {"where": where, "verdict": verdict, "reason": reason}


# ------------------------------------------------------------------------------------------------------------- choosing
@pytest.mark.parametrize(
    ("only", "expected"),
    [([], IDS), (["raglox"], ["R01", "R02"]), (["D09", "R01"], ["R01", "D09"]), (["dialogue", "N01"], ["N01", "D01", "D09"])],
)  # fmt: skip
def test_what_is_chosen(only, expected):
    """Examples and rows, in the catalogue's order; a row of which no plan speaks as well."""
    assert seeds.chosen(only, COVERED, IDS) == expected


def test_what_is_neither_example_nor_row():
    """It is told, with what there is."""
    with pytest.raises(ValueError, match="unknown: raglx; known are dialogue, raglox, and rows from N01 to D09"):
        seeds.chosen(["R01", "raglx"], COVERED, IDS)


# ------------------------------------------------------------------------------------------------------------ the lines
def test_no_row_is_left_out():
    """Not covered, not in the report, no report at all: each says so; of several plans the worst counts."""
    ran = {
        "raglox/plan.yaml": Ran("passed", {"R01": Told("passed", "faults: held", "back after 1 s")}),
        "dialogue/plan.yaml": Ran("passed", {"D01": Told("passed", "stress: a"), "D09": Told("passed", "two builds")}),
        "dialogue/more.yaml": Ran("error", {}, problem="no engine"),
    }
    told = seeds.told_of_all(IDS, ran, COVERED)
    assert {row: one.verdict for row, one in told.items()} == {
        "N01": "not covered", "R01": "passed", "R02": "error", "D01": "error", "D09": "passed",
    }  # fmt: skip
    assert (told["D01"].where, told["D01"].words) == ("dialogue/more.yaml", "no engine")
    printed = seeds.lines(told, {"raglox/plan.yaml": 61.5, "dialogue/plan.yaml": 5.0, "dialogue/more.yaml": 0.0})
    assert [line[:3] for line in printed] == IDS
    assert re.fullmatch(r"R01  passed        raglox/plan\.yaml: faults: held +62 s  back after 1 s", printed[1])
    assert printed[0].split(maxsplit=1)[1].startswith("not covered")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("faults: held", "back after 1.25 s"), ("faults: lost", ""), ("stress: any", "any.p95 < 1s: 200 ms"), ("stress: other", ""),
        ("stress", "many.p95 < 1s: 900 ms"), ("recovery", "12 acknowledged, 1 lost"), ("regression", ""),
    ],
)  # fmt: skip
def test_the_figure_of_a_row_that_passed(where, words):
    """What was measured at its own place: a threshold of the part and of no other, a time to recover, a ledger."""
    assert plan_runs.told_of(SUMMARY, [entry(where)]) == Told("passed", where, words)


def test_why_a_row_did_not_pass():
    """The worst entry counts, in its own words; what was not judged is no pass."""
    parts = [entry("stress: any"), entry("faults: held", "failed", "never back"), entry("recovery", "skipped", "no")]
    assert plan_runs.told_of(SUMMARY, parts) == Told("failed", "stress: any; faults: held; recovery", "never back")
    assert plan_runs.told_of(SUMMARY, [entry("stress"), entry("recovery", None, "ended")]).verdict == "not judged"


def test_what_is_read_of_a_folder(tmp_path):
    """The newest run; without a report the last words of the log; what history judges is told apart from what else covers a row."""
    assert plan_runs.read(tmp_path) == Ran("error", {}, problem="there is no run")
    (tmp_path / "log").write_text("begins\nno engine\n\n", encoding="utf-8")
    assert plan_runs.read(tmp_path).problem == "no engine"
    row = {
        "row": "V11",
        "verdict": "inconclusive",
        "entries": [entry("regression", "inconclusive", "one run"), entry("stress")],
    }
    for name, told in (("20260131-a", {**SUMMARY, "covers": [row]}), ("20260130-b", {**SUMMARY, "verdict": None})):
        report = tmp_path / "runs" / name / "report"
        report.mkdir(parents=True)
        (report / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    ran = plan_runs.read(tmp_path)
    assert (ran.verdict, ran.seconds, ran.day, ran.problem) == ("failed", 61.5, "2026-01-31", "")
    assert (ran.rows["V11"].verdict, ran.beside["V11"].verdict) == ("inconclusive", "passed")


def test_a_run_that_did_not_come_to_an_end_is_an_error(tmp_path):
    """An interrupted run has no verdict: its rows are read, and the run is made again."""
    report = tmp_path / "runs" / "x" / "report"
    report.mkdir(parents=True)
    summary = {**SUMMARY, "verdict": None, "reason": "", "status": "interrupted"}
    (report / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert (plan_runs.read(tmp_path).verdict, plan_runs.read(tmp_path).problem) == ("error", "interrupted")


@pytest.mark.parametrize(
    ("code", "change", "verdict"), [(1, "regressed", "passed"), (0, "unchanged", "failed"), (3, "inconclusive", "inconclusive")]
)  # fmt: skip
def test_two_builds(code, change, verdict):
    """The row passes when the slower build is named, and only then."""
    figure = {"figure": "endurance.speed.p50", "verdict": change, "change": 0.5, "reason": "confidence 99.9%"}
    told = plan_runs.judged_builds(code, {"figures": [figure], "obstacles": []})
    assert told.verdict == verdict
    assert ("endurance.speed.p50 +50%, confidence 99.9%" in told.words) == (verdict == "passed")


# ------------------------------------------------------------------------------------------------------------ the table
def test_results_go_into_the_table():
    """Rows that were run have their last result, others keep what they had; other tables are left alone."""
    once = catalogue.with_results(README, {"R01": "2026-01-31 passed, smoke"})
    again = catalogue.with_results(once, {"D09": "2026-02-01 failed, full"})
    assert (
        "| row | plan | where | figures | what it checks | defect | last result |\n|---|---|---|---|---|---|---|\n"
        in once
    )
    assert {row: line.last for row, line in catalogue.read_table(once).items()} == {
        "R01": "2026-01-31 passed, smoke", "D09": "–",
    }  # fmt: skip
    assert {row: line.last for row, line in catalogue.read_table(again).items()} == {
        "R01": "2026-01-31 passed, smoke", "D09": "2026-02-01 failed, full",
    }  # fmt: skip
    assert again.startswith("# Examples\n| name | what |\n|---|---|\n| N1 | not a row |\n")
    told = {"R01": Told("passed", "raglox/plan.yaml: faults"), "N01": Told("not covered", "")}
    assert seeds.last_results(told, {"raglox/plan.yaml": "2026-01-31"}, full=True) == {"R01": "2026-01-31 passed, full"}


def test_mistakes_of_the_table():
    """What stands in backticks is a mistake: a word for the plan's own variable, or settings; prose is none."""
    table = catalogue.read_table(README)
    assert table["R01"].mistakes == ("pool-leak", "RAGLOX_POOL=0 RAGLOX_WAIT=9")
    assert table["D09"].mistakes == ()
    assert catalogue.environment_of("raglox/plan.yaml", "pool-leak") == {"RAGLOX_DEFECTS": "pool-leak"}
    assert catalogue.environment_of("raglox/plan.yaml", "A=0 B=9") == {"A": "0", "B": "9"}


# ------------------------------------------------------------------------------------------------------ rows' mistakes
def test_each_row_is_tried_with_each_of_its_mistakes():
    """Every mistake of the table is a run that must fail its row, each run is made once, and no two leave the same folder."""
    table = catalogue.read_table()
    jobs = rows.jobs_of(table)
    wanted = {(row, mistake) for row, line in table.items() for mistake in line.mistakes}
    assert {(row, job.mistake) for job in jobs for row in job.rows} == wanted
    assert len({job.name for job in jobs}) == len(jobs)


def shapes():
    """The runs of a plan that differ in what is left out of it: one of each kind."""
    table = catalogue.read_table()
    jobs = [*rows.jobs_of(table), *rows.jobs_of(table, short=True)]
    found = {(job.plan, job.alone, tuple(job.options)): job for job in jobs}
    return sorted(found.values(), key=lambda job: (job.name, job.short))


@pytest.mark.parametrize("job", shapes(), ids=lambda job: f"{job.name}{'-short' * job.short}")
def test_a_run_with_a_mistake_is_a_plan(job):
    """The plan loads with what a job changes of it, and still covers the job's rows."""
    options = catalogue.figures_alone(job.plan) if job.alone else job.options
    overrides = [value for flag, value in itertools.pairwise(options) if flag == "--set"]
    profile = "smoke" if "--profile" in catalogue.profile_of(job.plan, full=False) else None
    resolved = load_plan(
        catalogue.EXAMPLES / job.plan, profile=profile, overrides=overrides, environ=job.environment
    ).resolved
    assert all(f'"{row}"' in resolved for row in job.rows)


def test_what_is_said_of_a_mistake():
    """Found is what failed; everything else is not, and the rows beside it are named."""
    job = rows.Job("raglox/plan.yaml", "no-timeout", ("R02", "R06", "R09"))
    ran = Ran("failed", {"R02": Told("failed", "stress"), "R06": Told("passed", "endurance", "x | y"), "R01": Told("failed", "faults")},
              seconds=61.0)  # fmt: skip
    said = rows.lines([job], [ran])[2:]
    assert said[0] == "| R02 | `raglox/plan.yaml` | `no-timeout` | failed | found | 61 | R01 |"
    assert "| passed | not found: x / y |" in said[1]
    assert "| error | not found" in said[2]
    assert rows.missed([job], [ran]) == ["R06 with no-timeout", "R09 with no-timeout"]
