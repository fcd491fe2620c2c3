"""How long a plan means to take: what its durations say, and what ends only when it is done."""

from typing import Any

import pytest
import yaml

from shakedown.plan import load_plan, planned_durations, planned_stages

HTTP = {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}
EXECUTORS: dict[str, dict[str, Any]] = {
    "steady": {"type": "constant-arrival-rate", "rate": 5, "duration": "10s", "start_delay": "1s"},
    "users": {"type": "constant-vus", "vus": 5, "duration": "20s"},
    "each": {"type": "per-vu-iterations", "vus": 2, "iterations": 3},
    "share": {"type": "shared-iterations", "vus": 2, "iterations": 3, "duration": "30s", "graceful_stop": "5s"},
    "replay": {"type": "replay", "file": "offsets", "duration": "15s", "graceful_stop": "0s"},
}


def plan(folder, stages):
    (folder / "offsets").write_text("0\n1\n", encoding="utf-8")
    content = {
        "version": 1, "name": "shop",
        "services": {"api": {"image": "api:1", "ports": {"http": 80}, "health": {"tcp": "http"}}},
        "scenarios": {name: {"executor": executor, "http": HTTP} for name, executor in EXECUTORS.items()},
        "suites": {"unit": {"command": ["true"], "timeout": "100s"}},
        "stages": stages,
    }  # fmt: skip
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_plan(path, environ={}).plan


@pytest.mark.parametrize(
    ("stage", "asked", "seconds", "at_most", "words"),
    [
        ("baseline", {"scenarios": ["steady", "users"]}, 31, 31, "31 s"),
        ("baseline", {"suites": ["unit"], "scenarios": ["steady", "share"]}, 11, 146, "11 s, and 1 load and 1 suite until they are done (2 m 26 s at most)"),
        ("baseline", {"scenarios": ["replay"]}, 0, 15, "1 load until it is done (15 s at most)"),
        ("stress", {"parallel": [{"use": "steady"}, {"use": "each"}, {"suite": "unit"}]}, 11, 610, "11 s, and 1 load and 1 suite until they are done (10 m 10 s at most)"),
        ("stress", {"parallel": [{"use": "steady", "steps": {"rate": [1, 2], "duration": "4s"}}]}, 9, 9, "9 s"),
        ("stress", {"parallel": [{"use": "steady", "capacity": {"lowest": 1, "highest": 2, "duration": "4s", "precision": "50%"}}]}, 14, 14, "14 s at most"),
        ("endurance", {"repeat": 4, "settle": "1s", "run": [{"use": "each", "duration": "20s"}, {"use": "share"}]}, 4, 264, "4 s, and 2 loads until they are done (4 m 24 s at most)"),
        ("endurance", {"repeat": 4, "settle": "1s", "run": [{"use": "users"}], "until": "duration >= 1m"}, 84, 84, "84 s at most"),
    ],
)  # fmt: skip
def test_what_ends_when_it_is_done_is_no_time(tmp_path, stage, asked, seconds, at_most, words):
    """Iterations, recordings and suites add nothing to the time, and their limits to what it is at most."""
    stages = planned_stages(plan(tmp_path, {stage: asked}))
    assert (stages[stage].seconds, stages[stage].at_most, str(stages[stage])) == (seconds, at_most, words)
    assert list(stages) == [stage]


def test_recovery_is_the_baselines_loads_without_its_suites(tmp_path):
    """The recovery stage plans what it runs again."""
    found = plan(tmp_path, {"baseline": {"suites": ["unit"], "scenarios": ["users", "each"]}, "recovery": {}})
    assert planned_durations(found) == {"baseline": 20, "recovery": 20}
    assert str(planned_stages(found)["recovery"]) == "20 s, and 1 load until it is done (10 m 30 s at most)"
