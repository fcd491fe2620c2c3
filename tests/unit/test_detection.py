"""The benchmark of seeded defects counts rightly: what is found, what is named, what is missed, what is accused wrongly."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from shakedown.analysis.growth import ENOUGH
from shakedown.plan import load_plan

ROOT = Path(__file__).parents[2]
COURIER = ROOT / "examples" / "courier"


@pytest.fixture(scope="module")
def detection() -> ModuleType:
    """benchmarks/detection.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("detection", ROOT / "benchmarks" / "detection.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["detection"] = module
    spec.loader.exec_module(module)
    return module


def test_every_defect_has_a_name_and_a_plan(detection):
    """The table of names has each of courier's defects once, and each is looked for by leaks or by experiments that exist."""
    text = (COURIER / "app" / "courier" / "defects.py").read_text(encoding="utf-8")
    known = {word.strip('", ()\n') for word in text.partition("KNOWN = (")[2].partition(")")[0].split(",")} - {""}
    assert set(detection.NAMES) == known
    assert set(detection.NEEDS) | set(detection.LEAKS) == known
    plan = yaml.safe_load((COURIER / "detection.yaml").read_text(encoding="utf-8"))
    experiments = {experiment["name"] for experiment in plan["stages"]["faults"]["experiments"]}
    assert {name for names in detection.NEEDS.values() for name in names} <= experiments


def test_the_matrix(detection):
    """A run that failed is found; named only by the right words in a cause; a sound run that failed is a false alarm."""
    named = detection.Said("failed", (("it was lost", "stored too late (lost writes)"),))
    misnamed = detection.Said("failed", (("it was slow", "(memory leak)"),))
    passed, doubtful = detection.Said("passed"), detection.Said("inconclusive")
    runs = [("lose-writes", named), ("lose-writes", misnamed), ("lose-writes", passed), ("sound", passed),
            ("sound", misnamed), ("sound", doubtful)]  # fmt: skip
    jobs = [detection.Job("plan", defect, number) for number, (defect, _) in enumerate(runs)]
    lines = detection.table(jobs, [said for _, said in runs])
    assert "| lose-writes | 3 | 2 | 1 | 1 | – | 0 | it was lost |" in lines
    assert "| sound (plan) | 3 | – | – | – | 1 | 1 | it was slow |" in lines


@pytest.mark.parametrize(
    ("only", "parts", "sound"),
    [([], {"leaks", "plan"}, 20), (["leaks"], {"leaks"}, 10), (["no-breaker"], {"plan"}, 0), (["sound"], {"plan"}, 10)],
)
def test_what_is_run(detection, only, parts, sound):
    """Everything by default; a part with its sound runs; a defect alone; the sound system alone."""
    jobs = detection.jobs_of(only, 3, 10)
    assert {job.part for job in jobs} == parts
    assert sum(job.defect == "sound" for job in jobs) == sound
    assert len(set(jobs)) == len(jobs)


def test_the_plans_are_whole(detection):
    """Both plans are free of errors; the leaks' profile repeats often enough for the rule, and every plan key is known."""
    leaks = load_plan(COURIER / "plan.yaml", profile="leaks", environ={}).plan
    assert leaks.stages.endurance is not None
    assert leaks.stages.endurance.repeat >= ENOUGH
    command = detection.command_of(detection.Job("plan", "no-breaker", 1), Path("runs"), short=True)
    overrides = [command[place + 1] for place, word in enumerate(command) if word == "--set"]
    short = load_plan(COURIER / "detection.yaml", environ={}, overrides=overrides).plan
    assert [experiment.name for experiment in short.experiments] == ["model fails"]
    assert short.stages.stress is None
    assert "stages.stress=null" not in detection.command_of(detection.Job("plan", "race", 1), Path("runs"), short=True)
