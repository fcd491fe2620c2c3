"""The Compose tool of this machine: `docker compose`, or the older `docker-compose`."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shakedown.errors import EngineError, Interrupted
from shakedown.guard.journal import Journal
from shakedown.guard.process import start_program
from shakedown.guard.undo import carry_out

__all__ = ["ComposeTool", "find_tool"]

ANSWER_WITHIN = 60.0  # seconds for a question, on a machine that is busy
MAKE_WITHIN = 1800.0  # images may have to be pulled and built
TAIL = 20
_LOOK = 0.1
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What would decide in our stead which project, which files, and with which Python.
_NOT_OURS = (
    "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "COMPOSE_REMOVE_ORPHANS", "PYTHONPATH",
    "PYTHONHOME", "VIRTUAL_ENV",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComposeTool:
    """One tool.

    Attributes:
        command: what it is called by.
        version: as it says itself.
    """

    command: tuple[str, ...]
    version: str

    def config(self, files: Sequence[Path], profiles: Sequence[str], variables: Mapping[str, str]) -> str:
        """The project as the tool reads it: everything put in, all files merged, paths absolute.

        Raises:
            EngineError: it is wrong, in the tool's own words.
        """
        command = [*self.command, *(part for file in files for part in ("-f", str(file)))]
        command += [part for profile in profiles for part in ("--profile", profile)]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own Compose tool
                [*command, "config"], cwd=files[0].parent, env=_environment(variables), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=ANSWER_WITHIN, check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"{self.name} cannot be run: {error}") from error
        if done.returncode:
            said = [line for line in (done.stderr.strip() or done.stdout.strip()).splitlines() if line.strip()]
            shown = ", ".join(file.name for file in files)
            raise EngineError(
                f"{self.name} does not take {shown}: {' '.join(line.strip() for line in said[-4:])[:600]}",
                hint=f"`{self.name} -f {files[0]} config` says it all",
            )
        return done.stdout

    def create(
        self, config: str, project: str, folder: Path, *, log: Path, journal: Journal, stop: threading.Event,
        redact: Callable[[str], str], services: Sequence[str] = (), anew: bool = False,
    ) -> None:  # fmt: skip
        """Make networks, volumes and containers of a project, and start none; images are pulled and built.

        Args:
            config: the project's file; it goes to the tool's standard input, as it may hold secrets.
            folder: what relative paths in it start from.
            services: only these; by default all.
            anew: containers that are there already are made again.

        Raises:
            EngineError: the tool failed, with its last lines.
            Interrupted: `stop` was set meanwhile; the tool was ended.
        """
        command = [*self.command, "--project-name", project, "--project-directory", str(folder), "--file", "-", "up"]
        command += ["--no-start", "--build", "--no-deps", *(["--force-recreate"] if anew else []), *services]
        with log.open("ab") as output:
            try:
                process, intent = start_program(
                    journal, f"{self.name} for {project}", command, cwd=folder, environment=_environment({}), output=output,
                    piped=True,
                )  # fmt: skip
            except OSError as error:
                raise EngineError(f"{self.name} cannot be run: {error}") from error
            said: list[bytes] = []
            reader = threading.Thread(
                target=lambda: said.append(process.communicate(config.encode())[0]), name="compose", daemon=True
            )
            reader.start()
            left = MAKE_WITHIN
            while reader.is_alive() and left > 0 and not stop.is_set():
                reader.join(_LOOK)
                left -= _LOOK
            ended = not reader.is_alive()
            carry_out(intent.undo, None)
            process.wait(timeout=5)
            journal.strike(intent.id)
        log.write_text(redact(log.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
        if stop.is_set():
            raise Interrupted(f"interrupted while {self.name} was at work")
        if not ended or process.returncode:
            text = b"".join(said).decode(errors="replace") + log.read_text(encoding="utf-8", errors="replace")
            lines = [line.strip() for line in _COLOURS.sub("", redact(text)).splitlines() if line.strip()]
            how = f"ended with {process.returncode}" if ended else f"did not end within {MAKE_WITHIN:.0f} s"
            raise EngineError(f"{self.name} {how}: {lines[-1] if lines else 'it said nothing'}", details=lines[-TAIL:])

    @property
    def name(self) -> str:
        """As people call it."""
        return "docker compose" if len(self.command) > 1 else "docker-compose"


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in _NOT_OURS}, **variables}


def find_tool() -> ComposeTool:
    """The plugin of Docker's client where it is there, else `docker-compose`.

    Raises:
        EngineError: there is none.
    """
    tried = []
    for command in (("docker", "compose"), ("docker-compose",)):
        program = shutil.which(command[0])
        if program is None:
            tried.append(f"no program `{command[0]}`")
            continue
        try:
            done = subprocess.run(  # noqa: S603 - the user's own Compose tool
                [program, *command[1:], "version", "--short"], env=_environment({}), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=ANSWER_WITHIN, check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(f"`{' '.join(command)}` cannot be run: {error}")
            continue
        if done.returncode == 0 and done.stdout.strip():
            return ComposeTool((program, *command[1:]), done.stdout.strip().splitlines()[0])
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        tried.append(f"`{' '.join(command)}` does not work" + (f" ({said[-1][:200]})" if said else ""))
    raise EngineError(
        f"no Compose tool is here: {'; '.join(tried)}",
        hint="install Docker's Compose plugin, or `docker-compose` (on Debian: apt-get install docker-compose)",
    )
