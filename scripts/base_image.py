"""Make sure that `debian:bookworm-slim` is there: by pulling it, or, where no registry answers, with mmdebstrap.

What is made here gets the apt settings of this machine (sources, proxies, keys), because whoever cannot reach a
registry often reaches packages through a mirror of its own.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound

IMAGE = "debian:bookworm-slim"
PULL_SECONDS = 45
PULL = "import docker, sys; docker.from_env(timeout=40).images.pull(sys.argv[1])"


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(f"setup: {text}", file=sys.stderr)  # noqa: T201 - a script


def pull() -> bool:
    """Try the registry, in a process of its own so that a registry that never answers cannot hold us."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PULL, IMAGE], timeout=PULL_SECONDS, check=False, capture_output=True
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def bootstrap(client: docker.DockerClient) -> None:
    """Make a minimal Debian 12 from packages and import it."""
    if shutil.which("mmdebstrap") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            sys.exit(f"setup: {IMAGE} cannot be pulled, and mmdebstrap, which would make it, is not installed")
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"],
            check=True,
            stdout=sys.stderr,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "base.tar"
        command = ["mmdebstrap", "--variant=minbase", "--quiet", "--include=ca-certificates"]
        command += ["bookworm", str(archive), *sources()]
        subprocess.run(command, check=True, stdout=sys.stderr)
        add_apt_settings(archive)
        with archive.open("rb") as data:
            # an iterator, not the file: the client would announce both a length and chunks for a file
            chunks = iter(lambda: data.read(1 << 20), b"")
            client.api.import_image_from_stream(chunks, repository="debian", tag="bookworm-slim")


def sources() -> list[str]:
    """This machine's own apt sources when it is a Debian 12, else none: mmdebstrap's defaults."""
    release = Path("/etc/os-release").read_text(encoding="utf-8") if Path("/etc/os-release").exists() else ""
    if "VERSION_CODENAME=bookworm" not in release:
        return []
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    wanted = [path for path in lists if path.is_file() and "bookworm" in path.read_text(encoding="utf-8")]
    return [str(path) for path in wanted if "debian" in path.read_text(encoding="utf-8")]


def add_apt_settings(archive: Path) -> None:
    """Copy proxies and certificate settings, without which apt inside the image would not get out."""
    with tarfile.open(archive, "a") as tar:
        for path in sorted(Path("/etc/apt/apt.conf.d").glob("*")):
            text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
            if "proxy" in text.lower() or "Acquire::https" in text:
                info = tarfile.TarInfo(f"./etc/apt/apt.conf.d/{path.name}")
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))


def main() -> None:
    """Do nothing if the image is there."""
    try:
        client = docker.from_env(timeout=600)
        client.images.get(IMAGE)
    except ImageNotFound:
        say(f"no image {IMAGE}: trying to pull it")
        if not pull():
            say(f"no registry answers: making {IMAGE} with mmdebstrap (about 20 s)")
            bootstrap(client)
    except (APIError, DockerException) as error:
        sys.exit(f"setup: the Docker engine refused: {error}")


if __name__ == "__main__":
    main()
