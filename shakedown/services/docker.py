"""Containers as services, and the run's network."""

import io
import math
import tarfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound, NullResource
from docker.types import Ulimit

from shakedown.errors import EngineError, GuardError, ServiceError
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.labels import RunLabels
from shakedown.guard.undo import ContainerRemove, NetworkRemove, VolumeRemove, carry_out
from shakedown.plan.services import DockerService, Secret, listening_ports
from shakedown.services.handle import Address, Handle
from shakedown.services.images import build_image, require_image
from shakedown.services.ports import free_port

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["ContainerRunner", "RunNetwork", "texts_of"]

PORT_ATTEMPTS = 5


class RunNetwork:
    """The bridge network of one run; services find each other by name in it."""

    def __init__(self, client: "DockerClient", run: str, labels: RunLabels, journal: Journal) -> None:
        self.name = f"shakedown-{run}"
        self._client = client
        self._journal = journal
        self._intent = journal.intend("network", f"network {self.name}", NetworkRemove(network=self.name))
        try:
            client.networks.create(self.name, driver="bridge", labels=labels.of(), check_duplicate=True)
        except APIError as error:
            raise EngineError(f"the network {self.name} cannot be made: {error.explanation}") from error

    def remove(self) -> None:
        """Remove it.

        Raises:
            GuardError: the engine refuses.
        """
        carry_out(self._intent.undo, self._client)
        self._journal.strike(self._intent.id)


class ContainerRunner:
    """One container service."""

    def __init__(
        self, name: str, service: DockerService, *, base: Path, log: Path, client: "DockerClient", run: str,
        labels: RunLabels, journal: Journal, redact: Callable[[str], str], say: Callable[[str], None], scheme: str = "http",
    ) -> None:  # fmt: skip
        self.service, self._scheme = service, scheme
        self.handle = Handle(name, "docker", container_name=f"shakedown-{run}-{name}")
        self._base, self._log, self._client, self._run = base, log, client, run
        self._labels, self._journal, self._redact, self._say = labels, journal, redact, say
        self._intents: list[Intent] = []
        self._network: str | None = None
        self._published: dict[str, tuple[str, int]] = {}
        self._mounts: dict[str, dict[str, str]] = {}
        self._follower: threading.Thread | None = None
        self._gone = threading.Event()
        self._log_from: float | None = None  # what it said before is not the run's

    def prepare(self) -> None:
        """Have the image.

        Raises:
            EngineError: it can be neither built nor pulled.
        """
        if self.service.build is not None:
            context = (self._base / self.service.build.context).resolve()
            self.handle.image = build_image(self._client, context, self.service.build, self._say)
        else:
            self.handle.image = require_image(self._client, str(self.service.image), self._say)

    def start(self, network: str) -> None:
        """Create and start the container on the run's network.

        Raises:
            EngineError: the engine refuses.
        """
        for attempt in range(PORT_ATTEMPTS):
            try:
                self._create(network)
            except APIError as error:
                self._discard()
                taken = "port is already allocated" in str(error) or "address already in use" in str(error)
                if not taken or attempt == PORT_ATTEMPTS - 1:
                    raise EngineError(f"service {self.handle.name} cannot be started: {error.explanation}") from error
            else:
                break
        self._follower = threading.Thread(target=self._follow, name=f"log-{self.handle.name}", daemon=True)
        self._follower.start()

    def _create(self, network: str) -> None:
        service, name = self.service, self.handle.container_name or ""
        published: dict[str, tuple[str, int]] = {}
        for port_name, port in self.port_numbers().items():
            host_port = free_port()
            published[f"{port}/tcp"] = ("127.0.0.1", host_port)
            self.handle.addresses[port_name] = Address("127.0.0.1", host_port, self._scheme)
        mounts: dict[str, dict[str, str]] = {}
        for volume, inside in service.volumes.items():
            full = f"shakedown-{self._run}-{volume}"
            self._intents.append(self._journal.intend("volume", f"volume {full}", VolumeRemove(volume=full)))
            self._client.volumes.create(full, labels=self._labels.of(self.handle.name))
            mounts[full] = {"bind": inside, "mode": "rw"}
        self._intents.append(self._journal.intend("container", f"container {name}", ContainerRemove(container=name)))
        container = self._client.containers.create(
            self.handle.image,
            command=service.command,
            entrypoint=service.entrypoint,
            name=name,
            environment=texts_of(service.environment),
            ports=published,
            volumes=mounts,
            labels=self._labels.of(self.handle.name),
            networking_config=self._endpoint(network, [self.handle.name, *service.aliases]),
            **self._options(network),
        )
        self.handle.container = container.id
        self._published, self._mounts, self._network = published, mounts, network
        self._copy_files(container)
        container.start()

    def create_stand_in(
        self, name: str, *, image: str | None, command: list[str] | str | None, entrypoint: list[str] | None,
        environment: Mapping[str, object], labels: Mapping[str, str],
    ) -> "Container":  # fmt: skip
        """A second container that can run in the service's place: same name in the network, ports, volumes, files, limits.

        It is created and not started; both cannot run at the same time. Whoever asks for it removes it.

        Args:
            image: None for the service's own; so are `command` and `entrypoint`.
            environment: the whole of it, without what the image brings.
            labels: in addition to the service's own.

        Raises:
            EngineError: the service was never started, or the engine refuses.
        """
        if self._network is None:
            raise EngineError(f"service {self.handle.name} was never started: nothing can stand in for it")
        service = self.service
        try:
            container = self._client.containers.create(
                image or self.handle.image,
                command=command if command is not None else service.command,
                entrypoint=entrypoint if entrypoint is not None else service.entrypoint,
                name=name,
                environment=texts_of(environment),
                ports=self._published,
                volumes=self._mounts,
                labels={**self._labels.of(self.handle.name), **labels},
                networking_config=self._endpoint(
                    self._network, [self.handle.name, self.handle.container_name or self.handle.name, *service.aliases]
                ),
                **self._options(self._network),
            )
            self._copy_files(container)
        except APIError as error:
            raise EngineError(f"nothing can stand in for service {self.handle.name}: {error.explanation}") from error
        return container

    def _endpoint(self, network: str, aliases: list[str]) -> dict[str, Any]:
        return {network: self._client.api.create_endpoint_config(aliases=aliases)}

    def _options(self, network: str) -> dict[str, Any]:
        """What every container of the service has."""
        service, limits = self.service, self.service.limits
        return {
            "user": service.user,
            "hostname": self.handle.name,
            "tmpfs": {path: f"size={size}" for path, size in service.tmpfs.items()},
            "mem_limit": limits.memory,
            "memswap_limit": limits.memory,
            "nano_cpus": int(limits.cpus * 1e9) if limits.cpus else None,
            "pids_limit": limits.pids,
            "ulimits": [Ulimit(name="nofile", soft=limits.open_files, hard=limits.open_files)]
            if limits.open_files
            else None,
            "restart_policy": None if service.restart == "no" else {"Name": service.restart},
            "network": network,
        }

    def _copy_files(self, container: "Container") -> None:
        for inside, outside in self.service.files.items():
            self._copy(container, self._base / outside, inside)

    def port_numbers(self) -> dict[str, int]:
        """Every port that is reached from this machine, by its name: the number inside the container."""
        names = dict(self.service.ports)
        for port in listening_ports(self.service):
            if port not in names.values():
                names[f"tcp-{port}"] = port
        health = self.service.health
        if health is not None and isinstance(health.tcp, int):
            names.setdefault(f"tcp-{health.tcp}", health.tcp)
        taken: dict[int, str] = {}
        return {name: port for name, port in names.items() if taken.setdefault(port, name) == name}

    def _copy(self, container: "Container", source: Path, inside: str) -> None:
        """Files are copied, not mounted: that works with an engine on another machine too."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(source, arcname=inside.lstrip("/"))
        container.put_archive("/", buffer.getvalue())

    def _discard(self) -> None:
        for intent in reversed(self._intents):
            with suppress(GuardError):
                carry_out(intent.undo, self._client)
                self._journal.strike(intent.id)
        self._intents.clear()

    # ------------------------------------------------------------------------------------------------- looking at it
    def container(self) -> "Container":
        """The container as the engine sees it now.

        Raises:
            ServiceError: it is gone.
        """
        try:
            return self._client.containers.get(self.handle.container or "")
        except NotFound:
            raise ServiceError(f"the container of service {self.handle.name} is gone") from None

    def exit_code(self) -> int | None:
        """How it ended; None while it runs or is paused."""
        container = self.container()
        return (
            None
            if container.status in ("running", "paused", "created", "restarting")
            else int(container.attrs["State"]["ExitCode"])
        )

    def run_inside(self, command: list[str]) -> tuple[int, str]:
        """Run a command in the container: its exit code and output."""
        try:
            result = self.container().exec_run(command)
        except APIError as error:
            return 1, str(error.explanation)
        output = result.output if isinstance(result.output, bytes) else b"".join(result.output)
        return int(result.exit_code or 0), output.decode(errors="replace")

    def docker_health(self) -> str:
        """What the image's own healthcheck says."""
        return str(self.container().attrs["State"].get("Health", {}).get("Status", "that it has no healthcheck"))

    def tail(self, lines: int) -> list[str]:
        """The last lines of its log, redacted."""
        try:
            text = self.container().logs(tail=lines).decode(errors="replace")
        except (APIError, ServiceError):
            return []
        return self._redact(text).splitlines()[-lines:]

    def _follow(self) -> None:
        """Keep the log with the run, across restarts."""
        since = self._log_from
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as output:
            while not self._gone.is_set():
                try:
                    stream = self.container().logs(stream=True, follow=True, timestamps=True, since=since)
                    for line in stream:
                        output.write(self._redact(line.decode(errors="replace")))
                        output.flush()
                    state = self.container().attrs["State"]
                    since = _after(state.get("FinishedAt", ""), since)
                except (APIError, ServiceError, OSError):
                    pass
                self._gone.wait(0.5)

    def stop(self) -> None:
        """Remove the container and its volumes.

        Raises:
            GuardError: the engine refuses.
        """
        self._gone.set()
        with suppress(
            APIError, ServiceError, NullResource
        ):  # never made, or removed by force below, whatever state it is in
            self.container().stop(timeout=math.ceil(self.service.stop_grace))
        if self._follower is not None:
            self._follower.join(timeout=3)
        for intent in reversed(self._intents):
            carry_out(intent.undo, self._client)
            self._journal.strike(intent.id)
        self._intents.clear()


def texts_of(environment: Mapping[str, object]) -> dict[str, str]:
    """Variables as a process gets them: secrets in the clear, truth values as `true` and `false`."""
    return {key: _plain(value) for key, value in environment.items()}


def _plain(value: object) -> str:
    if isinstance(value, Secret):
        return value.value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _after(finished: str, fallback: float | None) -> float | None:
    """Docker's time of the last end as the point from which to follow again."""
    from datetime import datetime  # noqa: PLC0415 - used here alone

    try:
        ended = datetime.fromisoformat(finished[:26]).timestamp()
    except ValueError:
        return fallback
    return ended if ended > 0 else fallback  # one that has never ended says so with the year 1
