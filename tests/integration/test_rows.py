"""The rows of the catalogue: each passes on the sound system, and fails when the mistake that it looks for is switched on.

Whole runs of the examples' plans, minutes each: `pytest -m defects tests/integration/test_rows.py`, or one plan's with `-k dialogue`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.defects]

# By plan, the variable that switches its mistakes on; by mistake, the rows that must fail.
MISTAKES: dict[str, tuple[str, dict[str, set[str]]]] = {
    "dialogue": ("DIALOGUE_DEFECTS", {
        "race": {"D01"}, "stale-cache": {"D02"}, "unbounded-cache": {"D02"}, "mixed-sessions": {"D03"}, "cold-cache": {"D04"},
        "no-index": {"D05"}, "half-batch": {"D06"}, "cascade": {"D07"}, "truncate": {"D08"},
    }),
    "raglox": ("RAGLOX_DEFECTS", {
        "pool-leak": {"R01"}, "no-timeout": {"R02", "R06"}, "half-commit": {"R03"}, "cache-needed": {"R04"}, "no-cleanup": {"R05"},
        "no-validation": {"R07", "R08"}, "keeps-bodies": {"R09"}, "no-rate-limit": {"R10"},
    }),
}  # fmt: skip
HISTORY = {"D09"}  # needs eight earlier runs; `shakedown compare` of two builds is its own test below
CASES = [(plan, mistake) for plan, (_, mistakes) in MISTAKES.items() for mistake in mistakes]


def rows(plan: str, mistake: str, folder: Path) -> dict[str, str | None]:
    """A smoke run; its rows with their verdicts. The suites, which would stop the run in the baseline, are left out."""
    command = [
        sys.executable,
        "-m",
        "shakedown.cli",
        "run",
        str(ROOT / "examples" / plan / "plan.yaml"),
        "--profile",
        "smoke",
    ]
    command += (
        ["--root", str(folder), "--set", "stages.baseline=null"] if plan == "dialogue" else ["--root", str(folder)]
    )
    environment = {
        **os.environ,
        MISTAKES[plan][0]: mistake,
        "DIALOGUE_FOLDER": str(folder / "files"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    (summary,) = folder.glob("runs/*/report/summary.json")
    told = json.loads(summary.read_text(encoding="utf-8"))
    print(done.stdout[-2000:])  # noqa: T201 - pytest shows it when the rows are not as they should be
    return {row["row"]: row["verdict"] for row in told["covers"]}


@pytest.mark.parametrize("plan", MISTAKES)
@pytest.mark.timeout(900)
def test_the_sound_system(plan, tmp_path):
    """Every row of the plan passes."""
    found = rows(plan, "", tmp_path)
    assert {row: verdict for row, verdict in found.items() if verdict != "passed" and row not in HISTORY} == {}


@pytest.mark.parametrize(("plan", "mistake"), CASES)
@pytest.mark.timeout(900)
def test_a_mistake(plan, mistake, tmp_path):
    """The rows that look for it fail."""
    found = rows(plan, mistake, tmp_path)
    expected = MISTAKES[plan][1][mistake]
    assert {row: found[row] for row in expected} == dict.fromkeys(expected, "failed")
