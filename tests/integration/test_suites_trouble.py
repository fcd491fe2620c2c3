"""A suite with every kind of trouble, repeated by the endurance stage's own steps: each is named rightly."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from shakedown.analysis.flakes import TestRecord, merge_tests
from shakedown.errors import ExitCode
from shakedown.records.judgement import Finding, Severity
from shakedown.session.endurance import enough, judge_repetitions
from shakedown.session.judging import judge_stage
from shakedown.session.live import RunOptions, Session, StageOutcome
from shakedown.session.measure import measure_suite
from shakedown.verdict import Verdict
from tests.integration import suite_of_trouble

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
SUITE = Path(suite_of_trouble.__file__)


@dataclass
class Repeated:
    records: dict[str, TestRecord]
    findings: list[Finding]
    outcome: StageOutcome
    executions: int


def repeat(tmp_path: Path, seed: int, part: str, stage: dict, **suite: object) -> Repeated:
    """What the flow of the endurance stage does, without the flow."""
    home = tmp_path / part
    home.mkdir()
    shutil.copy(SUITE, tmp_path)  # away from our own settings; and with no plugin but the one that it needs
    environment = {"TROUBLE": str(home), "RACE": "0.25", "PART": part, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    given = {
        "pytest": SUITE.name,
        "python": sys.executable,
        "environment": environment,
        "args": ["-p", "xdist"],
        **suite,
    }
    plan = {"version": 1, "name": "trouble", "suites": {"s": given}, "stages": {"endurance": {"settle": 0, **stage}}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    session = Session.open(RunOptions(tmp_path / "plan.yaml", root=tmp_path / "results", seed=seed))
    try:
        session.begin_stage("endurance")
        endurance = session.loaded.plan.stages.endurance
        assert endurance is not None
        for repetition in range(1, endurance.repeat + 1):
            for use in endurance.run:
                measure_suite(session, use, "endurance", repetition)
            if enough(session, endurance, 0.0, repetition):
                break
        outcome = judge_stage(session, "endurance", [], [], extra=judge_repetitions(session, endurance))
        records = {record.test.rpartition("::")[2]: record for record in merge_tests(session.suites)}
        return Repeated(records, [finding for _, finding in session.findings], outcome, len(session.suites))
    finally:
        session.close(status="finished", verdict=None, reason="", code=ExitCode.PASSED)


def test_chance_order_load_and_time(tmp_path):
    """A race of known rate, an order, a company, a broken test and one that gets slower: each by its own name, no other."""
    found = repeat(
        tmp_path, 14, "chance",
        {"repeat": 16, "run": [{"suite": "s", "workers": [1, 1, 1, 2]}], "drifting_tests": 0}, shuffle=True,
    )  # fmt: skip
    records = found.records
    assert {test: record.kind for test, record in records.items()} == {
        "test_race": "flaky", "test_relies_on_it": "order-dependent", "test_wants_to_be_alone": "load-dependent",
        "test_never_works": "broken", "test_gets_slower": "none observed", "test_good": "none observed",
        "test_leaves_something_behind": "none observed",
    }  # fmt: skip
    assert {record.runs for record in records.values()} == {16}
    suite_of_trouble.RATE = 0.25
    assert records["test_race"].failures == sum(map(suite_of_trouble.loses, range(16)))
    assert records["test_race"].low < 0.25 < records["test_race"].high
    assert "the race was lost" in records["test_race"].first.traceback
    slower = [finding.title for finding in found.findings if "gets slower" in finding.title]
    assert len(slower) == 1
    assert "test_gets_slower" in slower[0]
    assert found.outcome.verdict is Verdict.FAILED
    assert "1 tests get slower, 0 allowed" in found.outcome.reason


def test_death_and_hanging(tmp_path):
    """Exits, segmentation faults and hangs in worker processes have their names; the tests beside them run."""
    found = repeat(
        tmp_path, 1, "death", {"repeat": 2, "run": [{"suite": "s"}], "flaky_tests": 3}, workers=2, test_timeout=2
    )
    ways = {test: (record.kind, dict(record.ways)) for test, record in found.records.items()}
    beside = {f"test_beside_them[{number}]": ("none observed", {}) for number in range(4)}
    assert ways == {
        "test_exits": ("broken", {"crashed": 2}), "test_writes_where_nothing_is": ("flaky", {"crashed": 1}),
        "test_hangs_at_times": ("flaky", {"timed out": 1}), **beside,
    }  # fmt: skip


def test_trouble_is_no_tests_failure(tmp_path):
    """A file that cannot be collected at times: no test failed, and yet the stage does not pass; enough is enough."""
    stage = {"repeat": 9, "until": "failures >= 1 or flake_rate < 70%", "run": [{"suite": "s"}]}
    found = repeat(tmp_path, 1, "trouble", stage)
    assert [record.failures for record in found.records.values()] == [0]
    assert found.records["test_what_can_be_collected"].runs == 3  # 0.3 ** 3 < 5 %
    assert found.executions == 5
    (doubt,) = [finding for finding in found.findings if finding.severity is Severity.DOUBT]
    assert "2 of 5 executions of suite s could not be judged, and by no test's fault" in doubt.title
    assert "a_module_that_nobody_has" in doubt.evidence[0]
    assert found.outcome.verdict is Verdict.INCONCLUSIVE
