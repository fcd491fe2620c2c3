"""Steps and capacity, against a service whose limit is known."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plan_runs import newest_summary
from tests.conftest import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("shared_server")]
SHAKEDOWN = Path(sys.executable).with_name("shakedown")
LIMIT = 120  # requests a second; more of them get a 503
PLAN = """\
version: 1
name: limited
services:
  web: {{process: ["{python}", "{server}", "{{port.http}}", limit{limit}], ports: {{http: 0}}, health: {{tcp: http}}}}
scenarios:
  get:
    executor: {{type: constant-arrival-rate, rate: 50, duration: 3s}}
    http: {{target: web.http, requests: [{{name: get, get: /, checks: [status == 200]}}]}}
stages:
  stress:
    parallel: [{{use: get, {way}}}]
    thresholds: [get.error_rate < 5%]
"""


def run(tmp_path: Path, way: str) -> tuple[int, dict]:
    server = ROOT / "tests" / "integration" / "servers.py"
    text = PLAN.format(python=sys.executable, server=server, limit=LIMIT, way=way)
    (tmp_path / "plan.yaml").write_text(text)
    done = subprocess.run([str(SHAKEDOWN), "run", "plan.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=250,
                          env={**os.environ}, check=False)  # fmt: skip
    return done.returncode, newest_summary(tmp_path / ".shakedown")


@pytest.mark.parametrize(("required", "code"), [("", 1), (", required: 100", 0)])
def test_steps_find_the_level_that_breaks(tmp_path, required, code):
    """Each step has a verdict; the first that breaks is named; above what is required, it fails nothing."""
    got, summary = run(tmp_path, f"steps: {{rate: [40, 90, 200], duration: 3s, pause: 500ms{required}}}")
    assert got == code
    steps = {item["scope"].partition(",")[0]: item["verdict"] for item in summary["thresholds"]}
    assert steps == {"get@40": "passed", "get@90": "passed", "get@200": "failed"}
    assert any("breaks at 200/s" in finding["title"] for finding in summary["findings"])


def test_capacity_is_found(tmp_path):
    """The highest rate that holds lies at the service's limit, within the precision and the 5 % that may fail."""
    way = "capacity: {lowest: 30, highest: 500, duration: 3s, pause: 500ms, precision: 10%}"
    code, summary = run(tmp_path, way)
    assert code == 0
    (finding,) = [item for item in summary["findings"] if "holds" in item["title"]]
    held = float(finding["title"].split("holds ")[1].split("/s")[0])
    # A burst of a fifth of a second is let through on top, and 5 % may fail.
    assert 0.85 * LIMIT <= held <= 1.25 * LIMIT
