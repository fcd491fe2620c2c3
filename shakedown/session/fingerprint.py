"""What a run is measured on: the machine, the commit of the plan's folder, the images of its services."""

import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

__all__ = ["environment_of", "git_state", "image_digests"]

GIT_WITHIN = 5.0  # seconds: a commit is not worth waiting for


def environment_of() -> dict[str, str]:
    """The machine and its software, as texts by name."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": _processor(),
        "cores": str(os.cpu_count()),
        "memory": str(psutil.virtual_memory().total),
        "host": socket.gethostname(),
    }


def _processor() -> str:
    """The processor's own name; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "cpu model")))
    return next(names, platform.processor())


def git_state(folder: Path) -> tuple[str, bool | None]:
    """The commit of a folder's repository, and whether anything that it tracks was changed; empty and None outside of one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return "", None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments; no lock is taken, so that nobody's commit has to wait
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True, text=True, timeout=GIT_WITHIN, check=False, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def image_digests(client: object, images: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The engine's own identity of each service's image, and the engine's version.

    Args:
        client: the Docker client, or None when the plan has no containers.
        images: by service, the image's name.
    """
    if client is None:
        return {}, ""
    from docker.errors import DockerException  # noqa: PLC0415 - plans without containers need no engine

    digests: dict[str, str] = {}
    try:
        for service, image in images.items():
            if image:
                digests[service] = str(client.images.get(image).id)  # type: ignore[attr-defined]
        return digests, str(client.version().get("Version", ""))  # type: ignore[attr-defined]
    except (DockerException, OSError):  # for the record alone: it stops no run
        return digests, ""
