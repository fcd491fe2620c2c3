"""The journal, the watchdog and clean-up, with what they guard against happening for real."""

import contextlib
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import docker
import psutil
import pytest

from shakedown.errors import GuardError
from shakedown.guard import CleanupReport, Journal, Owner, Watchdog, carry_out, cleanup
from shakedown.guard.cleanup import remove_labelled
from shakedown.guard.identity import born
from shakedown.guard.journal import read_journal
from shakedown.guard.labels import RunLabels
from shakedown.guard.undo import ContainerRemove, ContainerUnpause, ProcessKill

pytestmark = pytest.mark.integration

# A run that starts a container, pauses it, and then sleeps, waiting to be killed.
ORCHESTRATOR = """
import sys, time, pathlib, docker
from shakedown.guard import Journal, Watchdog
from shakedown.guard.labels import RunLabels
from shakedown.guard.undo import ContainerRemove, ContainerUnpause
run, folder, deadline = sys.argv[1], pathlib.Path(sys.argv[2]), float(sys.argv[3])
journal = Journal(folder / "journal.jsonl", run=run, plan="p")
watchdog = Watchdog.start(folder, run, heartbeat=3)
client = docker.from_env()
journal.intend("container", "container", ContainerRemove(container=run))
client.containers.run("debian:bookworm-slim", ["sleep", "300"], name=run, detach=True,
                      labels=RunLabels(run, "p", str(journal.owner)).of())
journal.intend("fault", "pause", ContainerUnpause(container=run), time.time() + deadline if deadline else None)
client.containers.get(run).pause()
print("paused", flush=True)
time.sleep(120)
"""


def start(run: str, folder: Path, deadline: float = 0) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", ORCHESTRATOR, run, str(folder), str(deadline)],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "paused\n"
    return process


def until(condition, seconds=30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


def exists(engine, name) -> bool:
    return bool(engine.containers.list(all=True, filters={"name": name}, ignore_removed=True))


def test_kill_9_leaves_nothing(engine, run_name, tmp_path):
    """Kill -9 of the whole process tree: the watchdog takes the pause and the container back."""
    process = start(run_name, tmp_path)
    for member in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        member.kill()
    process.wait()
    assert until(lambda: not exists(engine, run_name))
    assert until(lambda: not read_journal(tmp_path / "journal.jsonl").intents)
    assert "the run's process is gone" in (tmp_path / "watchdog.log").read_text()


def test_a_frozen_run_is_undone(engine, run_name, tmp_path):
    """SIGSTOP of the run: without a heartbeat everything is taken back."""
    process = start(run_name, tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert until(lambda: not exists(engine, run_name))
        assert "no sign of life" in (tmp_path / "watchdog.log").read_text()
    finally:
        process.kill()
        process.wait()


def test_a_late_fault_is_undone_while_the_run_goes_on(engine, run_name, tmp_path):
    """A fault past its deadline is reverted; the container stays, because the run lives."""
    process = start(run_name, tmp_path, deadline=1)
    try:
        assert until(lambda: engine.containers.get(run_name).status == "running")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert until(lambda: not exists(engine, run_name))


def test_what_an_orderly_end_left_open_is_taken_back(engine, run_name, tmp_path):
    """A run that ends by itself but could not prove that a fault is gone: the watchdog takes it back, and says so."""
    journal = Journal(tmp_path / "journal.jsonl", run=run_name, plan="p")
    watchdog = Watchdog.start(tmp_path, run_name, heartbeat=30)
    labels = RunLabels(run_name, "p", str(journal.owner)).of()
    container = engine.containers.run(
        "debian:bookworm-slim", ["sleep", "300"], name=run_name, detach=True, labels=labels
    )
    journal.intend("fault", "pause", ContainerUnpause(container=container.id))
    container.pause()
    journal.close()
    watchdog.close()
    assert until(lambda: not exists(engine, run_name))
    assert until(lambda: not read_journal(tmp_path / "journal.jsonl").intents)
    assert "the run ended with 1 step(s) not taken back" in (tmp_path / "watchdog.log").read_text()


def test_cleanup_after_watchdog_and_run_are_killed(engine, run_name, tmp_path):
    """Both killed at once: `cleanup` takes everything back, and a bystander stays."""
    folder = tmp_path / "runs" / run_name
    folder.mkdir(parents=True)
    bystander = engine.containers.run("debian:bookworm-slim", ["sleep", "300"], detach=True)
    try:
        process = start(run_name, folder)
        log = folder / "watchdog.log"
        assert until(log.exists)
        watchdog = int(log.read_text().split("as process ")[1].split()[0])
        os.kill(watchdog, signal.SIGKILL)
        process.kill()
        process.wait()
        assert exists(engine, run_name)
        report = cleanup(tmp_path / "runs", engine, run=run_name)
        assert report.failed == []
        assert not exists(engine, run_name)
        bystander.reload()
        assert bystander.status == "running"
        again = cleanup(tmp_path / "runs", engine, run=run_name)
        assert (again.done, again.failed) == ([], [])
    finally:
        bystander.remove(force=True)


def test_live_runs_are_left_alone(engine, run_name, tmp_path):
    """Clean-up never touches a run whose process lives."""
    folder = tmp_path / "runs" / run_name
    folder.mkdir(parents=True)
    process = start(run_name, folder)
    try:
        report = cleanup(tmp_path / "runs", engine)
        assert report.live == [run_name]
        assert engine.containers.get(run_name).status == "paused"
    finally:
        process.kill()
        process.wait()
    assert until(lambda: not exists(engine, run_name))


def test_no_undo_on_disk_no_deed(tmp_path):
    """A journal that cannot be written refuses before anything is done."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal.jsonl", run="r", plan="p")
    code = (
        "import resource, sys, pathlib; from shakedown.guard import Journal; from shakedown.errors import GuardError;"
        "from shakedown.guard.undo import ContainerRemove; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "journal = Journal(pathlib.Path(sys.argv[1]), run='r', plan='p');"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (pathlib.Path(sys.argv[1]).stat().st_size + 20,) * 2)\n"
        "try: journal.intend('fault', 'x', ContainerRemove(container='x'))\n"
        "except GuardError as error: print('refused', journal.open_intents())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j.jsonl")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "refused []\n", done.stderr


def test_a_torn_line_is_never_written(tmp_path):
    """What a crash tore in two is passed over; open intents come newest first."""
    journal = Journal(tmp_path / "j.jsonl", run="r", plan="p")
    first = journal.intend("a", "first", ContainerRemove(container="1"))
    second = journal.intend("a", "second", ContainerUnpause(container="2"))
    third = journal.intend("a", "third", ContainerRemove(container="3"))
    journal.strike(third.id)
    with (tmp_path / "j.jsonl").open("a") as file:
        file.write('{"intend": {"id": "torn", "ki')
    contents = read_journal(tmp_path / "j.jsonl")
    assert [intent.id for intent in contents.intents] == [second.id, first.id]
    assert contents.unreadable == 1
    assert contents.owner == Owner.current()


def test_undo_never_hits_a_reused_pid():
    """A process of the same number but another creation time is left alone."""
    with subprocess.Popen(["sleep", "60"]) as process:
        created = born(process.pid)
        assert "another one" in carry_out(ProcessKill(pid=process.pid, created=created - 100), None)
        assert process.poll() is None
        assert "ended" in carry_out(ProcessKill(pid=process.pid, created=created), None)
    assert "gone" in carry_out(ProcessKill(pid=process.pid, created=created), None)


def test_undo_copes_with_missing_targets(engine):
    """Taking back what is gone already is no error."""
    assert "gone" in carry_out(ContainerRemove(container="shakedown-no-such"), engine)
    assert "gone" in carry_out(ContainerUnpause(container="shakedown-no-such"), engine)
    assert CleanupReport().failed == []


def test_an_engine_that_answers_too_late_is_asked_again(tmp_path):
    """What a busy engine does not answer in time is told as not done, and the rest is done: no exception ends a watchdog."""
    asked: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def address_string(self):
            return "engine"

        def log_message(self, *_):
            pass

        def do_GET(self):
            asked.append(self.path)
            if "/containers/" in self.path:
                time.sleep(2.5)
            body = b'{"Volumes": []}' if "/volumes" in self.path else b"[]"
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "engine.sock"), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = docker.DockerClient(base_url=f"unix://{tmp_path}/engine.sock", version="1.41", timeout=1)
        report = CleanupReport()
        remove_labelled(client, report, run="some-run", force=True)
        server.shutdown()
    assert report.done == []
    (told,) = report.failed
    assert told.startswith("containers cannot be listed")
    assert any("/networks" in path for path in asked)
    assert any("/volumes" in path for path in asked)
