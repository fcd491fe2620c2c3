"""What the safety tests share: tiny plans, runs of them, and looks at the machine that no code of ours takes part in."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from shakedown.guard.journal import Intent, read_journal

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGE = (
    "python3 -c 'import http.server as h\n"
    "class H(h.BaseHTTPRequestHandler):\n"
    '  protocol_version = "HTTP/1.1"\n'
    '  def do_GET(self): self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()\n'
    "  def log_message(self, *a): pass\n"
    'h.ThreadingHTTPServer(("", 8000), H).serve_forever()\''
)


def service(image: str) -> dict[str, Any]:
    """A container that answers HTTP at port 8000."""
    return {
        "image": image, "entrypoint": ["sh", "-c", f"exec {PAGE}"], "ports": {"http": 8000}, "stop_grace": "1s",
        "limits": {"memory": "256MB"},
        "health": {"http": "http:/", "within": "60s", "timeout": "1s"},
    }  # fmt: skip


def tiny_plan(
    folder: Path, image: str, experiments: list[dict[str, Any]], *, rate: int = 20, warm_up: str = "2s", **stage: Any
) -> Path:
    """A plan with two containers, a light load and only a faults stage."""
    plan = {
        "version": 1,
        "name": "tiny",
        "services": {"web": {**service(image), "depends_on": ["other"]}, "other": service(image)},
        "scenarios": {
            "get": {
                "executor": {"type": "constant-arrival-rate", "rate": rate, "duration": "5s"},
                "http": {"target": "web.http", "requests": [{"name": "get", "get": "/", "timeout": "5s"}]},
            }
        },
        "stages": {
            "faults": {
                "load": "get", "warm_up": warm_up, "pause": "0.2s", "hold_window": "1s", "steady_within": "60s",
                "experiments": experiments, "tolerance": {"p95": 10, "p95_floor": "1500ms", "error_rate": "20%", "throughput": "60%"}, **stage,
            }
        },
    }  # fmt: skip
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return path


class Orchestrator:
    """A run in a process of its own, and what it says."""

    def __init__(self, plan: Path, root: Path, seed: int = 1, die_at: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "orchestrate.py"), str(plan), str(root), str(seed), *filter(None, [die_at])],
            stdout=subprocess.PIPE, stderr=(root.parent / "stderr.txt").open("w"), text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.errors = root.parent / "stderr.txt"
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        opened = self.until("open", 240)
        self.run, self.folder = str(opened["run"]), Path(opened["folder"])

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self._lines.put(json.loads(line))
        self._lines.put({"what": "ended"})

    def until(self, what: str, seconds: float = 120) -> dict[str, Any]:
        """Wait for a line."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no `{what}` within {seconds} s: {self.errors.read_text()}") from None
            if line["what"] == what:
                return line
            assert line["what"] != "ended", f"it ended before `{what}`: {self.errors.read_text()}"

    def family(self) -> list[psutil.Process]:
        """The process and its children: the load's workers."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def watchdog(self) -> psutil.Process:
        """The run's watchdog, by what it wrote into its log."""
        log = self.folder / "watchdog.log"
        assert wait_for(lambda: log.exists() and "as process" in log.read_text(), 20)
        return psutil.Process(int(log.read_text().split("as process ")[1].split()[0]))

    def kill(self) -> None:
        """End what is left of it, at the end of a test."""
        if self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for member in self.family():
                    member.kill()
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Whether something gets so in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def containers(engine: Any, run: str, **filters: str) -> list[Any]:
    """A run's containers; an agent's label with `agent=…`."""
    labels = [f"shakedown.run={run}", *(f"shakedown.{key}" for key in filters)]
    return list(engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True))


def leftovers(engine: Any, run: str, folder: Path) -> list[str]:
    """Everything of a run that is still there."""
    label = {"label": f"shakedown.run={run}"}
    found = [f"container {one.name} ({one.status})" for one in containers(engine, run)]
    found += [f"network {one.name}" for one in engine.networks.list(filters=label)]
    found += [f"volume {one.name}" for one in engine.volumes.list(filters=label)]
    contents = read_journal(folder / "journal.jsonl")
    found += [f"open intent: {intent.what}" for intent in contents.intents]
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if run in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"process {process.info['pid']}: {words[:120]}")
    return found


def clean_up(root: Path, run: str) -> subprocess.CompletedProcess[str]:
    """`shakedown cleanup`, of one run."""
    return subprocess.run(
        [sys.executable, "-c", "from shakedown.cli import main; main()", "cleanup", "--root", str(root), "--run", run],
        capture_output=True, text=True, timeout=180, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- what is not ours
class Bystanders:
    """A container, its network, a volume, packet rules in a namespace of its own, and a process; none of them ours."""

    def __init__(self, engine: Any, image: str, name: str) -> None:
        self._engine = engine
        self._network = engine.networks.create(name)
        self._volume = engine.volumes.create(name)
        self._container = engine.containers.run(
            image, ["infinity"], entrypoint=["sleep"], name=name, network=name, detach=True, cap_add=["NET_ADMIN"],
            volumes={name: {"bind": "/data", "mode": "rw"}},
        )  # fmt: skip
        rule = "INPUT -p tcp --dport 9 -m comment --comment shakedown-looks-like-ours -j DROP"
        script = f"for t in iptables-nft iptables-legacy; do $t -A {rule} && exit 0; done; exit 1"
        code, output = self._container.exec_run(["sh", "-c", script])
        assert code == 0, output
        self.process = subprocess.Popen(["sleep", "infinity"], start_new_session=True)

    def look(self) -> dict[str, Any]:
        """Everything about them that a careless clean-up would change."""
        self._container.reload()
        self._network.reload()
        state = self._container.attrs["State"]
        save = "for t in iptables-nft-save iptables-legacy-save; do $t 2>/dev/null | grep -v '^#'; done; ls -la /data"
        process = psutil.Process(self.process.pid)
        return {
            "state": {key: state[key] for key in ("Status", "Running", "Paused", "Pid", "StartedAt")},
            "restarts": self._container.attrs["RestartCount"],
            "network": sorted(self._network.attrs["Containers"]),
            "volume": self._engine.volumes.get(self._volume.name).attrs["Mountpoint"],
            "rules": self._container.exec_run(["sh", "-c", save])[1].decode(),
            "process": (process.create_time(), process.status()),
        }

    def remove(self) -> None:
        """Away with them."""
        self.process.kill()
        self.process.wait()
        self._container.remove(force=True)
        self._network.remove()
        self._volume.remove()


@contextlib.contextmanager
def orchestrated(plan: Path, root: Path, seed: int = 1, die_at: str = "") -> Iterator[Orchestrator]:
    """A run that is ended with the test, whatever happens in it."""
    orchestrator = Orchestrator(plan, root, seed, die_at)
    try:
        yield orchestrator
    finally:
        orchestrator.kill()


def open_faults(folder: Path) -> list[Intent]:
    """The faults that a run's journal still has to undo."""
    return [intent for intent in read_journal(folder / "journal.jsonl").intents if intent.kind == "fault"]
