"""The system under test as a whole."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shakedown.clock import RunClock
from shakedown.errors import EngineError, GuardError, Interrupted, ServiceError
from shakedown.guard.engine import find_engine
from shakedown.guard.journal import Journal
from shakedown.guard.labels import RunLabels
from shakedown.plan.faults import fronted
from shakedown.plan.faults.service import ServiceReplace
from shakedown.plan.model import Plan
from shakedown.plan.services import ComposeService, DockerService, ExternalService, Health, ProcessService
from shakedown.records.observation import Event, ProbeResult
from shakedown.services.compose import ComposeProject
from shakedown.services.compose_container import ComposeRunner
from shakedown.services.docker import ContainerRunner, RunNetwork
from shakedown.services.foreground import ForegroundProxy
from shakedown.services.handle import Address, Handle
from shakedown.services.health import look
from shakedown.services.images import require_image
from shakedown.services.process import ProcessRunner
from shakedown.services.vendors import as_container, scheme_of

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["System"]

TAIL = 20


class System:
    """All services of a plan.

    Args:
        base: the plan's folder, where its relative paths start.
        run_dir: logs go to `logs/` in it.
        on_event: told what happens to services.
        redact: takes secrets out of logs.
    """

    def __init__(
        self, plan: Plan, *, base: Path, run: str, clock: RunClock, journal: Journal, run_dir: Path,
        on_event: Callable[[Event], None], redact: Callable[[str], str],
    ) -> None:  # fmt: skip
        self.plan = plan
        self.run = run
        self.labels = RunLabels(run, plan.name, str(journal.owner))
        self.client: DockerClient | None = None
        self.journal = journal
        self.base, self._clock, self._run_dir = base, clock, run_dir
        self._on_event, self._redact = on_event, redact
        self._proxied = fronted(plan)
        self._network: RunNetwork | None = None
        self._project: ComposeProject | None = None
        self._runners: dict[str, ContainerRunner | ProcessRunner] = {}
        self._external: dict[str, Handle] = {}
        self._fronts: dict[str, ForegroundProxy] = {}
        self._beside = threading.Lock()  # suites begin at the same time

    # ----------------------------------------------------------------------------------------------------- life cycle
    def start(self, stop: threading.Event) -> None:
        """Start every service after those that it depends on are healthy.

        Raises:
            ServiceError: one cannot be started or never got healthy; with its last log lines.
            Interrupted: `stop` was set meanwhile.
        """
        self._make_runners()
        containers = [runner for runner in self._runners.values() if isinstance(runner, ContainerRunner)]
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="services") as pool:
            unique = {repr(runner.service.build or runner.service.image): runner for runner in containers}
            list(pool.map(lambda one: one.prepare(), unique.values()))
            for runner in containers:
                runner.prepare()
            self._have_replacements()
            attached = self._project is not None and self._project.source.attach is not None
            if containers and self.client is not None and not attached:
                self._network = RunNetwork(self.client, self.run, self.labels, self.journal)
            if self._project is not None:
                ours = {name: one for name, one in self._runners.items() if isinstance(one, ComposeRunner)}
                self._project.begin(ours, self._network.name if self._network else None, stop)
            for wave in self._waves():
                if stop.is_set():
                    raise Interrupted("interrupted while services were started")
                list(pool.map(lambda name: self._start_one(name, stop), wave))

    def _make_runners(self) -> None:
        for name, service in self.plan.services.items():
            log = self._run_dir / "logs" / f"{name}.log"
            if isinstance(service, ExternalService):
                parts = urlsplit(service.url)
                port = parts.port or (443 if parts.scheme == "https" else 80)
                address = Address(parts.hostname or "", port, parts.scheme)
                others = {key: Address(parts.hostname or "", number) for key, number in service.ports.items()}
                self._external[name] = Handle(name, "external", {"http": address, **others})
            elif isinstance(service, ProcessService):
                self._runners[name] = ProcessRunner(name, service, self.base, log, self.journal)
            elif isinstance(service, ComposeService):
                self._runners[name] = ComposeRunner(name, service, self._project_of(service), **self._common(name, log))
            else:
                container = as_container(name, service, self.base, self._run_dir)
                self._runners[name] = ContainerRunner(
                    name, container, scheme=scheme_of(service), **self._common(name, log)
                )

    def _common(self, name: str, log: Path) -> dict[str, Any]:
        """What every container's runner is given."""
        self.client = self.client or find_engine()
        return {
            "base": self.base, "log": log, "client": self.client, "run": self.run, "labels": self.labels,
            "journal": self.journal, "redact": self._redact, "say": partial(self._say, name),
        }  # fmt: skip

    def _project_of(self, service: ComposeService) -> ComposeProject:
        """The plan's Compose project; there is one at most."""
        if self._project is None:
            self.client = self.client or find_engine()
            self._project = ComposeProject(
                service, base=self.base, run_dir=self._run_dir, client=self.client, run=self.run, labels=self.labels,
                journal=self.journal, redact=self._redact, note=self._say,
                beside=lambda name, way: ContainerRunner(name, way, **self._common(name, self._run_dir / "logs" / f"{name}.log")),
            )  # fmt: skip
        return self._project

    def _have_replacements(self) -> None:
        """Have the images that experiments put in services' places: a fault is no time to pull one.

        One that cannot be had is told, and its experiment refused; the others can go on.
        """
        for fault in (fault for experiment in self.plan.experiments for _, fault in experiment.faults_at()):
            if isinstance(fault, ServiceReplace) and fault.image is not None and self.client is not None:
                try:
                    require_image(self.client, fault.image, partial(self._say, fault.target))
                except EngineError as error:
                    self._say(fault.target, str(error))

    def _say(self, service: str, text: str) -> None:
        self._on_event(Event(self._clock.now(), "service.progress", service, text))

    def _waves(self) -> list[list[str]]:
        """Services in groups; each group needs only those before it. (The plan has no cycles: it was checked.)."""
        waves: list[list[str]] = []
        done: set[str] = set()
        left = list(self.plan.services)
        while left:
            wave = [name for name in left if set(self.plan.services[name].depends_on) <= done]
            waves.append(wave)
            done.update(wave)
            left = [name for name in left if name not in done]
        return waves

    def _start_one(self, name: str, stop: threading.Event) -> None:
        runner = self._runners.get(name)
        if isinstance(runner, ContainerRunner) and self.network is not None:
            runner.start(self.network)
            if self._project is not None:
                self._project.adopt(name, str(runner.handle.container))
        elif isinstance(runner, ProcessRunner):
            runner.start(self.environment())
        if name in self._proxied:
            handle = runner.handle if runner is not None else self._external[name]
            log = self._run_dir / "logs" / f"{name}-proxy.log"
            self._fronts[name] = ForegroundProxy(name, handle.addresses, log, self.journal)
        self._await_health(name, stop)

    def _await_health(self, name: str, stop: threading.Event) -> None:
        health = self.plan.services[name].health
        runner = self._runners.get(name)
        begun = time.monotonic()
        detail = ""
        while health is not None:
            result = self.check_health(name)
            if result.healthy:
                break
            detail = result.detail
            if stop.is_set():
                raise Interrupted("interrupted while services were started")
            code = runner.exit_code() if runner else None
            if code is not None:
                raise ServiceError(
                    f"service {name} ended with exit code {code} before it was healthy", details=self._tail(name)
                )
            if time.monotonic() - begun > health.within:
                raise ServiceError(
                    f"service {name} did not get healthy within {health.within:g} s: {detail}",
                    hint="its last lines are above; `health.within` gives it more time",
                    details=self._tail(name),
                )
            time.sleep(health.interval)
        took = time.monotonic() - begun
        self._on_event(Event(self._clock.now(), "service.healthy", name, f"healthy after {took:.1f} s"))

    def stop(self) -> list[str]:
        """Stop and remove everything that was started, in reverse; what could not be removed is returned."""
        problems: list[str] = []

        def end(runner: ContainerRunner | ProcessRunner) -> None:
            try:
                runner.stop()
            except (GuardError, OSError) as error:
                problems.append(f"service {runner.handle.name}: {error}")

        for front in self._fronts.values():
            try:
                front.stop()
            except (GuardError, OSError) as error:
                problems.append(f"the proxy before {front.name}: {error}")
        self._fronts.clear()
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="services") as pool:
            list(pool.map(end, reversed(self._runners.values())))
        if self._project is not None:
            problems += self._project.end()
        if self._network is not None:
            try:
                self._network.remove()
            except GuardError as error:
                problems.append(str(error))
        return problems

    # ------------------------------------------------------------------------------------------------------- look-ups
    @property
    def handles(self) -> dict[str, Handle]:
        """Every service; one with a proxy before it has the proxy's addresses."""
        found = {**{name: runner.handle for name, runner in self._runners.items()}, **self._external}
        for name, front in self._fronts.items():
            found[name] = replace(found[name], addresses=front.addresses)
        return found

    def handle(self, name: str) -> Handle:
        """One service."""
        return self.handles[name]

    def runner(self, name: str) -> ContainerRunner | ProcessRunner | None:
        """What runs a service; None for an external one."""
        return self._runners.get(name)

    def front(self, name: str) -> ForegroundProxy | None:
        """The proxy in the foreground before a process or an outside URL, where the plan has a fault for one."""
        return self._fronts.get(name)

    @property
    def network(self) -> str | None:
        """The name of the run's network, when it has one; of a Compose project, its services' common one."""
        if self._project is not None and self._project.home is not None:
            return self._project.home
        return self._network.name if self._network else None

    def address(self, target: str) -> Address:
        """Where `service.port-name` is reached from this machine."""
        name, _, port = target.partition(".")
        return self.handle(name).addresses[port]

    def environment(self) -> dict[str, str]:
        """`SHAKEDOWN_<SERVICE>_<PORT>` = URL, for suites and processes."""
        return {
            f"SHAKEDOWN_{name}_{port}".upper().replace("-", "_"): address.url
            for name, handle in self.handles.items()
            for port, address in handle.addresses.items()
        }

    def inner_environment(self) -> dict[str, str]:
        """The same for whoever is on the run's network: services under their names and own ports."""
        own = {
            f"SHAKEDOWN_{name}_{port}".upper().replace(
                "-", "_"
            ): f"{self.handle(name).addresses[port].scheme}://{name}:{number}"
            for name, service in self.plan.services.items()
            if self.is_container(name)
            for port, number in service.ports.items()
        }
        return {**self.environment(), **own}

    @contextmanager
    def beside(self, name: str, service: DockerService) -> Iterator[ContainerRunner]:
        """One more container on the run's network, for as long as the context lasts.

        Raises:
            EngineError: no engine answers, or it refuses.
        """
        self.client = self.client or find_engine()
        with self._beside:
            network = self.network
            if network is None:
                self._network = RunNetwork(self.client, self.run, self.labels, self.journal)
                network = self._network.name
        runner = ContainerRunner(name, service, **self._common(name, self._run_dir / "logs" / f"{name}.log"))
        runner.prepare()
        try:
            runner.start(network)
            yield runner
        finally:
            runner.stop()

    def health_of(self, name: str) -> Health | None:
        """How a service's health is seen."""
        return self.plan.services[name].health

    def check_health(self, name: str) -> ProbeResult:
        """Look at a service once; one without health is healthy while it runs."""
        at = self._clock.now()
        runner, health = self._runners.get(name), self.health_of(name)
        if health is None:
            code = runner.exit_code() if runner else None
            return ProbeResult(at, name, code is None, 0.0, "runs" if code is None else f"ended with {code}")
        inside = runner.run_inside if isinstance(runner, ContainerRunner) else None
        says = runner.docker_health if isinstance(runner, ContainerRunner) else None
        found = look(
            self.handle(name), health, ports=self.plan.services[name].ports, run_inside=inside, docker_says=says
        )
        return ProbeResult(at, name, found.healthy, found.latency, found.detail)

    def is_container(self, name: str) -> bool:
        """Whether a service is a container of ours."""
        return isinstance(self.plan.services[name], DockerService)

    def lasts(self, name: str) -> bool:
        """Whether a service is a container that is there all the time: not one whose task ends before the others start."""
        service = self.plan.services[name]
        return self.is_container(name) and not (isinstance(service, ComposeService) and service.compose.finishes)

    def _tail(self, name: str) -> list[str]:
        runner = self._runners.get(name)
        return [self._redact(line) for line in runner.tail(TAIL)] if runner else []
