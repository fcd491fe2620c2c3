"""Where a suite runs: on this machine, or inside a container."""

import contextlib
import io
import os
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from shakedown.errors import GuardError, SuiteError
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.process import start_program
from shakedown.guard.undo import ContainerExec, carry_out
from shakedown.plan.services import DockerService
from shakedown.plan.suites import Suite
from shakedown.services import System
from shakedown.services.docker import ContainerRunner
from shakedown.suites.memory import PeakMemory, waiter

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["Here", "Inside", "Place", "place_of"]

LOOK_EVERY = 0.25
FOREIGN = ("PYTEST_", "COV_CORE", "COVERAGE_")  # settings of a pytest that we run under: not for the suite
# Run with the command as arguments: its process group is written down, by which all of it can be ended.
# A program that is still on its way when it is ended finds that out: by the note, or because its folder is gone.
_STARTER = 'echo $$ > "$0/group" || exit 137; [ -e "$0/over" ] && exit 137; exec "$@"'
_ENDER = ': > "$0/over"; p=$(cat "$0/group" 2>/dev/null) && kill -9 -"$p" 2>/dev/null; true'
_REMOVER = 'p=$(cat "$0/group" 2>/dev/null); rm -rf "$0"; [ -n "$p" ] && kill -9 -"$p" 2>/dev/null; true'
_IDLE = "trap 'exit 0' TERM; while :; do sleep 1; done"
EXIT_WITHIN = 10.0
_WELL: set[tuple[str, ...]] = set()  # checks of `Here.lacks` that ended well


class Place(Protocol):
    """Somewhere to run a program.

    Attributes:
        peak_memory: of the program and all its children; 0 where it is not known.
    """

    peak_memory: PeakMemory

    def prepare(self, plugin: Path) -> tuple[str, str]:
        """Make our plugins and a folder for what they write available; their paths there."""

    def variable(self, name: str) -> str:
        """A variable of the environment that is there already; empty when it is not."""

    def lacks(self, command: Sequence[str]) -> str | None:
        """Run a small check: None when it ends with 0, else what it said."""

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], output: IO[bytes], end: Callable[[], bool]
    ) -> int | None:
        """Run a program to its end, or end it when `end` says so; its exit code, None when it was ended."""

    def read(self, name: str) -> bytes | None:
        """A file that was written: below the folder of `prepare`, or relative to the working directory."""

    def close(self) -> None:
        """Leave nothing behind."""


@contextlib.contextmanager
def place_of(system: System, suite: Suite, label: str, out: Path, *, base: Path, journal: Journal) -> Iterator[Place]:
    """Where a suite runs; a container of its own lasts as long as the context.

    Raises:
        EngineError: its container cannot be started.
        SuiteError: the service's container is not there.
    """
    if not suite.inside:
        yield Here(label, base / (suite.cwd or ""), out, journal)
        return
    with contextlib.ExitStack() as stack:
        if suite.image is not None:
            idle = DockerService(image=suite.image, entrypoint=["sh", "-c", _IDLE], files=suite.files)
            runner = stack.enter_context(system.beside(f"suite-{label}", idle))
        else:
            found = system.runner(str(suite.service))
            if not isinstance(found, ContainerRunner):
                raise SuiteError(f"suite {label}: `{suite.service}` has no container")
            runner = found
        place = Inside(label, runner.container(), suite.cwd, journal, alone=suite.image is not None)
        stack.callback(place.close)
        yield place


class Here:
    """This machine.

    Args:
        out: the folder for what the plugins write.
    """

    def __init__(self, label: str, cwd: Path, out: Path, journal: Journal) -> None:
        self._label, self._cwd, self._out, self._journal = label, cwd, out, journal
        self.peak_memory = PeakMemory()

    def prepare(self, plugin: Path) -> tuple[str, str]:
        """Both are here already."""
        return str(plugin), str(self._out.resolve())

    def variable(self, name: str) -> str:
        """Our own."""
        return os.environ.get(name, "")

    def lacks(self, command: Sequence[str]) -> str | None:
        """Where the suite will run: a relative path of an interpreter counts from there.

        What was well once in a run is not asked again: an interpreter that goes away fails the suite itself.
        """
        known = (str(self._cwd), *command)
        if known in _WELL:
            return None
        try:
            done = subprocess.run(  # noqa: S603 - the user's own interpreter
                command, cwd=self._cwd, capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"{command[0]} cannot be started: {error}"
        if done.returncode:
            return done.stderr.strip() or f"{command[0]} ended with {done.returncode}"
        _WELL.add(known)
        return None

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], output: IO[bytes], end: Callable[[], bool]
    ) -> int | None:
        """A process of its own, watched with all its children.

        Raises:
            SuiteError: it cannot be started.
        """
        whole = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)} | dict(environment)
        try:
            process, intent = start_program(
                self._journal, f"suite {self._label}", command, cwd=self._cwd, environment=whole, output=output
            )
        except OSError as error:
            raise SuiteError(f"suite {self._label}: {command[0]} cannot be started: {error}") from error
        try:
            return self._watch(process, intent, end)
        finally:
            self._journal.strike(intent.id)

    def _watch(self, process: "subprocess.Popen[bytes]", intent: Intent, end: Callable[[], bool]) -> int | None:
        def ended_within(seconds: float) -> bool:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            return process.returncode is not None

        has_ended, done = waiter(process.pid, ended_within)
        ended = False
        try:
            while not has_ended(self.peak_memory.pause()):
                self.peak_memory.look(process.pid)  # not waited for yet, so the number is still its own
                if not ended and end():
                    ended = True
                    carry_out(intent.undo, None)
        finally:
            done()
        code = process.wait()
        return None if ended else code

    def read(self, name: str) -> bytes | None:
        """Below the folder for what is written, or the working directory."""
        for folder in (self._out, self._cwd):
            with contextlib.suppress(OSError):
                return (folder / name).read_bytes()
        return None

    def close(self) -> None:
        """Everything belongs to the run's folder."""


class Inside:
    """A container: a service's, or one of the suite's own.

    Args:
        cwd: the working directory; None is the container's own.
        alone: whether nothing but the suite runs in it, so that its memory is the suite's.
    """

    def __init__(self, label: str, container: "Container", cwd: str | None, journal: Journal, *, alone: bool) -> None:
        self._label, self._container, self._cwd, self._journal = label, container, cwd, journal
        self._client: DockerClient = container.client  # type: ignore[assignment]  # one that an engine gave has one
        self._alone = alone
        self._folder = f"/tmp/shakedown-{uuid.uuid4().hex[:12]}"  # noqa: S108 - inside the container, a name of its own
        self._undo = ContainerExec(
            container=str(container.id), command=["sh", "-c", _REMOVER, self._folder],
            started=str(container.attrs["State"]["StartedAt"]),
        )  # fmt: skip
        self._intent = journal.intend("process", f"suite {label} in {container.name}", self._undo)
        self.peak_memory = PeakMemory()

    def prepare(self, plugin: Path) -> tuple[str, str]:
        """Copy our plugins into the container."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            folder = tarfile.TarInfo(Path(self._folder).name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777  # whoever the container's user is writes there
            archive.addfile(folder)
            for path in sorted(plugin.glob("*.py")):
                content = path.read_bytes()
                entry = tarfile.TarInfo(f"{folder.name}/{path.name}")
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
        self._container.put_archive("/tmp", data.getvalue())  # noqa: S108 - as above
        return self._folder, self._folder

    def variable(self, name: str) -> str:
        """The container's."""
        for entry in self._container.attrs["Config"]["Env"] or ():
            key, _, value = entry.partition("=")
            if key == name:
                return str(value)
        return ""

    def lacks(self, command: Sequence[str]) -> str | None:
        """As the suite will be run."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        try:
            code, output = self._container.exec_run(list(command), workdir=self._cwd)
        except APIError as error:
            return str(error.explanation)
        said = (output if isinstance(output, bytes) else b"".join(output)).decode(errors="replace").strip()
        return (said or f"{command[0]} ended with {code}") if code else None

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], output: IO[bytes], end: Callable[[], bool]
    ) -> int | None:
        """A program beside the container's own, in a process group of its own, by which all of it can be ended.

        Raises:
            SuiteError: the engine refuses.
        """
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        api = self._client.api
        try:
            created = api.exec_create(
                self._container.id, ["sh", "-c", _STARTER, self._folder, *command],
                environment=dict(environment), workdir=self._cwd,
            )["Id"]  # fmt: skip
            stream = api.exec_start(created, stream=True)
        except APIError as error:
            raise SuiteError(f"suite {self._label}: {error.explanation}") from error
        over = threading.Event()

        def copy() -> None:
            with contextlib.suppress(
                APIError, OSError
            ):  # the engine went away, or the disk is full: seen by what is missing
                for chunk in stream:
                    output.write(chunk)
            over.set()

        threading.Thread(target=copy, name=f"suite-{self._label}", daemon=True).start()
        ended: float | None = None
        pid = self._number_here(created)
        while not over.wait(self.peak_memory.pause()):
            self._look_at_memory(pid)
            if ended is None and end():
                ended = time.monotonic()
                ender = self._undo.model_copy(update={"command": ["sh", "-c", _ENDER, self._folder]})
                carry_out(ender, self._client)
            elif ended is not None and time.monotonic() - ended > EXIT_WITHIN:
                raise SuiteError(f"suite {self._label}: it does not end in {self._container.name}")
        return None if ended is not None else self._exit_code(created)

    def _exit_code(self, identity: str) -> int | None:
        """The engine notes it a moment after the output ended; None when there is none: the container ended."""
        until = time.monotonic() + EXIT_WITHIN
        while time.monotonic() < until:
            state = self._client.api.exec_inspect(identity)
            if not state["Running"]:
                return None if state["ExitCode"] is None else int(state["ExitCode"])
            time.sleep(LOOK_EVERY)
        return None

    def _number_here(self, identity: str) -> int | None:
        """The program's number on this machine; None when the engine runs elsewhere, or keeps it to itself."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        with contextlib.suppress(APIError, OSError, KeyError):
            pid = int(self._client.api.exec_inspect(identity)["Pid"])
            if str(self._container.id) in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
                return pid
        return None

    def _look_at_memory(self, pid: int | None) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        if pid is not None:
            self.peak_memory.look(pid)
        elif self._alone:
            with contextlib.suppress(APIError):
                stats = self._client.api.stats(str(self._container.id), stream=False, one_shot=True)
                self.peak_memory.at_least(int(stats.get("memory_stats", {}).get("usage", 0)))

    def read(self, name: str) -> bytes | None:
        """Below our folder, or the working directory."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        home = self._cwd or self._container.attrs["Config"]["WorkingDir"] or "/"
        for folder in (self._folder, home):
            with contextlib.suppress(APIError):
                chunks, _ = self._container.get_archive(str(PurePosixPath(folder) / name))
                with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                    file = archive.extractfile(archive.getmembers()[0])
                    return file.read() if file is not None else None
        return None

    def close(self) -> None:
        """End what is left of it, and take our folder out of the container."""
        with contextlib.suppress(GuardError):  # then it stays written down, for the watchdog and clean-up
            carry_out(self._undo, self._client)
            self._journal.strike(self._intent.id)
