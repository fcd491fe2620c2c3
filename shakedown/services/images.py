"""Images: found, pulled with progress, or built once per content."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError, BuildError, ImageNotFound

from shakedown.errors import EngineError
from shakedown.guard.labels import IMAGE
from shakedown.plan.services import Build

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["build_image", "context_digest", "require_image"]

TAIL = 20


def context_digest(context: Path, build: Build) -> str:
    """A digest of everything that goes into an image: file names, modes, contents, arguments."""
    digest = hashlib.sha256()
    for path in sorted(path for path in context.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(context)}\0{path.stat().st_mode & 0o111:o}\0".encode())
        digest.update(path.read_bytes())
    digest.update(repr((build.dockerfile, sorted(build.args.items()))).encode())
    return digest.hexdigest()[:16]


def build_image(client: "DockerClient", context: Path, build: Build, say: Callable[[str], None]) -> str:
    """Build an image, unless one of the same content is there; the result is its tag.

    Raises:
        EngineError: the build failed, with its last lines.
    """
    tag = f"shakedown-build:{context_digest(context, build)}"
    try:
        client.images.get(tag)
    except ImageNotFound:
        pass
    else:
        return tag
    say(f"building {context.name} (the first time only)")
    lines: list[str] = []
    try:
        for entry in client.api.build(
            path=str(context), dockerfile=build.dockerfile, tag=tag, rm=True, forcerm=True, decode=True,
            buildargs=build.args, labels={IMAGE: tag},
        ):  # fmt: skip
            lines += str(entry.get("stream", "")).splitlines()
            if "error" in entry:
                raise EngineError(
                    f"the image of {context} cannot be built: {str(entry['error']).strip()}", details=lines[-TAIL:]
                )
    except (APIError, BuildError, TypeError) as error:
        raise EngineError(f"the image of {context} cannot be built: {error}", details=lines[-TAIL:]) from error
    return tag


def require_image(client: "DockerClient", name: str, say: Callable[[str], None]) -> str:
    """See that an image is there; pull it when it is not.

    Raises:
        EngineError: it is not there and cannot be pulled.
    """
    try:
        client.images.get(name)
    except ImageNotFound:
        say(f"pulling {name}")
    else:
        return name
    reference = name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"
    try:
        for line in _progress(client.api.pull(reference, stream=True, decode=True)):
            say(f"pulling {name}: {line}")
        client.images.get(name)
    except (APIError, ImageNotFound) as error:
        raise EngineError(
            f"the image {name} is not here and cannot be pulled: {getattr(error, 'explanation', None) or error}",
            hint="check the name and the registry, or use `build:` to make the image here",
        ) from error
    return name


def _progress(entries: Iterator[dict[str, object]]) -> Iterator[str]:
    """One line per layer that is done, instead of a flood."""
    for entry in entries:
        if "error" in entry:
            raise APIError(str(entry["error"]))
        if entry.get("status") in ("Pull complete", "Already exists"):
            yield f"layer {entry.get('id')}: {str(entry['status']).lower()}"
