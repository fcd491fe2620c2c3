"""Prefect's UI in a real browser: trigger from the form, watch, read the report, cancel. All of it through `shakedown ui`.

Pictures go to the folder that `SHAKEDOWN_TEST_PICTURES` names, for somebody to look at.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from shakedown.faults.agents import agent_image
from shakedown.services.ports import free_port
from shakedown.session.live import STAGES
from tests.conftest import ROOT
from tests.e2e.browser import CHROMIUM, Page, browsing
from tests.e2e.deployed import Prefect
from tests.e2e.frozen import PATIENCE, PAUSE, Frozen
from tests.e2e.servers import BIN, client_environment
from tests.e2e.test_prefect import PLAN
from tests.safety.world import tiny_plan, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `apt-get install chromium`"),
]
PICTURES = os.environ.get("SHAKEDOWN_TEST_PICTURES")


@dataclass(frozen=True)
class Ui:
    """`shakedown ui`, which answers; whom of the internet it asked."""

    address: str
    root: Path
    prefect: Prefect
    asked: list[str]


class _Internet(BaseRequestHandler):
    """A proxy in the place of the internet: notes who is asked for."""

    def handle(self) -> None:
        line = self.request.recv(4000).split(b"\r\n")[0].decode(errors="replace")
        if line:
            self.server.asked.append(line)


@pytest.fixture(scope="module")
def internet() -> Iterator[tuple[str, list[str]]]:
    """The proxy's address, and what was asked of it."""
    with ThreadingTCPServer(("127.0.0.1", 0), _Internet) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server.asked
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, internet: tuple[str, list[str]]) -> Iterator[Ui]:
    """The command, from nothing, until Ctrl-C."""
    folder = tmp_path_factory.mktemp("ui")
    address = f"http://127.0.0.1:{(port := free_port())}"
    proxy, asked = internet
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy)
    more = {"PREFECT_WORKER_QUERY_SECONDS": "1", "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    environment = client_environment(folder, f"{address}/api", **more, **proxies)
    log, root = folder / "ui.log", folder / "results"
    command = [str(BIN / "shakedown"), "ui", "--port", str(port), "--root", str(root)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=output, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == address, log.read_text()
            yield Ui(address, root, Prefect(f"{address}/api", environment), asked)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browsing(tmp_path) as page:
        page.size(1280, 1180)
        yield page


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.format(python=sys.executable, server=ROOT / "tests" / "integration" / "servers.py"))
    return path


def look(page: Page, name: str) -> None:
    """Keep a picture, where somebody wants to look at it."""
    if PICTURES:
        page.picture(Path(PICTURES) / f"{name}.png")


def trigger(page: Page, ui: Ui, plan: Path, *stages: str) -> str:
    """Fill the form in and send it; the flow run."""
    deployment = ui.prefect.get("deployments/name/shakedown/plan")["id"]
    page.go(f"{ui.address}/deployments/deployment/{deployment}/run")
    page.wait("The plan, a YAML file", "Only these stages", within=PATIENCE)
    page.click("textarea")
    page.type(str(plan), instead=True)
    page.click("button", "smoke or nightly")
    page.run(_select("smoke", []))
    look(page, "form")
    page.click("button", "None")  # of the profile, which comes before the seed
    page.run(_select("stress", list(stages)))
    page.click("button", "Submit")
    runs = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC"}
    assert wait_for(lambda: _named(ui, runs, plan), PATIENCE)
    return _named(ui, runs, plan)[0]


def _named(ui: Ui, runs: dict, plan: Path) -> list[str]:
    return [one["id"] for one in ui.prefect.post("flow_runs/filter", runs) if one["parameters"]["plan"] == str(plan)]


def _select(with_option: str, chosen: list[str]) -> str:
    """A script that chooses these options of the list that has this one."""
    return f"""(() => {{
        const list = [...document.querySelectorAll('select')].find(
            one => [...one.options].some(option => option.value === '{with_option}'));
        for (const option of list.options) option.selected = {chosen}.includes(option.value);
        list.dispatchEvent(new Event('change', {{bubbles: true}}));
        return [...list.options].map(option => option.value);
    }})()"""


def test_a_run_from_the_form_to_its_report(ui, page, plan):
    """Stages are chosen from a list; the run shows its stages and its log; its report can be read."""
    run = trigger(page, ui, plan, "baseline", "stress")
    assert ui.prefect.wait(run, {"RUNNING"}, PATIENCE)["parameters"]["stages"] == ["baseline", "stress"]
    page.go(f"{ui.address}/runs/flow-run/{run}")
    page.wait("Running", "baseline begins", within=PATIENCE)
    look(page, "running")
    assert ui.prefect.wait(run, within=PATIENCE)["state"]["name"] == "Passed"
    page.go(f"{ui.address}/runs/flow-run/{run}")
    page.wait("Passed", "stress passed", within=PATIENCE)
    look(page, "passed")
    artifacts = ui.prefect.artifacts(run)
    page.go(f"{ui.address}/artifacts/artifact/{artifacts['report-deployed-tiny']['id']}")
    text = page.wait("The system holds.", "How to repeat it", within=PATIENCE)
    assert "|---|" not in text  # its tables are tables
    assert "![" not in text
    assert "```" not in text
    look(page, "report")
    page.go(f"{ui.address}/artifacts/artifact/{artifacts['thresholds-deployed-tiny']['id']}")
    page.wait("get.p95 < 2s", "✓ passed", within=PATIENCE)
    look(page, "thresholds")
    assert page.hosts == {"127.0.0.1"}
    assert ui.asked == []


def test_the_form_of_any_plan_is_clear(ui, page):
    """Each parameter stands there with its description and its type; what there is to choose from is a list."""
    deployment = ui.prefect.get("deployments/name/shakedown/plan")
    page.go(f"{ui.address}/deployments/deployment/{deployment['id']}/run")
    text = " ".join(page.wait("The plan, a YAML file", "A name for what is tested", within=PATIENCE).split())
    parameters = deployment["parameter_openapi_schema"]["properties"]
    for name, one in parameters.items():
        assert name in text
        assert one["description"].replace("`", "") in text, name
    assert page.run("document.querySelector('textarea').value") == "examples/courier/plan.yaml"
    assert page.run(_select("stress", [])) == list(STAGES)
    page.click("button", "smoke or nightly")
    page.wait("profile")
    assert [one for one in page.run(_select("smoke", ["smoke"])) if one] == ["smoke", "nightly"]
    page.click("button", "int")
    assert wait_for(lambda: page.run("document.querySelectorAll('input[type=number]').length"), 30)
    page.size(1280, 1500)  # all of it
    look(page, "form-filled")


def test_a_run_is_cancelled_by_the_button(ui, page, tmp_path, engine):
    """Pressed while a fault holds: it is reverted, the containers are gone, the results kept; Cancelled in the UI."""
    plan = tiny_plan(tmp_path, agent_image(engine), [{**PAUSE, "hold": "300s"}])
    runs: list[str] = []
    frozen = Frozen(engine, plan, ui.root, lambda: runs.append(trigger(page, ui, plan)))
    page.go(f"{ui.address}/runs/flow-run/{runs[0]}")
    page.wait("Running", "injected: service-pause on web", within=PATIENCE)
    look(page, "fault")
    page.click("button", "Cancel")
    page.wait("Cancel Flow Run")
    look(page, "cancel")

    def confirmed() -> bool:
        page.click("button", "Confirm")  # which still moves into its place when the dialog comes up
        return wait_for(lambda: "Cancel Flow Run" not in page.text, 5)

    assert wait_for(confirmed, 60)
    state = ui.prefect.wait(runs[0], within=PATIENCE)["state"]
    assert (state["type"], state["name"]) == ("CANCELLED", "Cancelled")
    page.wait("Cancelled", within=PATIENCE)
    look(page, "cancelled")
    frozen.gone()
    frozen.ended("interrupted")
    assert page.hosts == {"127.0.0.1"}
    assert ui.asked == []
