"""Remove what carries Shakedown's labels, and nothing else: containers, networks, volumes, and the images it built."""

import docker
from docker.errors import APIError


def main() -> None:
    """Remove everything of ours."""
    client = docker.from_env()
    ours = {"label": "shakedown.run"}
    for container in client.containers.list(all=True, filters=ours):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=ours):
        network.remove()
    for volume in client.volumes.list(filters=ours):
        volume.remove(force=True)
    for image in client.images.list(filters={"label": "shakedown.image"}):
        try:
            client.images.remove(image.id, force=True)
        except APIError as error:  # in use by a container that is not ours
            print(f"kept {image.tags}: {error.explanation}")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
