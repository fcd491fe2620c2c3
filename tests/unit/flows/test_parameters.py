"""What the form of a deployment comes to."""

import pytest
import yaml

from flows.parameters import without_the_others
from flows.pipeline import pipeline
from shakedown.errors import PlanError, UsageError
from shakedown.plan import load_plan
from shakedown.session.live import STAGES
from tests.conftest import COURIER, ROOT


def left(chosen: list[str]) -> list[str]:
    """The stages of the plan with these alone."""
    overrides = without_the_others(COURIER, "smoke", [], chosen)
    stages = load_plan(COURIER, profile="smoke", overrides=overrides, environ={}).plan.stages
    return [name for name in STAGES if getattr(stages, name) is not None]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_by_itself_has_its_baseline(stage):
    """Whatever is chosen, the baseline runs before it, and nothing else."""
    assert left([stage]) == list(dict.fromkeys(["baseline", stage]))


def test_none_is_all():
    """A form in which no stage is chosen runs the plan as it stands."""
    assert without_the_others(COURIER, None, ["a=b"], []) == ["a=b"]
    assert left(list(STAGES)) == list(STAGES)


def test_what_is_lacking_is_said():
    """A stage that the plan does not have, and a stage that needs a baseline which the plan does not have."""
    with pytest.raises(UsageError, match=r"no stage baseline, faults; it has stress, endurance"):
        without_the_others(COURIER, "leaks", [], ["faults", "baseline"])
    with pytest.raises(PlanError, match="there is no load in the baseline to compare with"):
        without_the_others(COURIER, "smoke", ["stages.baseline=null"], ["recovery"])


def test_every_deployment_can_be_run():
    """prefect.yaml's parameters are the flow's, and fit the demo's plan; there is one deployment for each stage."""
    deployments = {one["name"]: one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    assert {"plan", "smoke", "nightly", *STAGES} == set(deployments)
    for name, deployment in deployments.items():
        parameters = pipeline.validate_parameters(deployment["parameters"])
        assert parameters["plan"] == str(COURIER.relative_to(ROOT)), name
        overrides = without_the_others(COURIER, parameters.get("profile"), [], parameters.get("stages", []))
        load_plan(COURIER, profile=parameters.get("profile"), overrides=overrides, environ={})
    assert [deployments[name]["parameters"]["stages"] for name in STAGES] == [[name] for name in STAGES]
