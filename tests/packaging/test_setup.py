"""The set-up script and the files of the house. No test here starts, stops or asks the machine's real engine."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

SETUP = ROOT / "scripts" / "setup.sh"
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

# Everything that could reach the machine is replaced by a line on standard output.
STUBS = """
id() { echo 0; }
uname() { echo Linux; }
rm() { echo "did: rm $*"; }
systemctl() { echo "did: systemctl $*"; }
setsid() { echo "did: setsid $*"; }
install_packages() { echo "did: install $*"; }
engine_answers() { return 1; }
"""


def in_setup(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run shell code that has the script's functions, with those that touch the machine replaced."""
    return subprocess.run(
        ["bash", "-c", f". {SETUP}\n{STUBS}\n{code}"],
        env={"PATH": os.environ["PATH"], "ENGINE_LOOKS": "1", "ENGINE_LOG": "/dev/null", **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def silent_engine(tmp_path: Path):
    """A process called dockerd that answers nobody."""
    program = tmp_path / "dockerd"
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen([program, "120"]) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="looks for processes as Linux shows them")
def test_a_living_engine_is_never_replaced(silent_engine):
    """An engine that lives and does not answer: no second one is started, none of its files is removed; exit 4."""
    done = in_setup(f"living_engine() {{ echo {silent_engine.pid}; }}; start_engine")
    assert done.returncode == 4
    assert str(silent_engine.pid) in done.stderr
    assert "did:" not in done.stdout


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="looks for processes as Linux shows them")
def test_a_living_engine_is_found(silent_engine):
    """A process of this user called dockerd is found by its name, whichever of several it is."""
    done = in_setup("living_engine")
    assert done.returncode == 0
    assert Path(f"/proc/{done.stdout.strip()}/comm").read_text(encoding="utf-8").strip() == "dockerd"


def test_an_engine_is_started_when_none_lives():
    """With none alive exactly one is started, by systemd or by hand, and a failure to come up is exit 4."""
    done = in_setup("living_engine() { return 1; }; tail() { :; }; start_engine")
    assert done.returncode == 4
    assert "did not start" in done.stderr
    if Path("/run/systemd/system").exists():
        assert "did: systemctl start docker" in done.stdout
    else:
        assert "starting dockerd" in done.stderr
        assert "containerd.pid" in done.stdout


def test_a_python_that_cannot_ask_is_not_an_absent_engine(tmp_path):
    """When .venv's Python is broken, the script says so and touches no engine."""
    done = in_setup(f"cd {tmp_path}; start_engine")
    assert done.returncode == 4
    assert "Docker client" in done.stderr
    assert "did:" not in done.stdout


def test_a_named_engine_is_never_started_here():
    """With DOCKER_HOST set and nothing there, the script names it, exits with 4 and starts nothing."""
    done = in_setup("start_engine", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 4
    assert "unix:///nowhere/docker.sock" in done.stderr
    assert "did:" not in done.stdout


@pytest.mark.parametrize(("left", "works"), [("here", True), ("elsewhere", False), ("none", True), ("dead", False)])
def test_a_moved_or_dead_environment_is_seen(tmp_path, left, works):
    """An environment made in another folder, or whose Python is gone, does not count as working."""
    for program in ("bin/python", "uv/bin/uv"):
        path = tmp_path / ".venv" / program
        path.parent.mkdir(parents=True)
        path.symlink_to("/nowhere" if left == "dead" else shutil.which("true"))
    if left in ("here", "elsewhere"):
        home = tmp_path if left == "here" else tmp_path / "before"
        (tmp_path / ".venv" / ".home").write_text(f"{home.resolve()}\n", encoding="utf-8")
    assert (in_setup(f"cd {tmp_path}; venv_works").returncode == 0) is works


def test_the_lock_has_hashes_and_no_addresses():
    """Every pinned package has a hash, and no registry is named."""
    assert "://" not in LOCK
    assert not re.search(r"^--(extra-)?index", LOCK, re.MULTILINE)
    pins = [block for block in re.split(r"\n(?=\S)", LOCK) if "==" in block]
    assert len(pins) > 50
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_lock_covers_the_project():
    """Each dependency of the project and of its developers is in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in wanted}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCK, re.MULTILINE))
    assert names - locked == set()


def test_ci_is_the_tests():
    """What CI runs is executable and is `make test`, no more."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8") == "#!/usr/bin/env bash\nset -euo pipefail\nmake test\n"


def test_a_compose_tool_is_installed_and_never_required():
    """As root on Debian it is installed where there is none; what cannot be installed ends nothing."""
    none = 'docker() { return 1; }; command() { [ "$2" != docker-compose ]; }; '
    assert "did: install docker-compose" in in_setup(f"{none} have_compose").stdout
    done = in_setup(f"{none} install_packages() {{ return 1; }}; have_compose && echo went on")
    assert (done.returncode, done.stdout.strip()) == (0, "went on")
    assert "tests of Compose projects are skipped" in done.stderr
    assert "did:" not in in_setup("docker() { return 0; }; have_compose").stdout
