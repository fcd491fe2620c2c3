"""A Compose project as services of a run: made by the user's Compose tool, started by us; or attached to.

::

    tool config ──▶ made over: the run's names, labels, ports ──▶ tool up --no-start ──▶ containers by their labels
                    (compose_config)                              networks, volumes, images      │
                                                          started in the plan's waves, each healthy before the next

What the tool makes has its undo in the journal first, by the names that it will have. What is attached to keeps its
name, its ports and its life: nothing of it has our label, so nothing of it is ever removed.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shakedown.errors import EngineError, GuardError, Interrupted, PlanError, PlanProblem, ServiceError
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.labels import COMPOSE_PROJECT, RUN, RunLabels
from shakedown.guard.undo import ContainerRemove, NetworkRemove, VolumeRemove, carry_out
from shakedown.plan.model import Plan
from shakedown.plan.services import Build, ComposeService, DockerService
from shakedown.services.compose_config import Asked, MadeOver, make_over
from shakedown.services.compose_container import ComposeRunner
from shakedown.services.compose_tool import find_tool
from shakedown.services.docker import ContainerRunner, texts_of
from shakedown.services.handle import Address
from shakedown.services.ports import free_port

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["ComposeProject", "check_project"]

SERVICE, ONE_OFF = "com.docker.compose.service", "com.docker.compose.oneoff"
LISTENS_WITHIN = 60.0
RELAY = Path(__file__).parent.parent / "faults" / "agent"  # the agent's program, which can also just listen and hand on
# It ends with its input, so it is given one that does not end.
_RELAY = ["sh", "-c", 'tail -f /dev/null | python3 -u /agent/agent.py "$@"', "relay"]
_LOOK = 0.1
_LISTENS = "0A"  # a socket's state in /proc/net/tcp


class ComposeProject:
    """The project of a plan, for one run.

    Args:
        base: the plan's folder.
        run_dir: the tool's words are kept in it.
        note: told what is not as in the Compose file.
        beside: a container of the run's own, not started yet.
    """

    def __init__(
        self, service: ComposeService, *, base: Path, run_dir: Path, client: "DockerClient", run: str, labels: RunLabels,
        journal: Journal, redact: Callable[[str], str], note: Callable[[str, str], None],
        beside: Callable[[str, DockerService], ContainerRunner],
    ) -> None:  # fmt: skip
        self.source = service.compose
        self.stop = threading.Event()
        self._files = [(base / name).resolve() for name in self.source.files]
        self._client, self._run, self._labels, self._journal = client, run, labels, journal
        self._redact, self._note, self._log = redact, note, run_dir / "compose.log"
        self._beside = beside
        self._ways: list[ContainerRunner] = []
        self._tool = None if self.source.attach else find_tool()
        self._runners: dict[str, ComposeRunner] = {}
        self._made: MadeOver | None = None
        self._network = ""
        self._intents: list[Intent] = []
        self._again = threading.Lock()
        self.home: str | None = None

    @property
    def name(self) -> str:
        """As the tool knows it."""
        return self.source.attach or f"shakedown-{self._run}".lower()

    def begin(self, runners: Mapping[str, ComposeRunner], network: str | None, stop: threading.Event) -> None:
        """Have every container: made and not started, or found running.

        Args:
            network: the run's, which is the project's default network too; None when it is attached to.

        Raises:
            EngineError: the tool or the engine refuses.
            ServiceError: what is to be attached to does not run, or cannot be reached.
            Interrupted: `stop` was set meanwhile.
        """
        self._runners, self.stop = dict(runners), stop
        if self._tool is None:
            self._attach()
        else:
            self._network = network or ""
            self._make()

    # ------------------------------------------------------------------------------------------------ one of the run's
    def _make(self) -> None:
        self._note("", f"the Compose project is made by {self._tool_name}")
        self._made_over()
        for name in self._over.volumes:
            self._intents.append(self._journal.intend("volume", f"volume {name}", VolumeRemove(volume=name)))
        for name in self._over.networks:
            self._intents.append(self._journal.intend("network", f"network {name}", NetworkRemove(network=name)))
        for name, full in self._over.containers.items():
            intent = self._journal.intend("container", f"container {full}", ContainerRemove(container=full))
            self._runners[name].take(intent)
        for text in dict.fromkeys(self._over.notes):
            self._note("", text)
        self._create([], anew=False)
        for runner in self._runners.values():
            self._find(runner)

    @property
    def _tool_name(self) -> str:
        return f"{self._tool.name} {self._tool.version}" if self._tool is not None else ""

    @property
    def _over(self) -> MadeOver:
        if self._made is None:
            raise EngineError("the Compose project was not made yet")
        return self._made

    def _made_over(self) -> None:
        """Choose ports, and make the project over with them."""
        assert self._tool is not None  # noqa: S101 - nothing is made of what is attached to
        config = self._tool.config(self._files, self.source.profiles, self.source.variables)
        asked = {}
        for name, runner in self._runners.items():
            ports = {}
            for port_name, inside in runner.port_numbers().items():
                ports[inside] = free_port()
                runner.handle.addresses[port_name] = Address("127.0.0.1", ports[inside], _scheme(port_name))
            given = {key: runner.service.environment[key] for key in runner.service.compose.environment}
            asked[name] = Asked(ports, texts_of(given), tuple(runner.service.aliases), self._labels.of(name))
        self._made = make_over(
            config,
            asked,
            prefix=f"shakedown-{self._run}",
            network=self._network,
            labels=self._labels.of(),
            origin=self._files[0],
        )
        self.home = self._made.home

    def _create(self, services: list[str], *, anew: bool) -> None:
        assert self._tool is not None  # noqa: S101 - as above
        self._tool.create(
            self._over.text, self.name, self._files[0].parent, log=self._log, journal=self._journal, stop=self.stop,
            redact=self._redact, services=services, anew=anew,
        )  # fmt: skip

    def _find(self, runner: ComposeRunner) -> None:
        """A container that the tool made, in all networks that it is to have."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415 - see guard.engine

        name = runner.handle.name
        try:
            container = self._client.containers.get(self._over.containers[name])
            if RUN not in container.labels:
                raise EngineError(
                    f"the container {container.name} has not the run's labels: {self._tool_name} left them out"
                )
            there = container.attrs["NetworkSettings"]["Networks"]
            for network, settings in self._over.joined[name].items():
                if network not in there:  # the older tool joins further networks only when it starts a container
                    self._client.networks.get(network).connect(container, **settings)
            container.reload()
        except NotFound:
            raise EngineError(
                f"{self._tool_name} made no container {self._over.containers[name]} in this engine",
                hint="it uses another one: set DOCKER_HOST to the same for both",
            ) from None
        except APIError as error:
            raise EngineError(f"service {name} cannot be connected to its networks: {error.explanation}") from error
        runner.made(container, self._over.environment[name])

    def make_again(self, runner: ComposeRunner) -> None:
        """Another container with other ports: one was taken by somebody else meanwhile."""
        with self._again:
            self._made_over_ports(runner)
            self._create([runner.handle.name], anew=True)
            self._find(runner)

    def _made_over_ports(self, runner: ComposeRunner) -> None:
        """New ports for one service alone: the others' containers stand already."""
        import yaml  # noqa: PLC0415 - rarely needed

        data = yaml.safe_load(self._over.text)
        numbers = runner.port_numbers()
        chosen = {inside: free_port() for inside in numbers.values()}
        data["services"][runner.handle.name]["ports"] = [f"127.0.0.1:{out}:{inside}" for inside, out in chosen.items()]
        self._over.text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        for name, inside in numbers.items():
            before = runner.handle.addresses[name]
            runner.handle.addresses[name] = Address("127.0.0.1", chosen[inside], before.scheme)

    def adopt(self, name: str, container: str) -> None:
        """Put a container of the plan's own, which has a project's service's name, into that one's networks."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415 - see guard.engine

        if self._made is None or name in self._runners:
            return
        for network, settings in self._made.joined.get(name, {}).items():
            if network == self.home:
                continue
            try:
                self._client.networks.get(network).connect(container, aliases=settings["aliases"])
            except NotFound:  # nobody else is in it
                continue
            except APIError as error:
                raise EngineError(f"service {name} cannot be connected to {network}: {error.explanation}") from error

    # ------------------------------------------------------------------------------------------- one that runs already
    def _attach(self) -> None:
        now = time.time()
        for name, runner in self._runners.items():
            container = self._running(name)
            mode = str(container.attrs["HostConfig"]["NetworkMode"])
            if mode in ("host", "none") or mode.startswith("container:"):
                raise ServiceError(
                    f"`{name}` of the project {self.name} has the network of {mode}: a fault in it would act on somebody else's"
                )
            runner.made(container, _variables(container))
            runner.follow_from(now)
            self._reach(runner, container)
            if self.home is None:
                self.home = next(iter(container.attrs["NetworkSettings"]["Networks"]), None)
        self._note("", f"attached to the Compose project {self.name}, which is left running")

    def _running(self, name: str) -> "Container":
        """The one container of a service of a project that runs."""
        labels = [f"{COMPOSE_PROJECT}={self.name}", f"{SERVICE}={name}", f"{ONE_OFF}=False"]
        found = self._client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        if not found:
            projects = sorted(
                {
                    str(one.labels.get(COMPOSE_PROJECT))
                    for one in self._client.containers.list(filters={"label": COMPOSE_PROJECT})
                }
            )
            there = f"; running are {', '.join(projects)}" if projects else "; no Compose project runs"
            hint = "start it first, or take `attach` out of the plan: then the run starts one of its own"
            raise ServiceError(
                f"no container of a Compose project {self.name} has the service `{name}`{there}", hint=hint
            )
        if len(found) > 1:
            raise ServiceError(
                f"`{name}` of the project {self.name} has {len(found)} containers: a fault and its proof need one",
                hint=f"scale it to one: docker-compose up --scale {name}=1",
            )
        if found[0].status != "running" and not self._runners[name].service.compose.finishes:
            raise ServiceError(
                f"`{name}` of the project {self.name} is {found[0].status}",
                hint="what is attached to must run; `only` lists the services that a plan needs",
            )
        return found[0]

    def _reach(self, runner: ComposeRunner, container: "Container") -> None:
        """Where its ports are from here: as they are published, else through a relay of ours in its network."""
        published = container.attrs["NetworkSettings"]["Ports"] or {}
        hidden: dict[str, int] = {}
        for port_name, inside in runner.port_numbers().items():
            bound = next((one for one in published.get(f"{inside}/tcp") or [] if ":" not in one["HostIp"]), None)
            if bound is None:
                hidden[port_name] = inside
                continue
            host = "127.0.0.1" if bound["HostIp"] in ("", "0.0.0.0") else bound["HostIp"]  # noqa: S104 - read, not bound
            runner.handle.addresses[port_name] = Address(host, int(bound["HostPort"]), _scheme(port_name))
        networks = list(container.attrs["NetworkSettings"]["Networks"])
        if not hidden or not networks:
            return
        name = runner.handle.name
        command = [
            part for inside in hidden.values() for part in ("--listen", f"0.0.0.0:{inside}", "--to", f"{name}:{inside}")
        ]
        way = self._beside(
            f"way-to-{name}",
            DockerService(
                build=Build(context=str(RELAY)), entrypoint=_RELAY, command=command, ports=hidden, stop_grace=0
            ),
        )
        self._ways.append(way)
        way.prepare()
        way.start(networks[0])
        self._await_listening(way, hidden.values())
        for port_name, address in way.handle.addresses.items():
            runner.handle.addresses[port_name] = Address(address.host, address.port, _scheme(port_name))

    def _await_listening(self, way: ContainerRunner, ports: Iterable[int]) -> None:
        """Before it listens, the engine's own proxy takes connections at its ports and drops them."""
        wanted = {f":{port:04X}" for port in ports}
        until = time.monotonic() + LISTENS_WITHIN
        while True:
            rows = (line.split() for line in way.run_inside(["cat", "/proc/net/tcp"])[1].splitlines())
            if wanted <= {row[1][-5:] for row in rows if len(row) > 3 and row[3] == _LISTENS}:
                return
            if self.stop.is_set():
                raise Interrupted("interrupted while services were started")
            if time.monotonic() > until:
                raise ServiceError(
                    f"{way.handle.name}, a relay of ours, does not listen after {LISTENS_WITHIN:.0f} s",
                    details=way.tail(20),
                )
            time.sleep(_LOOK)

    # ------------------------------------------------------------------------------------------------------ at the end
    def end(self) -> list[str]:
        """Remove what the tool made beside the containers; what could not be removed is returned."""
        problems: list[str] = []
        for way in self._ways:
            try:
                way.stop()
            except GuardError as error:
                problems.append(str(error))
        for intent in reversed(self._intents):
            try:
                carry_out(intent.undo, self._client)
                self._journal.strike(intent.id)
            except GuardError as error:
                problems.append(str(error))
        self._intents.clear()
        return problems


def check_project(plan: Plan, base: Path) -> str | None:
    """Let the Compose tool read a plan's project, where there is one; nothing is started.

    Returns:
        Why the tool could not be asked; None when it was, or there is no project.

    Raises:
        PlanError: the tool does not take the files, in its own words; or lacks a service that they seem to have.
    """
    names = [name for name, service in plan.services.items() if isinstance(service, ComposeService)]
    if not names:
        return None
    service = plan.services[names[0]]
    assert isinstance(service, ComposeService)  # noqa: S101 - just looked
    files = [(base / name).resolve() for name in service.compose.files]
    try:
        tool = find_tool()
    except EngineError as error:
        return error.message
    plain = {name: Asked({}, {}, (), {}) for name in names}
    try:
        config = tool.config(files, service.compose.profiles, service.compose.variables)
        make_over(config, plain, prefix="", network="", labels={}, origin=files[0])
    except EngineError as error:
        raise PlanError([PlanProblem(error.message, file=service.compose.files[0], hint=error.hint)]) from None
    return None


def _scheme(port_name: str) -> str:
    return "https" if port_name == "https" else "http"


def _variables(container: "Container") -> dict[str, str]:
    with suppress(KeyError, TypeError):
        return dict(item.split("=", 1) for item in container.attrs["Config"]["Env"] if "=" in item)
    return {}
