"""One service of a Compose project: a container that the user's Compose tool made, or one that was there before the run."""

import shlex
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shakedown.errors import EngineError, Interrupted, ServiceError
from shakedown.guard.journal import Intent
from shakedown.plan.secrets import Redactor, looks_secret
from shakedown.plan.services import ComposeService
from shakedown.services.docker import PORT_ATTEMPTS, ContainerRunner, texts_of

if TYPE_CHECKING:
    from docker.models.containers import Container

    from shakedown.services.compose import ComposeProject

__all__ = ["ComposeRunner"]

FINISHES_WITHIN = 300.0
_LOOK = 0.1


class ComposeRunner(ContainerRunner):
    """One service of a Compose project.

    Attributes:
        attached: it was there before the run, and stays.
    """

    service: ComposeService

    def __init__(self, name: str, service: ComposeService, project: "ComposeProject", **common: Any) -> None:
        super().__init__(name, service, **common)
        self.attached = service.compose.attach is not None
        self.project = project

    def prepare(self) -> None:
        """The tool has the images, with the containers."""

    def start(self, network: str) -> None:
        """Start the container that the tool made; of what is attached to, follow the log from now on.

        Raises:
            EngineError: the engine refuses.
            ServiceError: it was to end by itself and did not, or with an error.
        """
        self._network = network
        if not self.attached:
            self._begin()
        self._follower = threading.Thread(target=self._follow, name=f"log-{self.handle.name}", daemon=True)
        self._follower.start()
        if self.service.compose.finishes and not self.attached:
            self._await_end()

    def _begin(self) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        for attempt in range(PORT_ATTEMPTS):
            try:
                self.container().start()
            except APIError as error:
                taken = "port is already allocated" in str(error) or "address already in use" in str(error)
                if not taken or attempt == PORT_ATTEMPTS - 1:
                    raise EngineError(f"service {self.handle.name} cannot be started: {error.explanation}") from error
                self.project.make_again(self)
            else:
                return

    def _await_end(self) -> None:
        until = time.monotonic() + FINISHES_WITHIN
        while True:
            state = self.container().attrs["State"]
            if state["Status"] in ("exited", "dead"):
                break
            if self.project.stop.is_set():
                raise Interrupted("interrupted while services were started")
            if time.monotonic() > until:
                raise ServiceError(
                    f"service {self.handle.name} was to end by itself and still runs after {FINISHES_WITHIN:.0f} s",
                    hint="the Compose file says that others need it to have completed", details=self.tail(20),
                )  # fmt: skip
            time.sleep(_LOOK)
        if state["ExitCode"]:
            raise ServiceError(
                f"service {self.handle.name} ended with exit code {state['ExitCode']}; others need it to have completed",
                details=self.tail(20),
            )

    def exit_code(self) -> int | None:
        """As of any container; one whose task is to end has done so."""
        code = super().exit_code()
        return None if code == 0 and self.service.compose.finishes else code

    def made(self, container: "Container", environment: Mapping[str, str]) -> None:
        """The tool has made it, or it was found."""
        self.handle.container, self.handle.container_name = str(container.id), str(container.name)
        self.handle.image = str(container.attrs["Config"]["Image"])
        self.service = self.service.model_copy(update={"environment": dict(environment)})
        hidden = frozenset(value for name, value in environment.items() if looks_secret(name) and len(value) > 3)
        if hidden:  # also what only an `env_file` holds
            outer, inner = self._redact, Redactor(hidden)
            self._redact = lambda text: inner.redact(outer(text))

    def create_stand_in(
        self, name: str, *, image: str | None, command: list[str] | str | None, entrypoint: list[str] | None,
        environment: Mapping[str, object], labels: Mapping[str, str],
    ) -> "Container":  # fmt: skip
        """As of any container; this one's settings are the engine's own record of the container that it stands in for."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        own = self.container().attrs
        config, host = dict(own["Config"]), dict(own["HostConfig"])
        now = dict(item.split("=", 1) for item in config["Env"] or [] if "=" in item)
        gone = {key for key in self.service.environment if key not in environment}
        given = {**{key: value for key, value in now.items() if key not in gone}, **texts_of(environment)}
        config["Env"] = [f"{key}={value}" for key, value in given.items()]
        config["Image"] = image or config["Image"]
        if command is not None:
            config["Cmd"] = shlex.split(command) if isinstance(command, str) else command
        if entrypoint is not None:
            config["Entrypoint"] = entrypoint
        kept = {
            key: value for key, value in (config["Labels"] or {}).items() if not key.startswith("com.docker.compose.")
        }
        config["Labels"] = {**kept, **self._labels.of(self.handle.name), **labels}
        if image is not None and command is None and entrypoint is None:
            config["Cmd"], config["Entrypoint"] = None, None  # the other image's own
        first, *others = own["NetworkSettings"]["Networks"].items()
        networking = {"EndpointsConfig": {first[0]: self._endpoint_of(first[1], own)}}
        api: Any = self._client.api  # the SDK has no types for these
        try:
            made = api.create_container_from_config(
                {**config, "HostConfig": host, "NetworkingConfig": networking}, name
            )
            for network, settings in others:
                api.connect_container_to_network(
                    made["Id"], network, aliases=self._endpoint_of(settings, own)["Aliases"]
                )
        except APIError as error:
            raise EngineError(f"nothing can stand in for service {self.handle.name}: {error.explanation}") from error
        return self._client.containers.get(made["Id"])

    def _endpoint_of(self, settings: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        names = [alias for alias in settings.get("Aliases") or [] if alias != own["Id"][:12]]
        fixed = settings.get("IPAMConfig") or None
        return {"Aliases": list(dict.fromkeys([self.handle.name, *names])), **({"IPAMConfig": fixed} if fixed else {})}

    def take(self, intent: Intent) -> None:
        """What is to be undone when it is stopped."""
        self._intents.append(intent)

    def follow_from(self, instant: float) -> None:
        """Its log before that is not the run's."""
        self._log_from = instant

    def stop(self) -> None:
        """Remove the container; what is attached to runs on.

        Raises:
            GuardError: the engine refuses.
        """
        if not self.attached:
            super().stop()
            return
        self._gone.set()
        if self._follower is not None:
            self._follower.join(timeout=0.5)
