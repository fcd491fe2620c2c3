"""Tests that get slower, and tests that are slow; and what is said of executions that could not be judged."""

import numpy as np
import pytest

from shakedown.analysis.flakes import fewest_runs, merge_tests, runs_needed
from shakedown.analysis.paces import drifting_tests, slow_tests
from shakedown.analysis.suite_findings import drifting_test_findings, slow_test_findings, unjudged_executions
from shakedown.records.judgement import Severity
from shakedown.records.suites import CUT_SHORT, SuiteResult, TestOutcome, TestStatus

TESTS = 20


def executions(takes, *, repetitions=30, tests=TESTS, count=1, seed=3, workers=lambda _: 1) -> list[SuiteResult]:
    """`takes(test, repetition, run)` is a duration in seconds, to which noise of 5 % comes."""
    noise = np.random.default_rng(seed)
    found = []
    for repetition in range(1, repetitions + 1):
        result = SuiteResult("unit", "endurance", repetition, 0.0, 1.0, workers(repetition), 0, command="run it")
        for number in range(tests):
            for run in range(count):
                duration = takes(f"t{number}", repetition, run) * float(noise.lognormal(0, 0.05))
                result.outcomes.append(TestOutcome(f"t{number}", TestStatus.PASSED, duration))
        found.append(result)
    return found


# ------------------------------------------------------------------------------------------------------- getting slower
@pytest.mark.parametrize("repetitions", [20, 60])
def test_one_test_gets_slower(repetitions):
    """It alone is named, with how much; it is a note, and a failure only where a plan says so."""
    results = executions(lambda test, n, _: 0.1 * (1 + n / repetitions * (test == "t7")), repetitions=repetitions)
    (found,) = drifting_tests(results)
    assert (found.suite, found.test, found.within) == ("unit", "t7", False)
    assert 0.5 < found.growth.growth < 1.5
    (note,) = drifting_test_findings(results)
    assert note.severity is Severity.NOTE
    assert "test t7 gets slower" in note.title
    assert "repeat with: run it" in note.evidence
    assert drifting_test_findings(results, fails=True)[0].severity is Severity.FAILURE


def test_a_machine_that_gets_busier_makes_no_test_slower():
    """All of them take twice as long at the end: none is named. One that grows beyond that is."""
    assert drifting_tests(executions(lambda _test, n, _run: 0.1 * (1 + n / 30))) == []
    both = executions(lambda test, n, _: 0.1 * (1 + n / 30) * (1 + n / 15 * (test == "t7")))
    assert [one.test for one in drifting_tests(both)] == ["t7"]


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda _n: 1.0, id="constant"),
        pytest.param(lambda n: 2.0 if n > 20 else 1.0, id="one step"),
        pytest.param(lambda n: 2.0 - np.exp(-n / 4), id="a warm-up"),
        pytest.param(lambda n: 1.0 + n % 10 / 5, id="a saw-tooth"),
        pytest.param(lambda n: 2.0 - n / 60, id="gets faster"),
    ],
)
def test_what_is_no_drift(shape):
    """A step, a warm-up, a saw-tooth and getting faster are no test that gets slower."""
    assert (
        drifting_tests(executions(lambda test, n, _: 0.1 * (shape(n) if test == "t7" else 1.0), repetitions=60)) == []
    )


def test_noise_of_many_tests_names_none():
    """Two thousand tests of mere noise, over few and over many repetitions: nobody is accused."""
    assert drifting_tests(executions(lambda *_: 0.05, tests=2000, repetitions=12)) == []
    assert drifting_tests(executions(lambda *_: 0.05, tests=500, repetitions=50)) == []


def test_a_test_of_microseconds_does_not_drift():
    """What is too short to be measured well is not looked at."""
    assert drifting_tests(executions(lambda test, n, _: 0.0005 * (1 + n * (test == "t7")))) == []


def test_a_test_gets_slower_within_its_process():
    """With `count`, growth from run to run of one process is told from growth over repetitions."""
    results = executions(lambda test, _, run: 0.05 * (1 + run / 8 * (test == "t2")), repetitions=4, count=20)
    (found,) = drifting_tests(results)
    assert (found.test, found.within) == ("t2", True)
    assert "runs in one process" in drifting_test_findings(results)[0].title


def test_repetitions_with_other_processes_are_not_mixed():
    """With eight processes a test takes longer than alone; that is no drift."""
    workers = lambda n: 1 if n <= 12 else 8  # noqa: E731
    results = executions(lambda _test, n, _run: 0.1 * workers(n), workers=workers)
    assert drifting_tests(results) == []


# ----------------------------------------------------------------------------------------------------------------- slow
def test_far_beyond_the_others():
    """One that takes seconds among others of 10 ms stands out, with what the longest of the others takes."""
    results = executions(lambda test, *_: 4.0 if test == "t3" else 0.01, repetitions=3)
    (found,) = slow_tests(results)
    assert found.test == "t3"
    assert "19 others takes 0.01" in found.why
    (note,) = slow_test_findings(results)
    assert note.severity is Severity.NOTE
    assert "test t3 is slow: " in note.title


def test_several_stand_out_together():
    """Two slow ones do not hide each other, where there are enough others."""
    results = executions(lambda test, *_: 4.0 if test in ("t3", "t4") else 0.01, repetitions=1, tests=60)
    assert {one.test for one in slow_tests(results)} == {"t3", "t4"}


def test_nobody_is_slow():
    """A suite whose tests all take long, a long one below a second, and a single test: nothing stands out."""
    assert slow_tests(executions(lambda *_: 20.0, repetitions=1)) == []
    assert slow_tests(executions(lambda test, *_: 0.5 if test == "t1" else 0.001, repetitions=1)) == []
    assert slow_tests(executions(lambda *_: 9.0, repetitions=1, tests=1)) == []
    assert slow_tests([]) == []


def test_the_suites_own_limits():
    """Beyond `slow`, or near the time-out: named, however long the others take."""
    results = executions(lambda test, *_: 3.0 if test < "t12" else 1.0, repetitions=1)  # t0, t1, t10, t11
    assert {one.test for one in slow_tests(results, limit=2.0)} == {"t0", "t1", "t10", "t11"}
    assert "and 1 more" not in slow_test_findings(results, limit=2.0)[0].evidence
    assert {one.why for one in slow_tests(results, timeout=3.3)} == {"near its time-out of 3.3 s"}
    assert slow_tests(results, limit=60.0) == []


# -------------------------------------------------------------------------------------------------- not judged, bounded
def test_trouble_apart_from_failures():
    """What surrounds the tests is a doubt; a test that cut its execution short is a note where others were whole."""
    results = executions(lambda *_: 0.1, repetitions=5)
    assert unjudged_executions(results) == []
    for result in results[:2]:
        result.problem, result.outcomes = (
            "could not be collected: test_x.py (ModuleNotFoundError: No module named y)",
            [],
        )
    results[2].problem = f"{CUT_SHORT}t3 crashed, pytest ended with 139; 17 of 20 tests did not run"
    foreign, short = unjudged_executions(results)
    assert foreign.severity is Severity.DOUBT
    assert "2 of 5 executions of suite unit could not be judged" in foreign.title
    assert foreign.evidence[0].endswith("(2 times)")
    assert (short.severity, short.evidence[0]) == (
        Severity.NOTE, "t3 crashed, pytest ended with 139; 17 of 20 tests did not run",
    )  # fmt: skip
    for result in results:
        result.problem = f"{CUT_SHORT}t3 crashed"
    assert [finding.severity for finding in unjudged_executions(results)] == [Severity.DOUBT]


def test_an_absent_suite_is_a_doubt():
    """A suite that was skipped each time proves nothing."""
    skipped = SuiteResult("unit", "endurance", 1, 0.0, 0.0, 1, None, skipped="no such path: tests")
    assert [finding.severity for finding in unjudged_executions([skipped])] == [Severity.DOUBT]


def test_runs_that_bound_the_rate():
    """Each test needs its runs; those within one process count, and it is said in how many processes they were."""
    results = executions(lambda *_: 0.1, repetitions=10, tests=3, count=6)
    assert fewest_runs(results) == 60
    assert fewest_runs(results, runs_needed(0.05)) >= runs_needed(0.05)
    assert fewest_runs(results, 61) == 0
    results[0].outcomes = [outcome for outcome in results[0].outcomes if outcome.test != "t1"]
    assert fewest_runs(results) == 54
    assert {(record.runs, record.processes) for record in merge_tests(results)} == {(60, 10), (54, 9)}
    assert fewest_runs([]) == 0
