"""Deployments on a real Prefect server, with a real worker."""

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from shakedown.results import Results, RunInfo
from shakedown.session.live import STAGES
from shakedown.verdict import Verdict
from tests.conftest import ROOT
from tests.e2e.deployed import Prefect
from tests.e2e.servers import BIN, client_environment, program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first pays for server, worker and deployments
PLAN = """\
version: 1
name: deployed_tiny
services:
  web: {{process: ["{python}", "{server}", "{{port.http}}", good], ports: {{http: 0}}, health: {{tcp: http}}}}
scenarios:
  get:
    executor: {{type: constant-arrival-rate, rate: 30, duration: 2s}}
    http: {{target: web.http, requests: [{{name: get, get: /, checks: [status == 200]}}]}}
stages:
  baseline: {{scenarios: [get], thresholds: [get.p95 < 2s, get.error_rate < 1%]}}
  stress: {{parallel: [{{use: get, rate: 40}}], thresholds: [get.p50 < 1s]}}
"""


@pytest.fixture(scope="module")
def prefect(_shared_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """What prefect.yaml's comments say to type, typed."""
    folder = tmp_path_factory.mktemp("worker")
    environment = client_environment(folder, _shared_server, PREFECT_WORKER_QUERY_SECONDS="1", NO_COLOR="1")
    server = Prefect(_shared_server, environment)
    server("work-pool", "create", "local", "--type", "process")
    worker = ("worker", "start", "--pool", "local", "--limit", "1")
    with program(*worker, env=environment, log=folder / "worker.log"):
        server("deploy", "--all", "--no-prompt")
        yield server


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    server = ROOT / "tests" / "integration" / "servers.py"
    path.write_text(PLAN.format(python=sys.executable, server=server))
    return path


def newest(root: Path) -> tuple[Results, RunInfo]:
    """The newest run in the database under `root`."""
    results = Results.open(root)
    return results, results.run("last")


def conclusions(root: Path) -> dict:
    """All of a run that does not depend on the moment it was made."""
    results, run = newest(root)
    return {
        "verdict": (run.verdict, run.status, run.exit_code, run.reason),
        "plan": (run.plan, run.plan_digest, run.profile, run.overrides, run.seed, run.planned),
        "stages": [(stage.name, stage.verdict, stage.reason) for stage in results.stages(run.id)],
        "thresholds": [
            (stage, item.text, item.verdict, item.samples, item.limit) for stage, _, item in results.thresholds(run.id)
        ],
        "loads": [(load.stage, load.load, load.counts.scheduled) for load in results.loads(run.id)],
        "findings": results.findings(run.id),
    }


def test_deployments_are_as_prefect_yaml_says(prefect):
    """All are there; nightly alone is scheduled; each takes one run at a time, checks its parameters and has a clear form."""
    wanted = {one["name"]: one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    assert {"smoke", "nightly", "plan", *STAGES} == set(wanted)
    found = {one["name"]: one for one in prefect.post("deployments/filter", {})}
    assert set(found) == set(wanted)
    schedules = {name: [(s["schedule"]["cron"], s["active"]) for s in it["schedules"]] for name, it in found.items()}
    assert schedules == {name: [("0 2 * * *", True)] if name == "nightly" else [] for name in found}
    for name, it in found.items():
        assert it["description"] == wanted[name]["description"]
        assert it["parameters"] == wanted[name]["parameters"]
        assert it["global_concurrency_limit"]["limit"] == 1
        assert it["enforce_parameter_schema"]
        assert it["job_variables"]["env"]["DO_NOT_TRACK"] == "1"
    properties = found["plan"]["parameter_openapi_schema"]["properties"]
    assert list(properties) == ["plan", "profile", "stages", "overrides", "root", "seed", "build"]
    assert all(len(it["description"]) > 20 for it in properties.values())
    assert properties["profile"]["anyOf"][0]["enum"] == ["smoke", "nightly"]
    assert properties["stages"]["items"]["enum"] == list(STAGES)


@pytest.mark.parametrize("wrong", [{"seed": "not a number"}, {"stages": ["strss"]}, {"plan": ""}])
def test_a_wrong_parameter_is_refused_before_anything_starts(prefect, wrong):
    """The server itself says no: there is no run."""
    with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
        prefect.start(**wrong)


def test_a_deployment_gives_what_the_command_line_gives(prefect, plan, tmp_path):
    """`prefect deployment run` and `shakedown run` of one plan and seed come to the same conclusions."""
    parameters = {"plan": str(plan), "profile": None, "root": str(tmp_path / "deployed"), "seed": 7}
    out = prefect("deployment", "run", "shakedown/smoke", "--params", json.dumps(parameters), "--watch")
    assert "Completed" in out
    command = [str(BIN / "shakedown"), "run", str(plan), "--root", str(tmp_path / "typed"), "--seed", "7"]
    # On the same server: whether the command line's own one comes up is tested elsewhere, and takes its time.
    done = subprocess.run(command, env=prefect.environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert conclusions(tmp_path / "deployed") == conclusions(tmp_path / "typed")

    named = {"name": {"any_": [tmp_path.name]}, "deployment_id": {"is_null_": False}}
    (run,) = prefect.post("flow_runs/filter", {"flow_runs": named})
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Passed")
    artifacts = prefect.artifacts(run["id"])
    assert set(artifacts) == {f"{kind}-deployed-tiny" for kind in ("progress", "thresholds", "report")}
    assert artifacts["progress-deployed-tiny"]["data"] == 100
    rows = json.loads(artifacts["thresholds-deployed-tiny"]["data"])
    assert [row["threshold"] for row in rows][:2] == ["get.p95 < 2s", "get.error_rate < 1%"]
    assert {row["verdict"] for row in rows} == {"✓ passed"}
    report = artifacts["report-deployed-tiny"]["data"]
    assert report.splitlines()[0].endswith("✓ passed")
    assert "](charts/" not in report  # the server has no files of the worker's
    assert f"`{tmp_path / 'deployed'}" in report


def test_a_breach_is_failed_with_its_reason(prefect, plan, tmp_path):
    """A broken limit is a Failed state that says which, not a crash; so is a plan that is wrong."""
    change = "scenarios.get.http.requests.0.checks=[status == 201]"
    breached = prefect.start(plan=str(plan), root=str(tmp_path / "results"), overrides=[change])
    wrong = prefect.start(
        plan=str(plan), root=str(tmp_path / "none"), overrides=["stages.stress.parallel.0.use=nobody"]
    )
    state = prefect.wait(breached)["state"]
    assert (state["type"], state["name"]) == ("FAILED", "Failed")
    assert "get.error_rate < 1%: 100 %" in state["message"]
    assert newest(tmp_path / "results")[1].verdict == "failed"
    state = prefect.wait(wrong)["state"]
    assert (state["type"], state["name"]) == ("FAILED", "Error")
    assert "nobody" in state["message"]


def test_a_cancelled_run_is_interrupted_and_leaves_nothing(prefect, plan, tmp_path):
    """Cancelled from the command line: services gone, journal struck out, `interrupted` with what it had measured."""
    root = tmp_path / "results"
    run = prefect.start(plan=str(plan), root=str(root), overrides=["scenarios.get.executor.duration=120s"])
    until = time.monotonic() + 150
    while "progress-deployed-tiny" not in prefect.artifacts(run):  # the first stage begins
        assert time.monotonic() < until, prefect.get(f"flow_runs/{run}")["state"]
        time.sleep(0.2)
    services = [p for p in psutil.process_iter() if _is_service(p, tmp_path)]
    prefect("flow-run", "cancel", run)
    state = prefect.wait(run)["state"]
    assert (state["type"], state["name"]) == ("CANCELLED", "Cancelled")
    results, found = newest(root)
    assert (found.status, found.verdict, found.exit_code) == ("interrupted", None, 130)
    assert results.stages(found.id)[0].name == "baseline"
    assert services
    assert not [process for process in services if process.is_running()]
    journal = next((root / "runs").iterdir()) / "journal.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines() if line.strip()]
    assert {entry["intend"]["id"] for entry in entries if "intend" in entry} == {
        entry["strike"] for entry in entries if "strike" in entry
    }


def _is_service(process: psutil.Process, folder: Path) -> bool:
    """Whether the process is the service of the plan in this folder."""
    try:
        return any("servers.py" in part for part in process.cmdline()) and Path(process.cwd()) == folder
    except psutil.Error:
        return False


def test_a_run_that_did_not_pass_can_be_raised_and_sent():
    """What a calling flow gets says the reason, and survives the way between processes."""
    from flows.pipeline import RunNotPassed, RunSummary

    ended = RunNotPassed("run-1", Verdict.FAILED, "get.p95 < 1s: 2 s", None, 1)
    assert isinstance(ended, RunSummary)
    with pytest.raises(RunNotPassed, match=r"failed: get\.p95 < 1s: 2 s"):
        raise pickle.loads(pickle.dumps(ended))  # noqa: S301  # its own
