"""docs/faults.md and the dry run say what the code says."""

import importlib.util
import re
import subprocess
import sys
from types import ModuleType

import pytest
import yaml

from shakedown.faults.catalogue import catalogue, entry_of, given_parameters
from shakedown.faults.registry import FAULTS
from shakedown.plan import load_plan
from shakedown.plan.faults.network import NetworkLatency
from shakedown.plan.faults.service import ServiceStop
from tests.conftest import ROOT

SCRIPT = ROOT / "scripts" / "fault_catalogue.py"
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml(.*?)\n(.*?)```", PAGE, re.DOTALL)
NAMES = [re.search(r"name: (.+)", example)[1] for _, example in EXAMPLES]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("fault_catalogue", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(script):
    """The table of the catalogue is the one that the script writes now; if not: scripts/fault_catalogue.py --write."""
    assert script.updated(PAGE) == PAGE


def test_a_page_without_its_marks_is_told(script):
    """Nothing is written into a page that has no place for it."""
    with pytest.raises(SystemExit, match="has lost its marks"):
        script.updated("# Faults\n")


def test_the_script_says_so_too():
    """Without `--write` it compares: exit code 0 when the page is as it should be."""
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_fault_is_complete():
    """Each fault of the code is in the catalogue once, says what it does, how, how it is proved and undone, and every parameter has its words."""
    entries = catalogue()
    assert sorted(entry.type for entry in entries) == sorted(FAULTS)
    for entry in entries:
        for text in (entry.what, entry.mechanism, entry.proof, entry.undo):
            assert len(text) > 5, entry
        assert entry.layers or entry.undo.startswith("none"), entry
        for parameter in entry.parameters:
            assert parameter.description, f"{entry.type}.{parameter.name} has no description"


def test_parameters_in_words():
    """Units, limits and defaults as a person would write them."""
    by_name = {one.name: one for one in entry_of(NetworkLatency).parameters}
    assert by_name["latency"].kind == "duration"
    assert by_name["latency"].limits.startswith("> 0 s")
    assert by_name["latency"].default is None
    assert by_name["ports"].kind == "list of port"
    assert by_name["ports"].default == "none"
    assert by_name["jitter"].default == "0 s"
    assert "target" not in by_name  # which kinds of services it works on is said apart


def test_given_parameters():
    """A fault of a plan in words: its parameters with units, without the target."""
    fault = ServiceStop(target="web", grace=2.5)
    assert given_parameters(fault) == "grace 2.5 s"


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=NAMES)
def test_every_example_loads(tmp_path, kind, example):
    """Each example is an experiment of a plan without a problem."""
    service = {"image": "x:1", "ports": {"http": 8000}, "health": {"tcp": "http"}}
    plan = {
        "version": 1, "name": "demo",
        "services": {"api": {**service, "depends_on": ["redis", "db"]}, "redis": service, "db": service},
        "scenarios": {
            "get": {"executor": {"type": "constant-vus", "vus": 1, "duration": "5s"},
                    "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}
        },
        "stages": {"faults": {"load": "get", kind.strip() or "experiments": [yaml.safe_load(example)]}},
    }  # fmt: skip
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    assert load_plan(path, environ={}).plan.experiments
