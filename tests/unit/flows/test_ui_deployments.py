"""Which deployments `shakedown ui` makes: those of the folder's prefect.yaml, or else its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shakedown.cli.deployments import deployments_of
from shakedown.errors import UsageError
from tests.conftest import ROOT

PLAN = "version: 1\nname: {}\nstages: {{}}\n"


def made(project: Path, folder: Path) -> dict[str, dict]:
    """By name the deployments that were written into a folder."""
    path, _ = deployments_of(project, folder)
    assert path == folder / "prefect.yaml"
    return {one["name"]: one for one in yaml.safe_load(path.read_text())["deployments"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results"
    path.mkdir()
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    return path


def test_its_own_are_taken_where_they_are_ours(folder):
    """This project's prefect.yaml is used as it is, and nothing is written."""
    assert deployments_of(ROOT, folder) == (ROOT / "prefect.yaml", [])
    assert not list(folder.iterdir())


def test_each_plan_gets_one_and_any_plan_as_well(project, folder):
    """Plans are found in the folder and below it, nearest first; what is none, hidden or somebody else's is left out."""
    for where, text in {
        "plan.yaml": PLAN.format("shop"), "tests/load/night.yml": PLAN.format("night"), "two/plan.yaml": PLAN.format("shop"),
        "compose.yaml": "services: {}", ".github/plan.yaml": PLAN.format("hidden"), "broken.yaml": "stages: [",
        "venv/plan.yaml": PLAN.format("installed"), "a/b/c/d/plan.yaml": PLAN.format("deep"), "odd.yaml": PLAN.format("a/b"),
    }.items():  # fmt: skip
        (project / where).parent.mkdir(parents=True, exist_ok=True)
        (project / where).write_text(text)
    found = made(project, folder)
    assert {name: one["parameters"]["plan"] for name, one in found.items()} == {
        "plan": "plan.yaml", "shop": "plan.yaml", "shop-2": "two/plan.yaml", "night": "tests/load/night.yml",
    }  # fmt: skip
    assert deployments_of(project, folder)[1] == ["plan.yaml", "two/plan.yaml", "tests/load/night.yml"]
    assert not (project / "prefect.yaml").exists()


def test_an_empty_folder_has_the_form(project, folder):
    """Without any plan there is the form, which proposes what `shakedown init` would write."""
    assert {name: one["parameters"] for name, one in made(project, folder).items()} == {"plan": {"plan": "plan.yaml"}}


def test_somebody_elses_prefect_yaml_is_left_alone(project, folder):
    """Deployments of other flows are neither made nor changed: ours are made beside them."""
    text = "deployments: [{name: theirs, entrypoint: 'etl.py:flow'}]\n"
    (project / "prefect.yaml").write_text(text)
    assert set(made(project, folder)) == {"plan"}
    assert (project / "prefect.yaml").read_text() == text


def test_they_are_as_this_projects_are(project, folder):
    """One run at a time, parameters checked, nothing sent to anybody: as prefect.yaml has it."""
    theirs = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"][0]
    ours = made(project, folder)["plan"]
    for key in ("enforce_parameter_schema", "concurrency_limit", "description"):
        assert ours[key] == theirs[key]
    env = ours["work_pool"]["job_variables"]["env"]
    assert {**theirs["work_pool"]["job_variables"]["env"], "PYTHONSAFEPATH": "1"} == env
    assert ours["work_pool"]["name"] == theirs["work_pool"]["name"]


def test_whatever_lies_in_the_folder_the_flow_is_ours(project):
    """Loaded as Prefect loads it, the folder first on the path, packages of ours are not taken from there."""
    for name in ("flows", "tasks", "templates"):
        (project / name).mkdir()
        (project / name / "__init__.py").write_text("raise ImportError('not ours')")
    load = (
        "from prefect.flows import load_flow_from_entrypoint as load; print(load('shakedown.cli.flow.pipeline').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", load], cwd=project, env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "shakedown", done.stderr


def test_a_file_that_cannot_be_read_is_told(project, folder):
    """A broken prefect.yaml is an error that names it, and not a folder without one."""
    (project / "prefect.yaml").write_text("deployments: [")
    with pytest.raises(UsageError, match=r"prefect\.yaml cannot be read"):
        deployments_of(project, folder)
