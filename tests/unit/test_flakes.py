"""Tests over repetitions: a race, an order, a load and a broken test are told apart, and nothing is called stable."""

import random

import pytest

from shakedown.analysis.diagnosis import failing_tests
from shakedown.analysis.flakes import merge_tests, runs_needed, shared_failures, upper_bound
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus

REPETITIONS = 40


def executions(decide, *, workers=lambda _: 1, repetitions=REPETITIONS) -> list[SuiteResult]:
    """Repetitions of a suite in blocks of two; `decide(test, execution, random)` says whether a test fails."""
    chance = random.Random(5)
    found = []
    for repetition in range(1, repetitions + 1):
        block = (repetition - 1) // 2
        result = SuiteResult("unit", "endurance", repetition, 0.0, 1.0, workers(block), 0, command="run it")
        result.order = 100 + block
        for test in ("a", "b", "c", "d"):
            failed = decide(test, result, chance)
            status = TestStatus.FAILED if failed else TestStatus.PASSED
            result.outcomes.append(TestOutcome(test, status, 0.1, f"{test} failed" if failed else ""))
        found.append(result)
    return found


def kinds(results) -> dict[str, str]:
    return {record.test: record.kind for record in merge_tests(results)}


def test_a_race_and_a_broken_test():
    """Fails in a third of the runs: flaky, with its rate; fails always: broken; the others: none observed, with a bound."""
    results = executions(lambda test, _, chance: test == "a" or (test == "b" and chance.random() < 0.3))
    records = {record.test: record for record in merge_tests(results)}
    assert kinds(results) == {"a": "broken", "b": "flaky", "c": "none observed", "d": "none observed"}
    assert records["b"].low < 0.3 < records["b"].high
    assert records["c"].bound == pytest.approx(upper_bound(0, REPETITIONS))
    assert records["c"].bound > 0.07


def test_an_order_dependence():
    """Always under some orders and never under the others: order-dependent, and an order that fails is named."""
    results = executions(lambda test, execution, _: test == "a" and execution.order % 3 == 0)
    record = merge_tests(results)[0]
    assert (record.test, record.kind) == ("a", "order-dependent")
    assert "one that fails: 102" in record.why


def test_few_orders_prove_nothing():
    """Two blocks that happen to differ are no order dependence."""
    results = executions(lambda test, execution, _: test == "a" and execution.order == 101, repetitions=4)
    assert kinds(results)["a"] == "flaky"


def test_a_load_dependence():
    """Fails beside others only, never alone: load-dependent; with too few runs it is only flaky."""

    def decide(test, execution, chance):
        return test == "a" and execution.workers > 1 and chance.random() < 0.5

    assert kinds(executions(decide, workers=lambda block: (1, 8)[block % 2]))["a"] == "load-dependent"
    assert kinds(executions(decide, workers=lambda block: (1, 8)[block % 2], repetitions=6))["a"] in (
        "flaky", "none observed",
    )  # fmt: skip


def test_a_failure_of_many_is_one_event():
    """Three tests that fail alike in one repetition are one finding; a test that also fails by itself is still named."""
    results = executions(
        lambda test, execution, _: execution.repetition == 7 or (test == "d" and execution.repetition == 9)
    )
    for result in results:
        result.outcomes = [
            TestOutcome(one.test, one.status, one.duration, "no database" if one.message and result.repetition == 7 else one.message)
            for one in result.outcomes
        ]  # fmt: skip
    (event,) = shared_failures(results)
    assert (event.repetition, event.tests) == (7, ("a", "b", "c", "d"))
    titles = [finding.title for finding in failing_tests(results)]
    assert len(titles) == 2
    assert titles[0] == "4 tests of unit failed alike in repetition 7: no database"
    assert titles[1].startswith("test d failed 2 of 40 times (flaky)")


def test_ways_to_fail_are_counted():
    """Crashed and timed out are told from failed."""
    results = executions(lambda *_: False, repetitions=3)
    for result, status in zip(results, (TestStatus.CRASHED, TestStatus.TIMED_OUT, TestStatus.CRASHED), strict=True):
        result.outcomes[0] = TestOutcome("a", status, 1.0, "gone")
    record = merge_tests(results)[0]
    assert record.kind == "broken"
    assert dict(record.ways) == {"crashed": 2, "timed out": 1}


@pytest.mark.parametrize(("rate", "runs"), [(0.1, 29), (0.05, 59), (0.01, 299)])
def test_how_many_runs_bound_a_rate(rate, runs):
    """Runs without a failure that bound a rate at 95 %: the known figures, and the bound agrees."""
    assert runs_needed(rate) == runs
    assert upper_bound(0, runs) <= rate < upper_bound(0, runs - 1)
