"""Rows covered: what a run says of each, from what is stored alone."""

import json

import pytest

from shakedown.records.judgement import Finding, Severity
from shakedown.records.suites import SuiteResult
from shakedown.reports.covers import covered_rows
from shakedown.reports.markdown import render_markdown
from shakedown.reports.model import collect
from shakedown.reports.summary import summary_json
from shakedown.results import Results, Store
from shakedown.verdict import Verdict
from tests.unit.reports.scenes import begin, experiment, load, recovery, stage, suite, threshold

PLAN = {
    "version": 1, "name": "demo",
    "services": {"api": {"depends_on": ["redis"]}},
    "stages": {
        "baseline": {"suites": [{"suite": "unit", "covers": ["V1"]}], "scenarios": [{"use": "send", "covers": ["N1"]}]},
        "stress": {"covers": ["N4"], "parallel": [
            {"use": "send", "covers": ["N2", "N10"]}, {"suite": "unit", "covers": ["V2"]}, {"use": "read", "label": "many", "covers": ["A1"]},
        ]},
        "faults": {"load": {"use": "send", "covers": ["F0"]}, "experiments": [
            {"name": "redis killed", "covers": ["N15", "N10"]}, {"name": "slow redis", "covers": ["N18"]},
        ], "each_dependency": [{"of": "api", "covers": ["N25"]}]},
        "recovery": {"covers": ["N31"]},
    },
}  # fmt: skip
HELD = threshold("send.p95 < 500ms", Verdict.PASSED, 0.01, 0.5, "s", 800)
UNIT = threshold("unit.success_rate >= 100%", Verdict.PASSED, 1.0, 1.0, "%", 2)
MANY = threshold("many.error_rate < 1%", Verdict.PASSED, 0.0, 0.01, "%", 100)


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path)
    begin(store, "r", 1, plan_json=json.dumps(PLAN))
    return store


def rows(store):
    return {row.row: row for row in covered_rows(collect(Results(store.engine), "r"))}


def stress(store, verdict, why="", thresholds=(HELD, UNIT, MANY), findings=()):
    """A stress stage with two loads and a suite."""
    load(store, "r", "stress", 6, 4)
    suite(store, "r", "stress", 1)
    store.add_thresholds("r", "stress", list(thresholds))
    store.add_findings("r", "stress", list(findings))
    stage(store, "r", "stress", 1, 6.0, 10.0, verdict, why)


def test_in_a_stage_that_passed(store):
    """What was measured passed with it; what was not measured did not; the rest of the plan is not judged."""
    stress(store, Verdict.PASSED)
    found = rows(store)
    assert list(found) == ["A1", "F0", "N1", "N2", "N4", "N10", "N15", "N18", "N25", "N31", "V1", "V2"]
    assert {row: found[row].verdict for row in ("N4", "N2", "V2")} == dict.fromkeys(("N4", "N2", "V2"), Verdict.PASSED)
    assert (found["A1"].verdict, found["A1"].entries[0].reason) == (Verdict.INCONCLUSIVE, "nothing was measured of it")
    assert found["N10"].verdict is None  # covered by an experiment too, which the run did not get to
    assert [entry.where for entry in found["N10"].entries] == ["stress: send", "faults: redis killed"]
    assert found["N25"].entries[0].where == "faults: api without redis"


def test_what_is_about_others_does_not_count(store):
    """A part whose own thresholds hold passes beside one that failed; the stage's own row does not."""
    slow = threshold("many.error_rate < 1%", Verdict.FAILED, 0.5, 0.01, "%", 100)
    stress(store, Verdict.FAILED, "many.error_rate < 1%: 50 %", (HELD, UNIT, slow))
    found = rows(store)
    assert {row: found[row].verdict for row in ("A1", "N2", "V2", "N4")} == {
        "A1": Verdict.FAILED, "N2": Verdict.PASSED, "V2": Verdict.PASSED, "N4": Verdict.FAILED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("thresholds", "findings", "why"),
    [
        ((HELD, UNIT, MANY, threshold("api.memory < 1MB", Verdict.FAILED, 2e6, 1e6, "B", 4)), (), "api.memory < 1MB: 2 MB"),
        ((HELD, UNIT, MANY), (Finding(Severity.FAILURE, "api was killed", subject="api"),), "api was killed"),
        ((HELD, UNIT, MANY), (), "something that nobody knows"),
        ((HELD, UNIT, MANY, threshold("send.p95 < 1ms and api.cpu < 1", Verdict.FAILED, 1.0, 1.0, "", 4)), (), "x"),
    ],
)  # fmt: skip
def test_what_may_be_about_it_counts(store, thresholds, findings, why):
    """A service's trouble, a finding about no part, a reason that is not understood: no part of the stage passes."""
    stress(store, Verdict.FAILED, why, thresholds, findings)
    found = rows(store)
    assert {found[row].verdict for row in ("N2", "V2", "N4", "A1")} == {Verdict.FAILED}


def test_a_part_without_a_verdict_of_its_own(store):
    """Nothing was judged of it in a stage that failed by another part: the stage's verdict is its own."""
    slow = threshold("many.error_rate < 1%", Verdict.FAILED, 0.5, 0.01, "%", 100)
    stress(store, Verdict.FAILED, "many.error_rate < 1%: 50 %", (UNIT, slow))
    assert rows(store)["N2"].verdict is Verdict.FAILED


def test_a_reason_is_told_once(store):
    """A threshold that stands in the stage's reason as well, with its value, is told there alone."""
    late = threshold("send.p95 < 500ms", Verdict.INCONCLUSIVE, 0.9, 0.5, "s", 800)
    stress(
        store, Verdict.INCONCLUSIVE, "send.p95 < 500ms: 900 ms (the load generator itself was late)", (late, UNIT, MANY)
    )
    reason = rows(store)["N2"].entries[0].reason
    assert reason.count("send.p95 < 500ms") == 1
    assert "900 ms" in reason


def test_a_threshold_that_was_not_judged_says_why(store):
    """Also where the stage's own reason speaks of something else, because that failed."""
    late = threshold("send.p95 < 500ms", Verdict.INCONCLUSIVE, 0.9, 0.5, "s", 800, "the load generator itself was late")
    slow = threshold("many.error_rate < 1%", Verdict.FAILED, 0.5, 0.01, "%", 100)
    stress(store, Verdict.FAILED, "many.error_rate < 1%: 50 %", (late, UNIT, slow))
    entry = rows(store)["N2"].entries[0]
    assert (entry.verdict, entry.reason) == (
        Verdict.INCONCLUSIVE,
        "send.p95 < 500ms: the load generator itself was late",
    )


def test_a_failed_test_is_its_suites(store):
    """A test's failure is no load's."""
    broken = threshold("unit.success_rate >= 100%", Verdict.FAILED, 0.5, 1.0, "%", 2)
    finding = Finding(Severity.FAILURE, "test test_a.py::test_one failed", subject="test_a.py::test_one")
    stress(store, Verdict.FAILED, "unit.success_rate >= 100%: 50 %", (HELD, broken, MANY), (finding,))
    assert (rows(store)["V2"].verdict, rows(store)["N2"].verdict) == (Verdict.FAILED, Verdict.PASSED)


@pytest.mark.parametrize(("tests", "expected"), [(Verdict.PASSED, Verdict.PASSED), (Verdict.FAILED, Verdict.FAILED)])
def test_a_suite_of_the_baseline(store, tests, expected):
    """Its row is its own: a slow load beside it fails another one."""
    load(store, "r", "baseline", 0, 4)
    suite(store, "r", "baseline", 1)
    slow = threshold("send.p95 < 500ms", Verdict.FAILED, 0.9, 0.5, "s", 800)
    store.add_thresholds("r", "baseline", [slow, threshold("unit.success_rate >= 100%", tests, 1.0, 1.0, "%", 2)])
    stage(store, "r", "baseline", 0, 0.0, 5.0, Verdict.FAILED, "send.p95 < 500ms: 900 ms")
    found = rows(store)
    assert (found["V1"].verdict, found["N1"].verdict) == (expected, Verdict.FAILED)
    assert found["V1"].entries[0].where == "baseline: unit"


@pytest.mark.parametrize("words", ["2 tests failed in some repetition, 0 allowed", "2 tests get slower, 0 allowed"])
def test_what_is_said_of_tests_is_their_suites(store, words):
    """Flaky tests fail the row of their suite, and no load's beside it."""
    stress(store, Verdict.FAILED, words)
    found = rows(store)
    assert (found["V2"].verdict, found["N2"].verdict, found["A1"].verdict) == (
        Verdict.FAILED,
        Verdict.PASSED,
        Verdict.PASSED,
    )


def test_an_optional_suite_that_was_skipped(store):
    """Skipped is said, with its reason, though the stage passed."""
    load(store, "r", "stress", 6, 4)
    store.add_suite("r", SuiteResult("unit", "stress", 1, 6.0, 6.0, 1, None, skipped="no such path"))
    stage(store, "r", "stress", 1, 6.0, 10.0, Verdict.PASSED)
    assert (rows(store)["V2"].verdict, rows(store)["V2"].entries[0].reason) == (Verdict.SKIPPED, "no such path")


def test_levels_beyond_what_is_required(store):
    """What a load does above the required level fails no row; what is below does."""
    beyond = threshold("many.error_rate < 1%", Verdict.FAILED, 0.5, 0.01, "%", 100)
    store.add_thresholds("r", "stress", [beyond], "many@500, beyond what is required")
    broken = threshold("unit.success_rate >= 100%", Verdict.FAILED, 0.5, 1.0, "%", 2)
    stress(store, Verdict.FAILED, "unit.success_rate >= 100%: 50 %", (HELD, MANY, broken))
    assert rows(store)["A1"].verdict is Verdict.PASSED
    store.add_thresholds("r", "stress", [beyond], "many@100")
    assert rows(store)["A1"].verdict is Verdict.FAILED
    assert rows(store)["N2"].verdict is Verdict.PASSED


def test_experiments_have_verdicts_of_their_own(store):
    """Each row of an experiment has the experiment's verdict, the stage's row the stage's."""
    store.put_experiment("r", 0, experiment(), recovery(), Verdict.PASSED, "recovered")
    store.put_experiment("r", 1, experiment("slow redis"), None, Verdict.INCONCLUSIVE, "slow redis: no effect")
    stage(store, "r", "faults", 3, 16.0, 32.0, Verdict.INCONCLUSIVE, "slow redis: no effect")
    found = rows(store)
    assert (found["N15"].verdict, found["F0"].verdict) == (Verdict.PASSED, Verdict.INCONCLUSIVE)
    assert (found["N18"].verdict, found["N18"].entries[0].reason) == (Verdict.INCONCLUSIVE, "no effect")


def test_stages_that_did_not_come(store):
    """A skipped stage skips its rows; an interrupted one leaves them without a verdict."""
    store.skip_stage("r", "faults", 3, "the baseline failed")
    store.begin_stage("r", "recovery", 4, 30.0)
    found = rows(store)
    assert (found["N18"].verdict, found["N18"].entries[0].reason) == (Verdict.SKIPPED, "the baseline failed")
    assert found["N31"].verdict is None


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        ([], Verdict.PASSED), (["stress.send.p50 improved: 1 ms, usually 2 ms"], Verdict.PASSED),
        (["stress.send.p50 is suspect: 9 ms, usually 2 ms"], Verdict.INCONCLUSIVE),
        (["stress.send.p95 improved: 1 s", "stress.send.p50 regressed: 9 ms, usually 2 ms"], Verdict.FAILED),
        (["this run was not compared with earlier ones"], Verdict.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_the_comparison_with_earlier_runs(store, titles, expected):
    """A regression fails its row; what is suspected, or was not compared, is no pass."""
    plan = {"version": 1, "name": "demo", "stages": {}, "regression": {"covers": ["D09"], "figures": ["stress.*.p50"]}}
    begin(store, "h", 3, plan_json=json.dumps(plan))
    store.add_findings("h", "history", [Finding(Severity.NOTE, title) for title in titles])
    assert covered_rows(collect(Results(store.engine), "h"))[0].verdict is None  # it goes on
    store.end_run("h", status="finished", verdict=Verdict.PASSED, reason="", exit_code=0, at=1.0)
    assert covered_rows(collect(Results(store.engine), "h"))[0].verdict is expected


def test_it_is_told(store):
    """Markdown and summary.json have every row; a plan without rows has no such section."""
    stress(store, Verdict.PASSED)
    report = collect(Results(store.engine), "r")
    text = render_markdown(report, {})
    assert "| N2 | ✓ passed | stress: send |" in text
    assert "| N10 | not judged | stress: send; faults: redis killed (not judged: the run did not get there) |" in text
    told = {row["row"]: row["verdict"] for row in json.loads(summary_json(report))["covers"]}
    assert (told["N2"], told["N10"]) == ("passed", None)
    begin(store, "bare", 2)
    assert "What was covered" not in render_markdown(collect(Results(store.engine), "bare"), {})
