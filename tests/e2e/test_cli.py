"""The command line as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from benchmarks.plan_runs import newest_summary
from shakedown.services.ports import free_port
from tests.conftest import COURIER, ROOT

pytestmark = pytest.mark.e2e
SHAKEDOWN = Path(sys.executable).with_name("shakedown")


def shakedown(*arguments, cwd=None, env=None) -> subprocess.CompletedProcess:
    environment = {**os.environ, **(env or {})}
    return subprocess.run([str(SHAKEDOWN), *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=280, check=False)  # fmt: skip


def cpu_time(*command) -> float:
    """CPU seconds of a program; least of three, as other load only adds."""
    times = []
    for _ in range(3):
        with psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
        times.append(usage.ru_utime + usage.ru_stime)
    return min(times)


def test_help_is_quick():
    """`--help` takes less than a third of what importing Prefect takes."""
    assert (
        cpu_time(str(SHAKEDOWN), "--help")
        < cpu_time(sys.executable, "-c", "import prefect, prefect.flows, prefect.tasks; prefect.flow") / 3
    )


def test_mistakes_end_with_2_and_without_a_traceback(tmp_path):
    """A wrong plan, option or run is told in a sentence."""
    (tmp_path / "plan.yaml").write_text("version: 1\nname: x\nstagess: {}\n")
    for arguments in (
        ("validate", "plan.yaml"),
        ("run", "plan.yaml"),
        ("validate", "none.yaml"),
        ("report", "nope"),
        ("report", "--json", "--terminal"),
        ("run",),
        ("run", "plan.yaml", "--junit", "no/such/folder.xml"),
    ):
        done = shakedown(*arguments, cwd=tmp_path)
        assert done.returncode == 2, (arguments, done)
        assert "Traceback" not in done.stderr + done.stdout
        assert done.stderr.strip()


def test_init_does_not_overwrite(tmp_path):
    """A file that is there stays as it is."""
    assert shakedown("init", cwd=tmp_path).returncode == 0
    assert shakedown("init", cwd=tmp_path).returncode == 2


PLAN = """\
version: 1
name: tiny
services:
  web: {{process: ["{python}", "{server}", "{{port.http}}", good], ports: {{http: 0}}, health: {{tcp: http}}}}
scenarios:
  get:
    executor: {{type: constant-arrival-rate, rate: 50, duration: 3s}}
    http: {{target: web.http, requests: [{{name: get, get: /, checks: [status == {status}]}}]}}
stages:
  baseline: {{scenarios: [get], thresholds: [get.p95 < 2s, get.error_rate < 1%]}}
  stress: {{parallel: [{{use: get, rate: 100}}]}}
"""


def plan(tmp_path: Path, status: int = 200) -> None:
    server = ROOT / "tests" / "integration" / "servers.py"
    (tmp_path / "plan.yaml").write_text(PLAN.format(python=sys.executable, server=server, status=status))


def test_a_small_run_passes(tmp_path):
    """A plan without containers runs to its verdict; report and summary say the same; the run can be shown again."""
    plan(tmp_path)
    for name in ("mail.html.j2", "line.txt.j2"):  # of the plan, and of the command
        (tmp_path / name).write_text("{{ plan }} {{ verdict }} {{ loads|length }}")
    with (tmp_path / "plan.yaml").open("a") as file:
        file.write("report: {templates: [mail.html.j2]}\n")
    files = ("--junit", "out.xml", "--summary", "out.md", "--template", "line.txt.j2")
    done = shakedown("run", "plan.yaml", *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.startswith("✓ passed")
    folder = next((tmp_path / ".shakedown" / "runs").iterdir()) / "report"
    assert (tmp_path / "out.xml").read_bytes() == (folder / "junit.xml").read_bytes()
    assert (tmp_path / "out.md").read_text().startswith("## tiny: ✓ passed")
    assert {(folder / name).read_text() for name in ("mail.html", "line.txt")} == {"tiny passed 2"}
    assert {file.name for file in folder.iterdir()} >= {
        "report.md",
        "report.html",
        "summary.md",
        "summary.json",
        "junit.xml",
    }
    summary = json.loads(shakedown("report", "last", "--json", cwd=tmp_path).stdout)
    assert (summary["verdict"], summary["status"], summary["exit_code"]) == ("passed", "finished", 0)
    assert [stage["verdict"] for stage in summary["stages"]] == ["passed", "passed", "skipped", "skipped", "skipped"]
    assert {(item["text"], item["verdict"]) for item in summary["thresholds"]} >= {
        ("get.p95 < 2s", "passed"),
        ("get.error_rate < 1%", "passed"),
    }
    assert "passed" in shakedown("runs", cwd=tmp_path).stdout


@pytest.mark.usefixtures("shared_server")
def test_a_failing_baseline_stops_the_run(tmp_path):
    """Run by the script of the GitHub action: exit 1, the later stages skipped with the reason, the breach annotated."""
    plan(tmp_path, status=201)
    step = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"][1]
    (tmp_path / "temp" / "shakedown").mkdir(parents=True)
    (tmp_path / "temp" / "shakedown" / "bin").symlink_to(SHAKEDOWN.parent)
    given = {
        "PLAN": "plan.yaml",
        "PROFILE": "",
        "OPTIONS": "--seed 7",
        "SHAKEDOWN_ROOT": ".shakedown",
        "ALLOW": "false",
    }
    assert set(step["env"]) == set(given)
    files = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "step.md"}
    environment = {
        **os.environ, **given, **{name: str(tmp_path / file) for name, file in files.items()},
        "RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_ACTIONS": "true",
    }  # fmt: skip
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, timeout=280, check=False)  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "get.error_rate < 1%: 100 %" in done.stdout
    assert (
        "::error file=plan.yaml,line=10,title=baseline%3A get.error_rate < 1%25::failed: measured 100 %25"
        in done.stdout
    )
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert outputs["verdict"] == "failed"
    assert (tmp_path / outputs["report"] / "report.html").is_file()
    assert (tmp_path / "step.md").read_text().startswith("## tiny: ✗ failed")
    assert (tmp_path / "shakedown-junit.xml").is_file()
    summary = newest_summary(tmp_path / ".shakedown")
    assert [stage["verdict"] for stage in summary["stages"]] == ["failed", "skipped", "skipped", "skipped", "skipped"]
    assert "the baseline failed" in summary["stages"][1]["reason"]


@pytest.mark.usefixtures("shared_server")
def test_a_threshold_ends_its_load(tmp_path):
    """A breach of a threshold with `abort` stops the load at once and fails the run by that threshold."""
    plan(tmp_path, status=201)
    text = (tmp_path / "plan.yaml").read_text()
    text = text.replace("get.error_rate < 1%]", "get.error_rate < 10% abort after 1s]").replace("3s}", "60s}")
    (tmp_path / "plan.yaml").write_text(text)
    done = shakedown("run", "plan.yaml", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    summary = newest_summary(tmp_path / ".shakedown")
    assert 1 <= summary["stages"][0]["seconds"] < 30
    (threshold,) = [item for item in summary["thresholds"] if item["verdict"] == "failed"]
    assert threshold["text"].startswith("get.error_rate < 10%")
    assert "stopped" in threshold["reason"]


@pytest.mark.usefixtures("shared_server")
def test_a_service_that_is_not_there_is_exit_4(tmp_path):
    """What never gets healthy could not be run."""
    (tmp_path / "plan.yaml").write_text(
        f'version: 1\nname: x\nservices: {{a: {{url: "http://127.0.0.1:{free_port()}", health: {{http: "http:/", within: 1s}}}}}}\n'
        "scenarios: {s: {executor: {type: constant-vus, vus: 1, duration: 1s}, http: {target: a.http, requests: [{name: r, get: /}]}}}\n"
        "stages: {baseline: {scenarios: [s]}}\n"
    )
    done = shakedown("run", "plan.yaml", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "did not get healthy within 1 s" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_measured(tmp_path, number):
    """Ctrl-C or SIGTERM: exit 130, services stopped, the run is there as interrupted."""
    plan(tmp_path)
    command = [str(SHAKEDOWN), "run", "plan.yaml", "--set", "scenarios.get.executor.duration=60s"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "answers/s" in line:
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    summary = newest_summary(tmp_path / ".shakedown")
    assert summary["status"] == "interrupted"
    assert summary["verdict"] is None
    journal = next((tmp_path / ".shakedown" / "runs").iterdir()) / "journal.jsonl"
    entries = [json.loads(line) for line in journal.read_text().split("\n") if line]
    assert {entry["intend"]["id"] for entry in entries if "intend" in entry} == {
        entry["strike"] for entry in entries if "strike" in entry
    }


def test_kill_9_in_the_faults_stage(engine, tmp_path):
    """Kill -9 of the whole tree: nothing of the run stays, and it is `interrupted` with what it had measured."""
    command = [str(SHAKEDOWN), "run", str(COURIER), "--set", "stages.baseline=null", "--set", "stages.stress=null",
               "--set", "stages.endurance=null", "--set", "stages.recovery=null"]  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stderr:
            if "injected: service-kill" in line:
                break
        for member in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            member.kill()
    run = next((tmp_path / ".shakedown" / "runs").iterdir()).name
    filters = {"label": f"shakedown.run={run}"}
    until = time.monotonic() + 60
    while engine.containers.list(all=True, filters=filters, ignore_removed=True) or engine.networks.list(
        filters=filters
    ):
        assert time.monotonic() < until, (tmp_path / ".shakedown" / "runs" / run / "watchdog.log").read_text()
        time.sleep(0.5)
    assert shakedown("cleanup", cwd=tmp_path).returncode == 0
    summary = json.loads(shakedown("report", "--json", cwd=tmp_path).stdout)
    assert summary["status"] == "interrupted"
    assert summary["experiments"][0]["name"] == "redis killed"


def test_watch_looks_at_what_runs(tmp_path):
    """Figures of a process and of the host, a line of JSON for each look; what is not there is a mistake of the user's."""
    done = shakedown("watch", "--pid", str(os.getpid()), "--every", "300ms", "--for", "1s", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) >= 2
    assert rounds[-1][f"process {os.getpid()}"]["memory"] > 1e6
    assert "context_switches/s" in rounds[-1][f"process {os.getpid()}"]
    assert "cpu" in rounds[-1]["host"]
    for wrong in (["--pid", "999999999"], ["--every", "soon"], ["--prometheus", "http://127.0.0.1:1/metrics"]):
        done = shakedown("watch", *wrong, "--for", "1s", cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
