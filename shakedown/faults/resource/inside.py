"""Processes of ours inside a container: in its own cgroup, because they are started there; marked, and self-ending.

They are shell scripts of a few lines that use what the container has; where it has no shell or lacks a tool, one static
program that is both is copied in, and removed again. Each process carries a mark in its environment, by which it is
found, and ended: children first, so that their parents can still take note of them.
"""

import io
import secrets
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shakedown.errors import EngineError, FaultError, FaultRefusedError
from shakedown.guard.undo import ContainerExec
from shakedown.plan.services import Build
from shakedown.services.images import build_image

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["HelperProcess", "Inside"]

TOOLS = ("head", "tail", "sleep", "date", "rm", "df")
IMAGE = Path(__file__).parent / "tools"
MARK = "SHAKEDOWN_HELPER"
_HAVE = 'for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || exit 9; done'

# Every script gets `$1`, what stands before each tool (the copied program, or nothing), and `$2`, the mark.
_OURS = f"""
B=$1; T=$2; shift 2
ours() {{
  while IFS= read -r l || [ -n "$l" ]; do case "$l" in *"{MARK}=$T"*) return 0;; esac; done < "$1/environ"
  return 1
}}
"""
_LOOK = f"""{_OURS}
for p in /proc/[0-9]*; do
  if ours "$p" && read -r s < "$p/stat" && read -r m < "$p/statm"; then echo "$s | $m"; fi
done 2>/dev/null
exit 0
"""
_END = f"""{_OURS}
n=0
while :; do
  pids= parents=
  for p in /proc/[0-9]*; do
    if ours "$p" && read -r pid name state parent rest < "$p/stat"; then pids="$pids $pid" parents="$parents $parent"; fi
  done
  [ -n "$pids" ] || break
  n=$((n+1)); [ $n -le 200 ] || exit 1
  for pid in $pids; do
    case "$parents " in *" $pid "*) [ $n -gt 100 ] || continue;; esac
    kill -9 "$pid"
  done
done 2>/dev/null
[ $# -eq 0 ] || $B rm -f "$@" || exit 1
[ -z "$B" ] || $B rm -f "$B"
"""


@dataclass(frozen=True, slots=True)
class HelperProcess:
    """A process of ours inside the container.

    Attributes:
        cpu_seconds: used so far, with that of its ended children.
        memory: bytes in use.
    """

    pid: int
    name: str
    cpu_seconds: float
    memory: int


class Inside:
    """What can be run inside one container."""

    def __init__(self, container: "Container", client: "DockerClient") -> None:
        self.container = container
        self.mark = secrets.token_hex(6)
        self.started = str(container.attrs["State"]["StartedAt"])
        self._client = client
        self._tool = ""
        code, _ = self._run(["sh", "-c", _HAVE, "sh", *TOOLS], user="0")
        if code:
            self._put()

    @property
    def tools(self) -> str:
        """Whose tools are used, for the report."""
        return "a static program copied in" if self._tool else "the container's own tools"

    def _put(self) -> None:
        """Copy the static program into the container.

        Raises:
            FaultRefusedError: it cannot be had, or written.
        """
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        lacking = f"`{self.container.name}` has not all of sh, {', '.join(TOOLS)}"
        try:
            image = build_image(self._client, IMAGE, Build(context=str(IMAGE)), lambda _: None)
            source = self._client.containers.create(
                image,
                command=["true"],
                labels={key: value for key, value in self.container.labels.items() if key.startswith("shakedown.")},
            )
            try:
                archive = b"".join(source.get_archive("/bin/busybox")[0])
            finally:
                source.remove(force=True, v=True)
            path = f"/busybox.{self.mark}"  # it looks at its name for what it is to be
            self.container.put_archive("/", _renamed(archive, path.lstrip("/")))
        except (EngineError, APIError) as error:
            raise FaultRefusedError(f"{lacking}, and nothing can be copied into it: {error}") from error
        self._tool = path

    def script(self, text: str, *arguments: object) -> list[str]:
        """The command that runs a script, which has the tools' prefix and the mark as its first two arguments."""
        shell = [self._tool, "sh"] if self._tool else ["sh"]
        return [*shell, "-c", text, "shakedown", self._tool, self.mark, *map(str, arguments)]

    def run(self, text: str, *arguments: object, user: str = "0") -> tuple[int, str]:
        """Run a script to its end: its exit code and all that it said."""
        return self._run(self.script(text, *arguments), user)

    def _run(self, command: list[str], user: str) -> tuple[int, str]:
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        try:
            code, output = self.container.exec_run(command, user=user, stream=False)
        except APIError as error:
            return 126, str(error.explanation)
        return int(code or 0), output.decode(errors="replace") if isinstance(output, bytes) else ""

    def start(self, text: str, *arguments: object) -> None:
        """Start a script that runs on, as root, under the mark.

        Raises:
            FaultError: the engine cannot start it.
        """
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        try:
            made = self._client.api.exec_create(
                self.container.id, self.script(text, *arguments), user="0", environment={MARK: self.mark},
                stdout=False, stderr=False,
            )  # fmt: skip
            self._client.api.exec_start(made["Id"], detach=True)
        except APIError as error:
            raise FaultError(f"nothing can be started inside {self.container.name}: {error.explanation}") from error

    def processes(self) -> list[HelperProcess]:
        """Those of ours that run; none where the container ended meanwhile, which the engine says a little later.

        Raises:
            FaultError: it cannot be looked.
        """
        code, text = self.run(_LOOK)
        if code:
            if self.ends():
                return []
            raise FaultError(f"the processes of {self.container.name} cannot be looked at: {text.strip()[-200:]}")
        found = []
        for line in text.splitlines():
            stat, separator, memory = line.partition(" | ")
            fields = stat.rpartition(")")[2].split()
            if separator and len(fields) > 14:
                ticks = sum(map(int, fields[11:15]))
                found.append(
                    HelperProcess(
                        pid=int(stat.split()[0]), name=stat.partition("(")[2].rpartition(")")[0],
                        cpu_seconds=ticks / 100, memory=int(memory.split()[1]) * 4096,
                    )
                )  # fmt: skip
        return found

    def undo(self, *files: str, lasting: bool = False, first: str = "", start: bool = False) -> ContainerExec:
        """What ends our processes and removes files of ours, the program that was copied in among them.

        Args:
            lasting: the files outlive a restart of the container.
            first: lines of a script that run before.
            start: a container that ended is started.
        """
        return ContainerExec(
            container=str(self.container.id), command=self.script(f"{first}{_END}", *files), user="0",
            started="" if lasting or self._tool else self.started, lasting=lasting, start=start, tool=self._tool,
        )  # fmt: skip

    def ends(self, within: float = 2.0) -> bool:
        """Whether the container is found to have ended, or to have been started anew, within a moment."""
        from docker.errors import NotFound  # noqa: PLC0415 - see guard.engine

        until = time.monotonic() + within
        while True:
            try:
                self.container.reload()
            except NotFound:
                return True
            if self.restarted(self.container):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.1)

    def restarted(self, container: "Container") -> bool:
        """Whether the container was started anew, or does not run: then no process of ours is left."""
        state = container.attrs["State"]
        return not state["Running"] or str(state["StartedAt"]) != self.started


def _renamed(archive: bytes, name: str) -> bytes:
    """The one file of an archive under another name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as source, tarfile.open(fileobj=buffer, mode="w") as target:
        member = next(iter(source))
        content = source.extractfile(member)
        if content is None:
            raise FaultError("the static program's image holds no program")
        member.name, member.mode = name, 0o755
        target.addfile(member, content)
    return buffer.getvalue()
