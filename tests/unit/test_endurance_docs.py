"""The examples of docs/endurance.md."""

import re

import pytest
import yaml

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.plan.model import Until
from tests.conftest import ROOT

DOCS = (ROOT / "docs" / "endurance.md").read_text(encoding="utf-8")
AROUND = {
    "version": 1,
    "name": "shop",
    "services": {
        name: {"process": ["true"], "ports": {"http": 0}, "health": {"tcp": "http"}} for name in ("api", "worker")
    },
    "scenarios": {
        "order": {
            "executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
            "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]},
        }
    },
}


def load(tmp_path, extra: dict):
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**AROUND, **extra}))
    return load_plan(path, environ={}).plan


def test_the_example_with_suites_is_a_plan(tmp_path):
    """Beside services and scenarios, the example loads, and means what it says."""
    (example,) = [text for text in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL) if text.startswith("suites:")]
    stage = load(tmp_path, yaml.safe_load(example)).stages.endurance
    assert stage.until == Until(flake_rate=0.01, duration=7200.0)
    assert (stage.flaky_tests, stage.drifting_tests) == (0, 0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flake_rate < 5%", {"flake_rate": "5%"}),
        ("failures >= 3 or flake_rate < 1%", {"failures": 3, "flake_rate": "1%"}),
        ("duration >= 2h", {"duration": "2h"}),
    ],
)
def test_until_in_words(words, expected):
    """The words and the keys say the same."""
    assert Until.model_validate(words) == Until.model_validate(expected)


@pytest.mark.parametrize("words", ["flake_rate > 1%", "flake_rate", "failures >= many", "rate < 1%", ""])
def test_until_in_wrong_words(tmp_path, words):
    """What is none of the three is an error of the plan, at its place."""
    suites = {"suites": {"unit": {"pytest": "tests/unit"}}}
    endurance = {"repeat": 3, "until": words, "run": [{"suite": "unit"}]}
    with pytest.raises(PlanError, match="until"):
        load(tmp_path, {**suites, "stages": {"endurance": endurance}})
