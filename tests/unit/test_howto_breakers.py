"""docs/howto-api-with-breakers.md: its blocks are one plan."""

import re

import pytest
import yaml

from shakedown.plan import load_plan
from tests.conftest import ROOT
from tests.unit.test_howto_webhook import merged

PAGE = (ROOT / "docs" / "howto-api-with-breakers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("profile", [None, "smoke"])
def test_the_blocks_are_one_plan(tmp_path, profile):
    """All YAML of the page together loads, as it stands and with its profile."""
    plan: dict = {}
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        plan = merged(plan, yaml.safe_load(block))
    (tmp_path / "forecast").mkdir()
    for name in ("Dockerfile", "forecast/Dockerfile", "prometheus.yml", "rules.yml"):
        (tmp_path / name).touch()
    (tmp_path / "shakedown.yaml").write_text(yaml.safe_dump(plan))
    loaded = load_plan(tmp_path / "shakedown.yaml", profile=profile, environ={}).plan
    assert loaded.scenarios["ramp"].executor.longest == (15 if profile else 60)
    assert loaded.scenarios["burst"].executor.may_drop == 0.9
    assert len(loaded.experiments) == 7
    assert set(loaded.alerts) == {"scrape-failed", "circuit-open"}
