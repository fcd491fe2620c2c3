"""The built wheel, not the checkout: what is in it, and that it works on its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.integration
UV = shutil.which("uv", path=f"{ROOT / '.venv' / 'uv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
NEEDED = (
    "flows/pipeline.py", "tasks/load.py", "templates/report.md.j2", "templates/history.html.j2", "templates/_page.css", "shakedown/faults/agent/Dockerfile",
    "shakedown/faults/agent/agent.py", "shakedown/faults/agent/proxy.py", "shakedown/plan/starter.yaml", "shakedown/results/migrations/env.py",
    "shakedown/results/migrations/versions/0001_the_first_schema.py", "shakedown/suites/plugin/shakedown_reporter.py",
    "shakedown/suites/plugin/shakedown_unittest.py", "shakedown/faults/resource/tools/Dockerfile",
    "shakedown/services/stub/Dockerfile", "shakedown/services/stub/server.py",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_it_carries_everything(wheel):
    """Engine, flows, tasks, templates, migrations, the agent: all are inside; tests are not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in NEEDED if name not in names] == []
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]


def test_it_works_on_its_own(wheel, tmp_path):
    """Installed elsewhere, with the locked dependencies, its commands answer."""
    venv = tmp_path / "venv"
    python = venv / "bin" / "python"
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    lock = str(ROOT / "requirements.lock")
    subprocess.run([UV, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", lock], check=True)
    subprocess.run([UV, "pip", "install", "-q", "--python", str(python), "--no-deps", str(wheel)], check=True)

    def shakedown(*arguments):
        command = [str(venv / "bin" / "shakedown"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "Exit codes" in shakedown("--help")
    assert '"$schema"' in shakedown("schema")
    assert "written" in shakedown("init", "mine.yaml")
    assert "no errors" in shakedown("validate", "mine.yaml")
    code = "import flows.pipeline, shakedown, pathlib; print(pathlib.Path(shakedown.__file__).parent)"
    where = subprocess.run([str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert str(venv) in where
