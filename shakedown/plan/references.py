"""Everything in a plan that names something else, checked before anything starts."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from shakedown.errors import PlanProblem
from shakedown.plan.checks import compile_checks
from shakedown.plan.document import Document, Path
from shakedown.plan.executors import Replay
from shakedown.plan.model import DockerService, ExternalService, Plan, ProcessService, Service, UseScenario, UseSuite
from shakedown.plan.profiles import nearest
from shakedown.plan.references_drivers import driver_problems
from shakedown.plan.references_http import http_problems
from shakedown.plan.scenarios import Scenario
from shakedown.plan.sharding import shard_problems
from shakedown.plan.templates import template_problem
from shakedown.plan.threshold_references import ThresholdReferences
from shakedown.plan.uses import label_of

__all__ = ["check_references"]


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine for certain: `localhost`, or a loopback address in full."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: what it stands for is not ours to trust
        return False


def _exists(path: FilePath, *, file: bool = False) -> bool:
    """Whether a path is there; one that cannot even be asked for (too long, say) is not."""
    try:
        return path.is_file() if file else path.exists()
    except OSError:
        return False


def check_references(plan: Plan, document: Document, base: FilePath) -> list[PlanProblem]:
    """Every problem that shows only when the parts of a plan are seen together."""
    return list(_Checker(plan, document, base).problems())


class _Checker:
    def __init__(self, plan: Plan, document: Document, base: FilePath) -> None:
        self.plan = plan
        self.document = document
        self.base = base
        self.threshold_references = ThresholdReferences(plan, document)

    def problems(self) -> Iterator[PlanProblem]:
        for name, service in self.plan.services.items():
            yield from self.service(("services", name), name, service)
        yield from self.cycles()
        for name, scenario in self.plan.scenarios.items():
            yield from self.scenario(("scenarios", name), scenario)
        for name, suite in self.plan.suites.items():
            if not _exists(self.base / suite.pytest) and not suite.optional:
                yield self.missing_file(("suites", name, "pytest"), suite.pytest)
        yield from self.ledgers()
        yield from self.stages()

    # ------------------------------------------------------------------------------------------------- small helpers
    def problem(self, path: Path, message: str, hint: str | None = None) -> PlanProblem:
        return self.document.problem(path, message, hint)

    def unknown(self, path: Path, kind: str, name: str, choices: Iterable[str]) -> PlanProblem:
        known = list(choices)
        listing = f"the plan has {', '.join(known)}" if known else f"the plan has no {kind}"
        return self.problem(path, f"no such {kind}: `{name}`; {listing}", nearest(name, known))

    def missing_file(self, path: Path, name: str) -> PlanProblem:
        return self.problem(path, f"no such file or folder: {name}", f"paths start from the plan's folder, {self.base}")

    def port(self, path: Path, target: str) -> Iterator[PlanProblem]:
        """`service.port-name`."""
        name, dot, port = target.partition(".")
        if name not in self.plan.services:
            yield self.unknown(path, "service", name, self.plan.services)
            return
        ports = ports_of(self.plan.services[name])
        if not dot or port not in ports:
            named = f"; {name} has {', '.join(ports)}" if ports else f"; {name} has none"
            yield self.problem(path, f"`{target}` is no service.port{named}", nearest(port, list(ports)))

    def port_path(self, path: Path, name: str, value: str) -> Iterator[PlanProblem]:
        """`port-name:/path`."""
        port, colon, rest = value.partition(":")
        if not colon or not rest.startswith("/"):
            yield self.problem(path, f"`{value}` is no port and path; write http:/health")
        else:
            yield from self.port(path, f"{name}.{port}")

    # ------------------------------------------------------------------------------------------------------ services
    def service(self, path: Path, name: str, service: Service) -> Iterator[PlanProblem]:
        for index, needed in enumerate(service.depends_on):
            if needed not in self.plan.services:
                yield self.unknown((*path, "depends_on", index), "service", needed, self.plan.services)
        if service.health is not None and service.health.http is not None:
            yield from self.port_path((*path, "health", "http"), name, service.health.http)
        if service.health is not None and isinstance(service.health.tcp, str):
            yield from self.port((*path, "health", "tcp"), f"{name}.{service.health.tcp}")
        if service.metrics is not None:
            yield from self.port_path((*path, "metrics", "prometheus"), name, service.metrics.prometheus)
        if isinstance(service, DockerService):
            if service.build is not None and not _exists(
                self.base / service.build.context / service.build.dockerfile, file=True
            ):
                yield self.missing_file((*path, "build"), f"{service.build.context}/{service.build.dockerfile}")
            for inside, outside in service.files.items():
                if not _exists(self.base / outside):
                    yield self.missing_file((*path, "files", inside), outside)
        if not isinstance(service, DockerService) and service.health is not None and service.health.docker:
            kind = "a process" if isinstance(service, ProcessService) else "an address"
            yield self.problem(
                (*path, "health", "docker"), f"{kind} has no Docker healthcheck; use http, tcp or command"
            )

    def cycles(self) -> Iterator[PlanProblem]:
        done: set[str] = set()

        def visit(name: str, trail: tuple[str, ...]) -> Iterator[PlanProblem]:
            if name in trail:
                ring = " → ".join((*trail[trail.index(name) :], name))
                yield self.problem(("services", name, "depends_on"), f"services wait for each other: {ring}")
                return
            if name in done or name not in self.plan.services:
                return
            for needed in self.plan.services[name].depends_on:
                yield from visit(needed, (*trail, name))
            done.add(name)

        for name in self.plan.services:
            yield from visit(name, ())

    # ----------------------------------------------------------------------------------------------------- scenarios
    def scenario(self, path: Path, scenario: Scenario) -> Iterator[PlanProblem]:
        target = (*path, scenario.driver, "target")
        if scenario.target is not None:
            yield from self.port(target, scenario.target)
        service = self.plan.services.get((scenario.target or "").partition(".")[0])
        if isinstance(service, ExternalService) and not service.allow:
            host = urlsplit(service.url).hostname or ""
            if not is_loopback(host):
                yield self.problem(
                    target,
                    f"load on {host}, which is not on this machine",
                    "say `allow: true` at the service, if it is yours",
                )
        if isinstance(scenario.executor, Replay) and not _exists(self.base / scenario.executor.file, file=True):
            yield self.missing_file((*path, "executor", "file"), scenario.executor.file)
        if scenario.data is not None and not _exists(self.base / scenario.data.file, file=True):
            yield self.missing_file((*path, "data", "file"), scenario.data.file)
        yield from driver_problems(
            path, scenario, self.document, self.base, ledgers=self.plan.ledgers, is_own=is_loopback
        )
        yield from http_problems(
            scenario.http, (*path, "http"), self.document, self.base, ledgers=self.plan.ledgers,
            rows=scenario.data is not None,
        )  # fmt: skip

    def ledgers(self) -> Iterator[PlanProblem]:
        used = {ledger for scenario in self.plan.scenarios.values() for ledger in scenario.ledgers}
        for name, ledger in self.plan.ledgers.items():
            path: Path = ("ledgers", name)
            yield from self.port((*path, "read", "target"), ledger.read.target)
            if problem := template_problem(ledger.read.get, frozenset({"key"})):
                yield self.problem((*path, "read", "get"), problem)
            for index, check in enumerate(ledger.read.checks):
                try:
                    compile_checks([check])
                except ValueError as error:
                    yield self.problem((*path, "read", "checks", index), str(error))
            if name not in used:
                yield self.problem(path, "no request writes into this ledger", f"say `ledger: {name}` at a request")

    # -------------------------------------------------------------------------------------------------------- stages
    def stages(self) -> Iterator[PlanProblem]:
        stages, root = self.plan.stages, ("stages",)
        if not stages.model_dump(exclude_none=True):
            yield self.problem(root, "no stage at all", "begin with `baseline`")
        if stages.baseline is not None:
            path: Path = (*root, "baseline")
            for index, suite in enumerate(stages.baseline.suites):
                if suite not in self.plan.suites:
                    yield self.unknown((*path, "suites", index), "suite", suite, self.plan.suites)
            uses: list[UseScenario | UseSuite] = [UseSuite(suite=suite) for suite in stages.baseline.suites]
            yield from self.uses((*path, "scenarios"), stages.baseline.scenarios, taken=stages.baseline.suites)
            yield from self.thresholds(path, stages.baseline.thresholds, [*uses, *stages.baseline.scenarios])
        if stages.stress is not None:
            yield from self.uses((*root, "stress", "parallel"), stages.stress.parallel)
            yield from self.thresholds((*root, "stress"), stages.stress.thresholds, stages.stress.parallel)
        if stages.endurance is not None:
            yield from self.uses((*root, "endurance", "run"), stages.endurance.run)
            yield from self.thresholds((*root, "endurance"), stages.endurance.thresholds, stages.endurance.run)
            for index, leak in enumerate(stages.endurance.leaks):
                yield from self.series((*root, "endurance", "leaks", index), leak.series)
        yield from self.faults()
        yield from self.recovery()

    def uses(
        self, path: Path, uses: Sequence[UseScenario | UseSuite], taken: Sequence[str] = ()
    ) -> Iterator[PlanProblem]:
        labels: set[str] = set(taken)
        for index, use in enumerate(uses):
            here = (*path, index)
            if isinstance(use, UseSuite) and use.suite not in self.plan.suites:
                yield self.unknown((*here, "suite"), "suite", use.suite, self.plan.suites)
            if isinstance(use, UseScenario):
                yield from self.use(here, use)
            label = label_of(use)
            if label in labels:
                yield self.problem(here, f"two parts of this stage are called `{label}`", "give one of them a `label`")
            labels.add(label)

    def use(self, path: Path, use: UseScenario) -> Iterator[PlanProblem]:
        if use.use not in self.plan.scenarios:
            yield self.unknown((*path, "use"), "scenario", use.use, self.plan.scenarios)
            return
        executor = self.plan.scenarios[use.use].executor
        for key in ("rate", "vus", "duration", "max_vus"):
            if getattr(use, key) is not None and key not in type(executor).model_fields:
                yield self.problem((*path, key), f"`{key}` does not fit the scenario's executor, {executor.type}")
        for way in ("steps", "capacity"):
            part = getattr(use, way)
            if part is None:
                continue
            key = "vus" if way == "steps" and part.vus else "rate"
            if path[:2] != ("stages", "stress"):
                yield self.problem((*path, way), f"`{way}` belongs to the stress stage")
            elif key not in type(executor).model_fields or "duration" not in type(executor).model_fields:
                fitting = "constant-vus" if key == "vus" else "constant-arrival-rate"
                yield self.problem(
                    (*path, way),
                    f"`{way}` of {key} do not fit the scenario's executor, {executor.type}",
                    f"use {fitting}",
                )
        for where, text in shard_problems(self.plan, use, path):
            yield self.problem(where, text)

    def series(self, path: Path, text: str) -> Iterator[PlanProblem]:
        yield from self.threshold_references.series(path, text)

    def thresholds(
        self, path: Path, texts: Sequence[str], uses: Sequence[UseScenario | UseSuite], key: str = "thresholds"
    ) -> Iterator[PlanProblem]:
        yield from self.threshold_references.thresholds((*path, key), texts, uses)

    def faults(self) -> Iterator[PlanProblem]:
        stage = self.plan.stages.faults
        if stage is None:
            return
        path: Path = ("stages", "faults")
        yield from self.use((*path, "load"), stage.load)
        yield from self.thresholds(path, stage.thresholds, [stage.load])
        names: set[str] = set()
        for index, experiment in enumerate(stage.experiments):
            here: Path = (*path, "experiments", index)
            if experiment.name in names:
                yield self.problem((*here, "name"), f"two experiments are called `{experiment.name}`")
            names.add(experiment.name)
            fault = experiment.fault
            target = self.plan.services.get(fault.target)
            if target is None:
                yield self.unknown((*here, "fault", "target"), "service", fault.target, self.plan.services)
            elif not isinstance(target, DockerService):
                yield self.problem(
                    (*here, "fault", "target"),
                    f"{fault.type} acts on containers; `{fault.target}` is none",
                    "give the service an `image` or `build`",
                )
            elif fault.type == "network-latency" and not (fault.ports or listening_ports(target)):
                yield self.problem((*here, "fault"), f"`{fault.target}` has no known port", "give `ports: [5432]`")
            for peer_index, peer in enumerate(fault.peers if fault.type == "network-partition" else ()):
                if peer not in self.plan.services or peer == fault.target:
                    others = [name for name in self.plan.services if name != fault.target]
                    yield self.unknown((*here, "fault", "peers", peer_index), "other service", peer, others)
            for key in ("during", "after"):
                yield from self.thresholds((*here, "expect"), getattr(experiment.expect, key), [stage.load], key)
            for service in experiment.expect.health:
                where = (*here, "expect", "health", service)
                if service not in self.plan.services:
                    yield self.unknown(where, "service", service, self.plan.services)
                elif self.plan.services[service].health is None:
                    yield self.problem(where, f"`{service}` has no health to look at", "give the service `health:`")

    def recovery(self) -> Iterator[PlanProblem]:
        stage = self.plan.stages.recovery
        if stage is None:
            return
        path: Path = ("stages", "recovery")
        baseline = self.plan.stages.baseline
        if stage.tolerance and (baseline is None or not baseline.scenarios):
            yield self.problem((*path, "tolerance"), "there is no load in the baseline to compare with")
        for index, name in enumerate(stage.ledgers):
            if name not in self.plan.ledgers:
                yield self.unknown((*path, "ledgers", index), "ledger", name, self.plan.ledgers)
        yield from self.thresholds(path, stage.thresholds, baseline.scenarios if baseline else [])


def ports_of(service: Service) -> dict[str, int]:
    """A service's named ports; an external one has `http`, from its URL."""
    if isinstance(service, ExternalService):
        parts = urlsplit(service.url)
        return {"http": parts.port or (443 if parts.scheme == "https" else 80), **service.ports}
    return service.ports


def listening_ports(service: Service) -> list[int]:
    """Every port that the plan says a service listens on."""
    ports = list(ports_of(service).values())
    if service.health is not None and isinstance(service.health.tcp, int) and service.health.tcp not in ports:
        ports.append(service.health.tcp)
    return ports
