"""A shard of the benchmark of seeded defects: one run through the command line, over a courier that loses what it has in hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.integration]
DEFECT, NAME = "lost-on-shutdown", "(lost on shutdown)"


def test_a_seeded_defect_is_found_under_its_name(engine, tmp_path):
    """The worker ends without storing what it has acknowledged: the run fails, and a finding says so, with the stop it fell into."""
    command = [sys.executable, str(ROOT / "benchmarks" / "detection.py"), "--only", DEFECT, "--runs", "1", "--short",
               "--keep", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(max(Path(tmp_path).glob("*/runs/*/report/summary.json")).read_text(encoding="utf-8"))
    reached = next(stage for stage in summary["stages"] if stage["name"] == "recovery")
    if reached["verdict"] in (None, "skipped") or summary["verdict"] == "error":
        pytest.skip(f"the machine is too busy for a quiet baseline: {summary['reason']}")
    assert summary["verdict"] == "failed"
    found = next(item for item in summary["findings"] if NAME in item["cause"])
    assert found["severity"] == "failure"
    assert "worker" in found["cause"]
    assert f"| {DEFECT} | 1 | 1 | 1 | 0 |" in done.stdout
