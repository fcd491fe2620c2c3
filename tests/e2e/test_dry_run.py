"""`shakedown run PLAN --dry-run`: everything said, nothing done."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import COURIER

pytestmark = pytest.mark.e2e
SHAKEDOWN = Path(sys.executable).with_name("shakedown")
KILL = {"type": "service-kill", "target": "web"}
SLOW = {"type": "network-latency", "target": "web", "latency": "100ms"}
EXPERIMENTS = [
    {"name": "plain", "fault": KILL, "hold": "4s", "recover_within": "9s", "abort_if": ["host.memory > 90%"],
     "expect": {"during": ["get.error_rate < 7%"], "after": ["get.p95 < 800ms"], "health": {"web": "unhealthy"}}},
    {"name": "chance", "recover_within": "9s",
     "nemesis": {"faults": [{"fault": KILL}, {"fault": SLOW, "weight": 2}], "duration": "30s"}},
    {"name": "climb", "fault": SLOW, "hold": "2s", "recover_within": "9s", "expect": {"during": ["get.p95 < 1s"]},
     "staircase": {"parameter": "latency", "values": ["50ms", "2s"]}},
]  # fmt: skip


def plan(folder: Path, experiments: list[dict[str, Any]]) -> Path:
    """A plan whose containers could not be started: no such image, no engine."""
    path = folder / "plan.yaml"
    content = {
        "version": 1, "name": "tiny",
        "services": {"web": {"image": "no-such-image:1", "ports": {"http": 8000}, "health": {"http": "http:/"},
                             "environment": {"API_TOKEN": "hunter2hunter2"}}},
        "scenarios": {"get": {"executor": {"type": "constant-arrival-rate", "rate": 40, "duration": "5s"},
                              "http": {"target": "web.http", "requests": [{"name": "get", "get": "/"}]}},
                      "once": {"executor": {"type": "per-vu-iterations", "vus": 3, "iterations": 1, "duration": "40s"},
                               "http": {"target": "web.http", "requests": [{"name": "get", "get": "/"}]}}},
        "suites": {"unit": {"command": ["true"], "timeout": "60s"}},
        "stages": {"baseline": {"suites": ["unit"], "scenarios": ["get", "once"], "thresholds": ["get.p95 < 2s"]},
                   "faults": {"load": "get", "experiments": experiments}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def dry_run(path: Path, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:9"}  # no engine answers
    return subprocess.run([str(SHAKEDOWN), "run", str(path), "--dry-run", *options], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip


def test_everything_is_said_and_nothing_done(tmp_path):
    """Stages, loads, each fault with its target, time, mechanism, proof, guards and undo; no file is written, no engine asked."""
    path = plan(tmp_path, EXPERIMENTS)
    before = sorted(tmp_path.rglob("*"))
    done = dry_run(path, "--seed", "7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(tmp_path.rglob("*")) == before
    for words in (
        "seed 7", "web: docker", "load get on web.http: constant-arrival-rate 40/s, for 5 s", "must hold: get.p95 < 2s",
        "baseline: 5 s, and 1 load and 1 suite until they are done (115 s at most)", "suite unit",
        "load once on web.http: per-vu-iterations 3 users, 1 iteration each, until all are done, 40 s at most",
        "stress: not in the plan", "experiment plain: one fault, 4 s at most",
        "at 0 s, for 4 s: service-kill on web (signal SIGKILL", "undo: started again", "guarded by: the run, journal, watchdog",
        "must be back within 9 s after the revert", "must hold meanwhile: get.error_rate < 7%",
        "must hold afterwards: get.p95 < 800ms", "health of web must say: unhealthy",
        "reverted at once if host.memory > 90%", "experiment chance: at random from 2 faults",
        "a staircase of latency until a threshold breaks; 50ms must still hold",
        "at 2 s, for 2 s: network-latency on web (", "latency 2 s",
    ):  # fmt: skip
        assert words in done.stdout, (words, done.stdout)
    assert done.stdout.count("proof: ") == done.stdout.count("undo: ") == 4


def test_the_seed_decides_the_schedule(tmp_path):
    """The same seed prints the same nemesis, another seed another; without one, the seed drawn is told."""
    path = plan(tmp_path, EXPERIMENTS)
    first, again = (dry_run(path, "--seed", "7", cwd=tmp_path).stdout for _ in range(2))
    assert first == again
    drawn = dry_run(path, cwd=tmp_path).stdout
    seed = re.search(r"seed (\d+): `--seed \1`", drawn)[1]
    assert drawn.splitlines()[2:] == dry_run(path, "--seed", seed, cwd=tmp_path).stdout.splitlines()[2:]
    assert first.splitlines()[2:] != drawn.splitlines()[2:]


def test_a_wrong_plan_is_told_as_everywhere(tmp_path):
    """Exit code 2, the place, no traceback."""
    done = dry_run(plan(tmp_path, [{**EXPERIMENTS[0], "hold": "0s"}]), cwd=tmp_path)
    assert done.returncode == 2
    assert "stages.faults.experiments.0.hold" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_demo_with_a_profile(tmp_path):
    """The demo's plan, scaled by its profile."""
    done = dry_run(COURIER, "--profile", "smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("courier, profile smoke: a dry run, nothing is started")
