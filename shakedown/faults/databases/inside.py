"""Programs inside a service's container: run once, or kept running until they are told to end."""

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shakedown.errors import FaultError
from shakedown.faults.base import FaultContext
from shakedown.guard.undo import ContainerExec

__all__ = ["MARK", "RELEASE", "Answer", "Inside", "Kept", "shown"]

MARK = "SHAKEDOWN_FAULT"  # variable of the environment of what is kept running, by which an undo finds it
_SHOWN = 300

# $1 the mark, $2 a name (a pattern), $3 tenths of a second. Ends every process of that name that carries the mark, then waits until
# nothing carries it. The name is that of a *leaf* of the process tree whose parent waits for it: an orphan's end would
# reach the container's first process, and PostgreSQL takes a stranger's violent end for a crash of its own.
RELEASE = r"""
mark="$1"; leaf="$2"; tries="$3"
marked() {
  for folder in /proc/[0-9]*; do
    grep -qsF "$mark" "$folder/environ" && printf '%s\n' "${folder#/proc/}"
  done
}
for pid in $(marked); do
  { read -r name < "/proc/$pid/comm"; } 2>/dev/null || continue
  case "$name" in $leaf) kill "$pid" 2>/dev/null ;; esac
done
while [ -n "$(marked)" ]; do
  tries=$((tries - 1)); [ "$tries" -gt 0 ] || { echo "still there: $(marked | tr '\n' ' ')"; exit 1; }
  command -v urge >/dev/null 2>&1 && urge
  sleep 0.1
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a program ended, and what it said."""

    code: int
    output: str
    errors: str = ""

    @property
    def said(self) -> str:
        """Its last words."""
        return shown(self.errors or self.output) or f"exit code {self.code}"


def shown(text: str) -> str:
    """One line of a program's words, short enough for a report."""
    return " ".join(text.split())[-_SHOWN:]


class Inside:
    """The container of a fault's target, as it was when the fault was checked.

    Attributes:
        started: when it was started; empty until `check`.
        mark: tells what one fault keeps running from everything else.
    """

    def __init__(self, context: FaultContext, service: str, user: str = "") -> None:
        self.context, self.service, self.user = context, service, user
        self.started = ""
        self._told = False
        self.mark = f"shakedown-{secrets.token_hex(4)}"

    @property
    def container(self) -> str:
        """The container's id."""
        return str(self.context.system.handle(self.service).container)

    def check(self) -> None:
        """Note when it was started.

        Raises:
            FaultRefusedError: it does not run.
        """
        self.started = str(self.context.running(self.service).attrs["State"]["StartedAt"])

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, workdir: str | None = None
    ) -> Answer:
        """Run a program to its end; the program itself, or the script that calls it, bounds its time.

        Raises:
            FaultError: the container is gone, or does not run.
        """
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine.find_engine

        try:
            code, (output, errors) = self.context.container(self.service).exec_run(
                list(command), user=self.user, environment=dict(environment or {}), workdir=workdir, demux=True
            )
        except (APIError, OSError) as error:
            reason = getattr(error, "explanation", None) or error
            raise FaultError(f"nothing can be run in the container of `{self.service}`: {reason}") from error
        return Answer(int(code or 0), _text(output), _text(errors))

    def keep(self, command: Sequence[str]) -> "Kept":
        """Start a program that carries the mark, and follow its output."""
        api = self.context.client.api
        made = api.exec_create(self.container, list(command), user=self.user, environment={MARK: self.mark})
        return Kept(api.exec_start(made["Id"], stream=True))

    def release(self, leaf: str, within: float = 6.0) -> ContainerExec:
        """What ends everything that `keep` started: the processes called `leaf`, upon which the rest end."""
        return self.undo(["sh", "-c", RELEASE, "release", *self.release_words(leaf, within)])

    def release_words(self, leaf: str, within: float = 6.0) -> list[str]:
        """The arguments of `RELEASE`."""
        return [f"{MARK}={self.mark}", leaf, str(int(within * 10))]

    def kept(self, name: str = "") -> int:
        """How many processes carry the mark.

        Args:
            name: only those of this name.
        """
        count = """
        for one in /proc/[0-9]*; do
          grep -qsF "$1" "$one/environ" || continue
          { read -r name < "$one/comm"; } 2>/dev/null || continue
          [ "${2:-$name}" = "$name" ] && echo
        done | wc -l
        """
        return int(self.run(["sh", "-c", count, "count", f"{MARK}={self.mark}", name]).output.strip() or 0)

    def look_for_restart(self) -> None:
        """Tell once that the container was started anew since `check`: a fault in it ended before its time.

        Raises:
            FaultError: it was, and this is the first time that it is told.
        """
        now = str(self.context.container(self.service).attrs["State"]["StartedAt"])
        if self.started and now != self.started and not self._told:
            self._told = True
            raise FaultError(
                f"the container of `{self.service}` was started anew while the fault lasted, which ended it"
            )

    def undo(self, command: Sequence[str], *, lasting: bool = False) -> ContainerExec:
        """An undo in this container.

        Args:
            lasting: it takes back what lies on the disk; otherwise what ended with the server is undone already.
        """
        return ContainerExec(
            container=self.container, command=list(command), user=self.user,
            started="" if lasting else self.started, lasting=lasting,
        )  # fmt: skip


class Kept:
    """A program that runs until its leaf is ended; its lines as they come."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="fault-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = ""
        try:
            for piece in self._stream:  # type: ignore[attr-defined]
                *lines, rest = (rest + piece.decode(errors="replace")).split("\n")
                with self._lock:
                    self._lines += lines
        except OSError:  # the engine went away; whoever counts on the program will notice
            pass
        finally:
            with self._lock:
                self._lines += [rest] if rest else []
            self.over.set()

    @property
    def lines(self) -> list[str]:
        """What it has said so far."""
        with self._lock:
            return list(self._lines)


def _text(data: object) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else ""
