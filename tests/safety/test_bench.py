"""Compositions of faults on real containers: one run of many experiments, and what each of them shows."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shakedown.faults.schedule import schedule_of
from shakedown.plan.experiments import Experiment
from shakedown.results import Results, Store
from tests.safety.world import containers, leftovers, open_faults, orchestrated, tiny_plan, wait_for

pytestmark = [pytest.mark.safety, pytest.mark.integration]

SEED = 11
PAUSE = {"type": "service-pause", "target": "other"}
KILL = {"type": "service-kill", "target": "other"}
SLOW = {"type": "network-latency", "target": "web", "latency": "50ms"}
BACK = {"recover_within": "20s"}
NEMESIS = {"faults": [{"fault": PAUSE}, {"fault": KILL}], "duration": "7s", "hold": [0.6, 1], "quiet": [0.4, 0.7]}
STAIRS = {"parameter": "latency", "values": ["150ms", "1700ms", "1800ms"], "require": "150ms"}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "together": {"faults": [SLOW, PAUSE], "hold": "2s"},
    "one refused": {"faults": [PAUSE, {**PAUSE, "target": "ended"}], "hold": "2s"},
    "sequence": {"sequence": [{"fault": KILL, "hold": 1, "pause": 0.5}, {"fault": PAUSE, "hold": 1.5}]},
    "repeat": {"fault": PAUSE, "hold": "1.2s", "repeat": {"times": 2, "pause": "300ms"}},
    "staircase": {"fault": SLOW, "hold": "3.3s", "staircase": STAIRS, "expect": {"during": ["get.p95 < 1200ms"]}},
    "too high": {
        "fault": SLOW, "hold": "3.3s", "staircase": {**STAIRS, "values": [1.7, 1.8], "require": 1.7},
        "expect": {"during": ["get.p95 < 1200ms"]},
    },
    "nemesis": {"nemesis": NEMESIS},
    "aborted": {"faults": [{**SLOW, "target": "other"}, SLOW], "hold": "30s", "abort_if": ["other.pids > 40"]},
    "unwatched": {"fault": PAUSE, "hold": "1s", "abort_if": ["ended.memory > 1MB"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(engine: Any, python_image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run: by experiment its injections, verdict and more."""
    folder = tmp_path_factory.mktemp("bench")
    plan = tiny_plan(
        folder, python_image, [{"name": name, **BACK, **parts} for name, parts in EXPERIMENTS.items()], rate=50
    )
    text = plan.read_text(encoding="utf-8")
    ended = f"services:\n  ended:\n    image: {python_image}\n    entrypoint: ['true']\n"
    plan.write_text(text.replace("services:\n", ended, 1), encoding="utf-8")
    with orchestrated(plan, folder / "results", SEED) as run:
        for name in EXPERIMENTS:
            assert run.until("begin", 200)["name"] == name
            if name == "aborted":
                assert wait_for(lambda: open_faults(run.folder), 60)
                (other,) = [
                    one for one in containers(engine, run.run) if one.labels.get("shakedown.service") == "other"
                ]
                crowd = ["sh", "-c", "for i in $(seq 60); do sleep 40 & done; wait"]
                other.exec_run(crowd, detach=True)
        over = run.until("over", 200)
        run.process.wait(60)
        assert over["problems"] == []
        assert leftovers(engine, run.run, run.folder) == []
        samples = Results(Store.open(folder / "results").engine).samples(run.run, 0, 10_000)
    found = {
        name: {"injections": injections, "verdict": verdict, "limit": limit, "aborted": aborted}
        for name, injections, verdict, limit, aborted in zip(
            EXPERIMENTS, over["injections"], over["verdicts"], over["limits"], over["aborted"], strict=True
        )
    }
    return {**found, "samples": samples, "reason": over["reason"]}


def whole(injections: list[dict[str, Any]]) -> bool:
    """Whether each was injected, proved, reverted and proved gone."""
    return all(one["effect"] and one["gone"] and one["error"] is None and one["refused"] is None for one in injections)


def test_what_begins_together_begins_together(bench):
    """Two faults at once are asked for within 50 ms of each other, and end as close."""
    first, second = bench["together"]["injections"]
    assert whole([first, second]), (first, second)
    assert abs(first["asked"] - second["asked"]) <= 0.05
    assert abs(first["revert_asked"] - second["revert_asked"]) <= 3.0  # each holds from when it was there
    assert bench["together"]["verdict"] == "passed"


def test_if_one_is_refused_none_is_injected(bench):
    """The other one's turn does not come either, and it says why."""
    injections = bench["one refused"]["injections"]
    assert [one["asked"] for one in injections] == [None, None]
    assert "`ended` is exited, not running" in injections[1]["refused"]
    assert "service-pause on ended, which was to begin at the same time, cannot" in injections[0]["refused"]
    assert bench["one refused"]["verdict"] == "inconclusive"


def test_a_sequence_keeps_its_order_and_its_pauses(bench):
    """The second begins a pause after the first one's hold, never before the first is reverted."""
    first, second = bench["sequence"]["injections"]
    assert whole([first, second])
    assert (first["fault"], second["fault"]) == ("service-kill", "service-pause")
    assert second["asked"] >= first["reverted"]
    assert second["asked"] - first["applied"] >= 1.5 - 0.05


def test_a_repeat_is_the_same_again(bench):
    """As often as asked, with the pause between, and without waiting for recovery."""
    first, second = bench["repeat"]["injections"]
    assert whole([first, second])
    assert first["reverted"] < second["asked"] < first["reverted"] + 10
    assert second["asked"] - first["applied"] >= 1.5 - 0.05


def test_a_staircase_finds_the_limit(bench):
    """It climbs until the threshold breaks, not beyond, and the limit is in its words; what had to hold did: passed."""
    found = bench["staircase"]
    assert len(found["injections"]) == 2, found
    assert whole(found["injections"])
    assert found["limit"].startswith("held at 150ms, broke at latency 1700ms: get.p95 < 1200ms was ")
    assert found["verdict"] == "passed", bench["reason"]


def test_a_staircase_that_breaks_too_early_fails(bench):
    """The value of `require` did not hold."""
    found = bench["too high"]
    assert len(found["injections"]) == 1
    assert found["limit"].startswith("broke at latency 1.7: get.p95 < 1200ms was ")
    assert found["verdict"] == "failed"


def test_a_nemesis_keeps_to_its_schedule(bench):
    """What the seed's schedule says, in its order, at its times or as soon after as the one before has been taken back."""
    experiment = Experiment.model_validate({"name": "nemesis", **BACK, **EXPERIMENTS["nemesis"]})
    planned = schedule_of(experiment, SEED)
    injections = bench["nemesis"]["injections"]
    assert [one["fault"] for one in injections] == [one.fault.type for one in planned]
    assert len(injections) >= 3
    begun = injections[0]["asked"]
    for one, plan in zip(injections, planned, strict=True):
        assert one["asked"] - begun >= plan.at - 0.1
    for first, second in itertools.pairwise(injections):
        assert second["asked"] >= first["reverted"]


def test_a_condition_ends_everything_at_once(bench):
    """Both faults are reverted within a second of the sample that met the condition, long before their time."""
    found = bench["aborted"]
    assert found["aborted"] == "other.pids > 40"
    assert found["verdict"] == "inconclusive"
    met = next(sample.at for sample in bench["samples"]
               if (sample.source, sample.series) == ("other", "pids") and sample.value > 40)  # fmt: skip
    for one in found["injections"]:
        assert one["gone"]
        assert one["error"] is None
        assert one["revert_asked"] - max(met, one["applied"]) <= 1.0 + 1.0  # a reading takes up to a second itself
        assert one["revert_asked"] - one["applied"] < 20


def test_a_condition_that_nobody_samples_refuses(bench):
    """A guard that sees nothing guards nothing: not injected."""
    (one,) = bench["unwatched"]["injections"]
    assert one["asked"] is None
    assert "there is no sample of ended.memory" in one["refused"]
    assert bench["unwatched"]["verdict"] == "inconclusive"


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_reverts(engine, python_image, tmp_path: Path, times):
    """Ctrl-C in mid-fault, once or twice: the fault is reverted and struck out, everything is stopped, exit code 130."""
    plan = tiny_plan(tmp_path, python_image, [{"name": "e", "fault": PAUSE, "hold": "60s", **BACK}])
    command = [sys.executable, "-c", "from shakedown.cli import main; main()", "run", str(plan), "--root", "results"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        for line in process.stderr:
            if "injected: service-pause" in line:
                break
        begun = time.monotonic()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        out, err = process.communicate(timeout=120)
        took = time.monotonic() - begun
    assert process.returncode == 130, out + err
    assert took < 50, "it waited for the fault's end"
    assert "reverted: service-pause on other" in err
    folder = next((tmp_path / "results" / "runs").iterdir())
    assert leftovers(engine, folder.name, folder) == []
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().split("\n") if line]
    (fault,) = [line["intend"]["id"] for line in lines if line.get("intend", {}).get("kind") == "fault"]
    struck = [line["strike"] for line in lines if "strike" in line]
    assert struck[0] == fault, "the fault was not the first thing to be taken back"
