"""What a run leaves behind when what started it, shows it or runs it goes away in mid-fault: each case tried for real.

docs/prefect.md has the list. The clean-up is the run's own where it still can, and otherwise its watchdog's, which knows
nothing of Prefect.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from shakedown.faults.agents import agent_image
from shakedown.results import Results
from shakedown.services.ports import free_port
from tests.conftest import ROOT
from tests.e2e.deployed import Prefect
from tests.e2e.frozen import PATIENCE, PAUSE, Frozen
from tests.e2e.servers import BIN, client_environment, program
from tests.safety.world import containers, leftovers, tiny_plan, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.interruptions, pytest.mark.timeout(900)]


class World:
    """A server and a worker, each of which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        api = f"http://127.0.0.1:{self.port}/api"
        more = {"PREFECT_WORKER_QUERY_SECONDS": "1", "NO_COLOR": "1", "SHAKEDOWN_PREFECT_WAIT": "60"}
        self.environment = client_environment(folder, api, **more)
        self.prefect = Prefect(api, self.environment)
        self._programs = ExitStack()
        self.server = self.start_server()
        self.prefect("work-pool", "create", "local", "--type", "process")
        self.worker = self.start_worker()
        self.prefect("deploy", "--name", "plan", "--no-prompt")

    def start_server(self) -> subprocess.Popen[bytes]:
        command = ("server", "start", "--host", "127.0.0.1", "--port", self.port)
        made = program(*command, env=self.environment, log=self.folder / "server.log")
        self.server = self._programs.enter_context(made)
        assert wait_for(self.answers, PATIENCE)
        return self.server

    def start_worker(self) -> subprocess.Popen[bytes]:
        command = ("worker", "start", "--pool", "local", "--limit", "1")
        made = program(*command, env=self.environment, log=self.folder / "worker.log")
        self.worker = self._programs.enter_context(made)
        return self.worker

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.prefect.api}/health", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        self._programs.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture
def freeze(world, engine, tmp_path):
    """Start a run of a plan with a pause, through the deployment, and wait until the pause holds; also its flow run."""

    def start(hold: str = "40s") -> tuple[Frozen, str]:
        plan = tiny_plan(tmp_path, agent_image(engine), [{**PAUSE, "hold": hold}], steady_within="60s")
        runs: list[str] = []
        frozen = Frozen(
            engine,
            plan,
            tmp_path / "results",
            lambda: runs.append(world.prefect.start(plan=str(plan), root=str(tmp_path / "results"))),
        )
        return frozen, runs[0]

    return start


def _flow_process(world: World) -> psutil.Process:
    (process,) = psutil.Process(world.worker.pid).children()
    return process


def test_cancelled_from_the_ui(world, freeze):
    """The state that the UI's button asks for: the run ends in order, Cancelled, `interrupted`, nothing left."""
    frozen, run = freeze()
    world.prefect.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    state = world.prefect.wait(run, within=PATIENCE)["state"]
    assert (state["type"], state["name"]) == ("CANCELLED", "Cancelled")
    frozen.gone()
    frozen.ended("interrupted")


def test_the_flows_process_gets_sigterm(world, freeze):
    """As a cancel, by the machine: the run says Cancelled itself."""
    frozen, run = freeze()
    _flow_process(world).send_signal(signal.SIGTERM)
    state = world.prefect.wait(run, within=PATIENCE)["state"]
    assert (state["type"], state["name"]) == ("CANCELLED", "Cancelled")
    frozen.gone()
    frozen.ended("interrupted")


def test_the_flows_process_is_killed(world, freeze):
    """Prefect's worker says Crashed; the watchdog takes everything back; the next run marks it `interrupted`."""
    frozen, run = freeze()
    _flow_process(world).kill()
    state = world.prefect.wait(run, within=PATIENCE)["state"]
    assert (state["type"], state["name"]) == ("CRASHED", "Crashed")
    frozen.gone()
    command = [str(BIN / "shakedown"), "cleanup", "--root", str(frozen.root)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    frozen.ended("interrupted")


def test_the_worker_is_killed(world, freeze):
    """Its run goes on by itself and tells the server its verdict; a second run waits, first for Prefect's slot, then for it."""
    frozen, run = freeze(hold="90s")  # another worker and another run come up meanwhile
    flow = _flow_process(world)
    world.worker.kill()
    world.worker.wait()
    world.start_worker()
    second = world.prefect.start(plan=str(frozen.plan), root=str(frozen.root))
    assert wait_for(lambda: _waits(world, second), PATIENCE), _log(world, second)
    assert flow.is_running()
    assert len(frozen.folders) == 1  # the second has not begun
    state = world.prefect.wait(run, within=PATIENCE)["state"]
    assert state["type"] in {"COMPLETED", "FAILED"}, state
    frozen.gone()
    assert wait_for(lambda: len(frozen.folders) == 2, PATIENCE)
    world.prefect.post(f"flow_runs/{second}/set_state", {"state": {"type": "CANCELLING"}})
    assert world.prefect.wait(second, within=PATIENCE)["state"]["type"] == "CANCELLED"


def test_a_second_run_of_the_plan_waits(world, freeze):
    """Of one plan two runs never go on at once, whatever deployments and workers they have: the second says why it waits."""
    frozen, run = freeze(hold="120s")
    name = yaml.safe_load(frozen.plan.read_text())["name"]
    file = world.folder / "another.yaml"
    deployment = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"][0]
    file.write_text(yaml.safe_dump({"deployments": [{**deployment, "name": f"another-{name}"}]}))
    world.prefect("deploy", "--all", "--no-prompt", "--prefect-file", file)
    command = ("worker", "start", "--pool", "local", "--name", "another", "--limit", "1")
    with program(*command, env=world.environment, log=world.folder / "another.log"):
        second = world.prefect.start(f"another-{name}", plan=str(frozen.plan), root=str(frozen.root))
        assert wait_for(lambda: "waiting for its end" in _log(world, second), PATIENCE), _log(world, second)
        assert world.prefect.get(f"flow_runs/{second}")["state"]["type"] == "RUNNING"
        assert frozen.paused  # the first goes on
        assert frozen.folders == [frozen.folder]  # of the second there is nothing
        world.prefect.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        assert wait_for(lambda: len(frozen.folders) == 2, PATIENCE), _log(world, second)
        after = next(folder for folder in frozen.folders if folder != frozen.folder)
        frozen.gone()
        frozen.ended("interrupted")
        assert wait_for(lambda: containers(frozen.engine, after.name), PATIENCE)
        world.prefect.post(f"flow_runs/{second}/set_state", {"state": {"type": "CANCELLING"}})
        assert world.prefect.wait(second, within=PATIENCE)["state"]["type"] == "CANCELLED"
    assert wait_for(lambda: not leftovers(frozen.engine, after.name, after), PATIENCE)
    first, then = (Results.open(frozen.root).run(folder.name) for folder in (frozen.folder, after))
    assert first.ended_at is not None
    assert (then.started - first.started).total_seconds() >= first.ended_at


def _waits(world: World, run: str) -> bool:
    """Whether a run waits: a killed worker's slot is free again when its lease has run out, minutes later."""
    state = world.prefect.get(f"flow_runs/{run}")["state"]["name"]
    return state == "AwaitingConcurrencySlot" or "waiting for its end" in _log(world, run)


def _log(world: World, run: str) -> str:
    lines = world.prefect.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
    return "\n".join(line["message"] for line in lines)


def test_the_server_is_restarted(world, freeze):
    """The run waits for it where it must, and the server knows the verdict and every stage in the end."""
    frozen, run = freeze(hold="10s")
    world.server.kill()
    world.server.wait()
    time.sleep(5)
    world.start_server()
    state = world.prefect.wait(run, within=PATIENCE)["state"]
    assert state["type"] in {"COMPLETED", "FAILED"}, state
    assert state["name"] in {"Passed", "Failed", "Inconclusive"}
    frozen.gone()
    frozen.ended("finished", Results.open(frozen.root).run(frozen.name).verdict)
    stages = world.prefect.post("flow_runs/filter", {"flow_runs": {"name": {"any_": [frozen.name]}}})
    assert {stage["state"]["type"] for stage in stages} <= {"COMPLETED", "FAILED"}


def test_the_server_stays_away(engine, tmp_path):
    """A run of the command line whose server dies in mid-fault goes on, to its own verdict and exit code."""
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    plan = tiny_plan(tmp_path, agent_image(engine), [{**PAUSE, "hold": "10s"}])
    environment = {**world.environment, "SHAKEDOWN_PREFECT_WAIT": "3"}
    log = tmp_path / "run.log"
    command = [str(BIN / "shakedown"), "run", str(plan), "--root", str(tmp_path / "results"), "--seed", "1"]
    try:
        with log.open("w") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        frozen = Frozen(engine, plan, tmp_path / "results", lambda: None)
        world.server.kill()  # at once: one that is asked to end answers for some seconds more
        world.server.wait()
    finally:
        world.close()
    code = process.wait(PATIENCE)
    frozen.gone(30)
    info = Results.open(frozen.root).run(frozen.name)
    assert (info.status, info.exit_code) == ("finished", code), log.read_text()
    assert code in {0, 1, 3}
    assert "the run goes on without it" in log.read_text()
    assert (frozen.folder / "report" / "report.md").is_file()


def test_ui_is_ended_with_a_run_in_it(engine, tmp_path):
    """In a folder of plans alone, Ctrl-C of `shakedown ui` ends the run in order, then worker and server; nothing is left."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = client_environment(tmp_path, api, PREFECT_WORKER_QUERY_SECONDS="1")
    root = tmp_path / "results"
    log = tmp_path / "ui.log"
    project = tmp_path / "project"
    (project / "flows").mkdir(parents=True)
    (project / "flows" / "__init__.py").write_text("raise ImportError('this is not the package that was asked for')\n")
    plan = tiny_plan(project, agent_image(engine), [PAUSE])
    with log.open("w") as output:
        ui = subprocess.Popen(
            [str(BIN / "shakedown"), "ui", "--port", str(port), "--root", str(root)],
            cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        assert wait_for(lambda: "Ctrl-C ends it" in log.read_text() or ui.poll() is not None, PATIENCE)
        assert ui.poll() is None, log.read_text()
        family = psutil.Process(ui.pid).children(recursive=True)
        begin = partial(Prefect(api, environment).start, "tiny")
        frozen = Frozen(engine, plan, root, begin)
        os.kill(ui.pid, signal.SIGINT)
        assert ui.wait(PATIENCE) == 0, log.read_text()
    finally:
        ui.kill()
        ui.wait()
    frozen.gone()
    frozen.ended("interrupted")
    assert not [one for one in family if one.is_running()]
    assert "ending 1 run" in log.read_text()
    assert sorted(one.name for one in project.iterdir()) == ["flows", "plan.yaml"]  # nothing was written beside them


def test_ui_where_everything_is_there_already(world, tmp_path):
    """A second `shakedown ui` says so, makes the deployments, starts nothing and ends with 0."""
    command = [str(BIN / "shakedown"), "ui", "--port", str(world.port), "--root", str(tmp_path)]
    done = subprocess.run(command, env=world.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"http://127.0.0.1:{world.port}"
    assert "answers at" in done.stderr
    assert "everything was there already" in done.stderr
    assert world.server.poll() is None
    assert world.worker.poll() is None
