"""docs/howto-webhook-and-suite.md: its blocks are one plan, and what it says of numbers is so."""

import ast
import re

import pytest
import yaml

from shakedown.analysis.flakes import merge_tests
from shakedown.plan import load_plan
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "howto-webhook-and-suite.md").read_text(encoding="utf-8")


def merged(old: dict, new: dict) -> dict:
    """Mappings merge, everything else replaces."""
    return {
        **old,
        **{
            key: merged(old[key], value) if isinstance(value, dict) and key in old else value
            for key, value in new.items()
        },
    }


@pytest.mark.parametrize("profile", [None, "smoke"])
def test_the_blocks_are_one_plan(tmp_path, profile):
    """All YAML of the page together loads, as it stands and with its profile."""
    plan: dict = {}
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        plan = merged(plan, yaml.safe_load(block))
    for folder in ("tests", "load"):
        (tmp_path / folder).mkdir()
    (tmp_path / "load" / "hooks.py").write_text("def deliver(user): ...\n")
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "shakedown.yaml").write_text(yaml.safe_dump(plan))
    loaded = load_plan(tmp_path / "shakedown.yaml", profile=profile, environ={}).plan
    assert loaded.stages.endurance.repeat == (5 if profile else 50)
    assert loaded.scenarios["deliver"].executor.iterations == (300 if profile else 1000)


def test_its_programs_are_some():
    """What is shown in Python can be read by Python."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        ast.parse(block)


def test_its_rates():
    """Nine failures of fifty, and none of fifty, are what the table says."""
    results = [
        SuiteResult("tests", "endurance", at, 0.0, 1.0, 1, 0, [
            TestOutcome("some", TestStatus.FAILED if at % 6 == 1 else TestStatus.PASSED, 0.1),
            TestOutcome("none", TestStatus.PASSED, 0.1),
        ]) for at in range(1, 51)
    ]  # fmt: skip
    some, none = merge_tests(results)
    assert (some.failures, some.kind, f"{some.low:.0%}", f"{some.high:.0%}") == (9, "flaky", "10%", "31%")
    assert f"{none.bound:.0%}" == "6%"
