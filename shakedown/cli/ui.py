"""`shakedown ui`: Prefect's server, the deployments and a worker, from one command until Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import psutil
from rich.markup import escape

from shakedown.cli.console import err, out
from shakedown.cli.deployments import deployments_of
from shakedown.errors import ShakedownError, UsageError
from shakedown.plan.hosts import is_loopback

__all__ = ["serve_ui"]

POOL = "local"
START_LIMIT = 300.0  # seconds: on a busy machine Prefect's server takes its time; one that ends is noticed at once
RUN_GRACE = 60.0  # for a run that is ended: it reverts its fault, stops its load, removes its containers
PROGRAM_GRACE = 20.0
LOOK_AGAIN = 0.3
LOG_LINES = 15


@dataclass(slots=True)
class _Program:
    """One of Prefect's programs, ours to end."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def check(self) -> None:
        """Raise when it has ended.

        Raises:
            ShakedownError: with the last lines of its log.
        """
        if self.process.poll() is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            raise ShakedownError(
                f"Prefect's {self.name} ended with {self.process.returncode}",
                hint=f"its log is {self.log}",
                details=lines,
            )


@dataclass(slots=True)
class _Stop:
    """Whether somebody wants us to end: once in order, twice at once."""

    asked: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *_: object) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()

    def wait(self, seconds: float) -> bool:
        return self.asked.wait(seconds)


class _Ended(Exception):  # noqa: N818 - no error: somebody wanted it
    """We are to end."""


def serve_ui(host: str, port: int, root: Path, project: Path) -> None:
    """Start what is not there yet, print the address, and stay until interrupted; then end what was started here.

    Args:
        project: the folder of the plans. The deployments of its prefect.yaml are made where they are ours; else those of
            any plan, and of each that lies in it.

    Raises:
        UsageError: prefect.yaml cannot be read; the address is taken by something else.
        ShakedownError: a program of Prefect's did not start, or ended.
    """
    folder = root.resolve() / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - what others may reach, we reach here
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    environment = _environment(f"{address}/api", folder)
    if not is_loopback(host):
        err.print(
            "[yellow]warning:[/] Prefect's server asks nobody who they are: whoever reaches "
            f"{escape(host)}:{port} can run programs on this machine"
        )
    stop = _Stop()
    with _signals(stop), _ending(stop) as started, contextlib.suppress(_Ended):
        _serve(started, address, (host, port), folder, environment, stop, project)


def _serve(
    started: list[_Program], address: str, listen: tuple[str, int], folder: Path, environment: dict[str, str],
    stop: _Stop, project: Path,
) -> None:  # fmt: skip
    api = f"{address}/api"
    if _is_prefect(api):
        err.print(f"a Prefect server answers at {address} already: using it, and leaving it alone afterwards")
    else:
        err.print("starting Prefect's server")
        where = ("--host", listen[0], "--port", str(listen[1]))
        server = _start("server", ["server", "start", *where], folder, environment, project)
        started.append(server)
        _until(lambda: _is_prefect(api), "Prefect's server does not answer", stop, server)
    _make_pool(api)
    _deploy(environment, project, folder, stop)
    if _workers_online(api):
        err.print(f"a worker of the pool `{POOL}` is online already: starting none")
    else:
        err.print("starting a worker")
        command = ["worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
        worker = _start("worker", command, folder, environment, project)
        started.append(worker)
        _until(lambda: _workers_online(api) > 0, "the worker does not come up", stop, worker)
    err.print("telemetry is off, and nothing here calls the internet")
    out.print(address, markup=False, emoji=False)
    sys.stdout.flush()
    if not started:
        err.print("everything was there already: nothing to wait for")
        return
    err.print(f"logs and the server's database are in {escape(str(folder))}; Ctrl-C ends it")
    while not stop.wait(1.0):
        for program in started:
            program.check()


def _environment(api: str, folder: Path) -> dict[str, str]:
    """What Prefect's programs run with: nothing of another server's, nothing sent to anybody."""
    ours = {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(folder),
        "SHAKEDOWN_ROOT": str(folder.parent),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The newer of Prefect's two UIs asks a service of statistics for its settings, though telemetry is off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": "/api",  # as the browser reached the page, by whatever name
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
    }
    return {"PREFECT_WORKER_QUERY_SECONDS": "3", **os.environ, **ours}


def _start(name: str, arguments: list[str], folder: Path, environment: Mapping[str, str], project: Path) -> _Program:
    """Start one in a session of its own: Ctrl-C is ours to hand on, in the right order."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        return _Program(name, _spawn(arguments, output, environment, project), log)


def _spawn(
    arguments: list[str], output: IO[bytes], environment: Mapping[str, str], project: Path
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - Prefect, in our own interpreter
        [sys.executable, "-m", "prefect", *arguments],
        cwd=project,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _until(true: Callable[[], bool], words: str, stop: _Stop, program: _Program) -> None:
    until = time.monotonic() + START_LIMIT
    while not true():
        program.check()
        if stop.wait(LOOK_AGAIN):
            raise _Ended
        if time.monotonic() > until:
            raise ShakedownError(f"{words} after {START_LIMIT:.0f} s", hint=f"its log is {program.log}")


def _ask(method: str, url: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
    with httpx.Client(timeout=30, trust_env=False) as client:  # no proxy stands before a server of our own
        return client.request(method, url, json=body)


def _is_prefect(api: str) -> bool:
    """Whether a Prefect server answers there.

    Raises:
        UsageError: something else does.
    """
    try:
        answer = _ask("GET", f"{api}/health")
    except httpx.TransportError:
        return False
    try:
        healthy = answer.status_code == httpx.codes.OK and answer.json() is True
    except ValueError:
        healthy = False
    if not healthy and answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
        raise UsageError(f"{api}: what answers there is no Prefect server", hint="choose another --port")
    return healthy


def _make_pool(api: str) -> None:
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    pool = {"name": POOL, "type": "process", "base_job_template": template, "concurrency_limit": 1}
    answer = _ask("POST", f"{api}/work_pools/", pool)
    if answer.status_code != httpx.codes.CONFLICT:  # it is there
        _check(answer, "make a work pool")


def _workers_online(api: str) -> int:
    answer = _ask("POST", f"{api}/work_pools/{POOL}/workers/filter", {"workers": {"status": {"any_": ["ONLINE"]}}})
    return len(_check(answer, "list its workers").json())


def _check(answer: httpx.Response, what: str) -> httpx.Response:
    if answer.is_error:
        raise ShakedownError(f"Prefect's server does not {what}: {answer.status_code} {answer.text[:300]}")
    return answer


def _deploy(environment: Mapping[str, str], project: Path, folder: Path, stop: _Stop) -> None:
    file, plans = deployments_of(project, folder)
    if file.parent != folder:
        err.print("making the deployments of prefect.yaml")
    else:
        err.print("there are no deployments of Shakedown's in this folder: making one that takes any plan")
        err.print("and one for each plan here: " + escape(", ".join(plans)) if plans else
                  "no plan is here: `shakedown init` writes a first one; then start this again, or name it in the form")  # fmt: skip
        environment = {**environment, "PYTHONSAFEPATH": "1"}  # as their runs have it
    log = folder / "deploy.log"
    with log.open("wb") as output:
        process = _spawn(["deploy", "--all", "--no-prompt", "--prefect-file", str(file)], output, environment, project)
        try:
            while process.poll() is None:
                if stop.wait(LOOK_AGAIN):
                    raise _Ended
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        raise ShakedownError(f"the deployments of {file} could not be made", hint=f"see {log}", details=lines)


# ------------------------------------------------------------------------------------------------------------- the end
@contextlib.contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _ending(stop: _Stop) -> Iterator[list[_Program]]:
    """What is put into the list is ended afterwards, whatever happens: runs, then worker, then server."""
    started: list[_Program] = []
    try:
        yield started
    finally:
        for program in reversed(started):
            if program.name == "worker":
                _end_runs(program, stop)
            _end(program, stop)


def _end_runs(worker: _Program, stop: _Stop) -> None:
    """Ask runs to end in order, while the server is still there to be told."""
    try:
        runs = psutil.Process(worker.process.pid).children()
    except psutil.Error:
        return
    if not runs:
        return
    err.print(
        f"ending {len(runs)} run{'s' if len(runs) > 1 else ''}: faults are reverted, services removed (Ctrl-C again: at once)"
    )
    for run in runs:
        with contextlib.suppress(psutil.Error):
            run.terminate()
    until = time.monotonic() + RUN_GRACE
    while time.monotonic() < until and not stop.hurry.wait(LOOK_AGAIN):
        _, runs = psutil.wait_procs(runs, timeout=0)
        if not runs:
            return
    for run in runs:  # the run's watchdog takes back what it leaves
        with contextlib.suppress(psutil.Error):
            run.kill()


def _end(program: _Program, stop: _Stop) -> None:
    process = program.process
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        family = []
    process.terminate()
    until = time.monotonic() + PROGRAM_GRACE
    while process.poll() is None and time.monotonic() < until and not stop.hurry.wait(LOOK_AGAIN):
        pass
    if process.poll() is None:
        process.kill()
    process.wait()
    for member in psutil.wait_procs(family, timeout=0 if stop.hurry.is_set() else 3)[1]:
        with contextlib.suppress(psutil.Error):
            member.kill()
