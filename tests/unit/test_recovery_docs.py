"""docs/recovery.md: every example is a part of a plan that loads."""

import re

import pytest
import yaml

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
EXPERIMENT = {
    "name": "killed",
    "fault": {"type": "service-kill", "target": "redis"},
    "hold": "1s",
    "recover_within": "5s",
}


def plan(tmp_path, **parts):
    health = {"http": "http:/health"}
    service = {"image": "demo:1", "ports": {"http": 8000}, "health": health}
    metrics = {"prometheus": "http:/metrics", "series": ["queue_depth"]}
    whole = {
        "version": 1, "name": "demo",
        "services": {"api": {**service, "metrics": metrics}, "redis": service, "db": service, "prometheus": service},
        "scenarios": {"get": {"executor": {"type": "constant-arrival-rate", "rate": 10, "duration": "5s"},
                              "http": {"target": "api.http", "requests": [{"name": "get", "get": "/"}]}}},
        "stages": {"faults": {"load": "get", "experiments": [EXPERIMENT]}},
        **parts,
    }  # fmt: skip
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return load_plan(path, environ={}).plan


ALERTS = next(example["alerts"] for example in EXAMPLES if "alerts" in example)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_every_example_loads(tmp_path, example):
    """An example is a stage, alerts or an experiment; it is understood as it stands."""
    if "fault" in example:
        loaded = plan(tmp_path, alerts=ALERTS, stages={"faults": {"load": "get", "experiments": [example]}})
        assert loaded.experiments[0].expect.health or loaded.experiments[0].expect.alerts
    else:
        loaded = plan(tmp_path, **example)
        assert loaded.alerts or loaded.stages.faults.steady_state


def test_the_page_has_examples():
    """They are found at all: a stage, alerts, and two experiments."""
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"steady_state": ["get.p95 < 1s over 5s"]}, "windows of its own"),
        ({"steady_state": ["get.p95 < 1s abort"]}, "windows of its own"),
        ({"steady_state": ["api.memry < 1000"]}, "no such series"),
        ({"steady_state": ["get.dropped == 0"]}, "not in a moment"),
        ({"steady_state": ["get.p95 <"]}, "a value is expected"),
        ({"experiments": [{**EXPERIMENT, "expect": {"alerts": {"nobody": "never"}}}]}, "no such alert: `nobody`"),
        ({"experiments": [{**EXPERIMENT, "expect": {"health": {"api": "unhealthy soon"}}}]}, "unhealthy within 2s"),
        ({"experiments": [{**EXPERIMENT, "expect": {"alerts": {"log": "soon"}}}]}, "within 10s"),
    ],
)
def test_mistakes_of_the_stage_are_told(tmp_path, stage, said):
    """Each before anything starts, with what is allowed."""
    stages = {"faults": {"load": "get", "experiments": [EXPERIMENT], **stage}}
    with pytest.raises(PlanError) as caught:
        plan(tmp_path, alerts=ALERTS, stages=stages)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        ({"service": "nobody", "log": "x"}, "no such service"),
        ({"service": "api", "http": "web:/alerts", "matches": "x"}, "is no service.port"),
        ({"service": "api", "series": "nothing > 3"}, "no such series"),
    ],
)
def test_mistakes_of_alerts_are_told(tmp_path, alert, said):
    """What an alert names must be there."""
    with pytest.raises(PlanError) as caught:
        plan(tmp_path, alerts={"wrong": alert})
    assert said in str(caught.value)
