"""Everything in a plan that names something else, checked before anything starts."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from pydantic import ValidationError

from shakedown.errors import PlanProblem
from shakedown.plan.abort import parse_condition
from shakedown.plan.alerts import Alert
from shakedown.plan.document import Document, Path
from shakedown.plan.executors import Replay
from shakedown.plan.experiments import EachDependency, Experiment
from shakedown.plan.faults import FaultModel, conflict
from shakedown.plan.faults.base import no_such
from shakedown.plan.freed import COUNTING
from shakedown.plan.hosts import is_loopback
from shakedown.plan.model import DRIFTS, FaultsStage, Plan, UseScenario, UseSuite
from shakedown.plan.probes import URL_PORT, Probe
from shakedown.plan.profiles import nearest
from shakedown.plan.references_behaviour import expect_problems, stage_problems
from shakedown.plan.references_drivers import driver_problems
from shakedown.plan.references_http import http_problems
from shakedown.plan.references_ledgers import ledger_problems
from shakedown.plan.references_regression import regression_problems
from shakedown.plan.references_vendors import vendor_problems
from shakedown.plan.scenarios import Scenario
from shakedown.plan.services import DockerService, ExternalService, ProcessService, Service, VendorService, ports_of
from shakedown.plan.sharding import shard_problems
from shakedown.plan.suites import Suite
from shakedown.plan.threshold_references import ThresholdReferences
from shakedown.plan.thresholds import SERIES_UNITS
from shakedown.plan.uses import label_of

__all__ = ["check_references"]


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
            yield from self.suite(("suites", name), suite)
        yield from self.ledgers()
        for name, alert in self.plan.alerts.items():
            yield from self.alert(("alerts", name), alert)
        for where, message, hint in regression_problems(self.plan):
            yield self.problem(where, message, hint)
        for index, name in enumerate(self.plan.report.templates):
            if not _exists(self.base / name, file=True):
                yield self.missing_file(("report", "templates", index), name)
        yield from self.stages()

    def suite(self, path: Path, suite: Suite) -> Iterator[PlanProblem]:
        for key in ("pytest", "unittest", "ignore"):
            values = getattr(suite, key) or []
            for value in [values] if isinstance(values, str) else values:
                if (
                    value in suite.paths
                    and not _exists(self.base / (suite.cwd or "") / value.partition("::")[0])
                    and not suite.optional
                ):
                    yield self.missing_file((*path, key), value)
        if suite.service is not None and suite.service not in self.plan.services:
            yield self.unknown((*path, "service"), "service", suite.service, self.plan.services)
        elif suite.service is not None and not isinstance(self.plan.services[suite.service], DockerService):
            yield self.problem((*path, "service"), f"`{suite.service}` is no container: nothing can be run inside it")
        for inside, name in suite.files.items():
            if not _exists(self.base / name):
                yield self.missing_file((*path, "files", inside), name)

    # ------------------------------------------------------------------------------------------------- small helpers
    def problem(self, path: Path, message: str, hint: str | None = None) -> PlanProblem:
        return self.document.problem(path, message, hint)

    def unknown(self, path: Path, kind: str, name: str, choices: Iterable[str]) -> PlanProblem:
        return self.problem(path, *no_such(kind, name, choices))

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
            for index, series in enumerate(service.metrics.series):
                if series in SERIES_UNITS:  # two series of one name would be judged as one
                    where = (*path, "metrics", "series", index)
                    words = f"`{name}.{series}` is sampled of every service already"
                    yield self.problem(where, words, "a probe can read the endpoint's value under another name")
        for series, probe in service.probes.items():
            yield from self.probe((*path, "probes", series), name, service, series, probe)
        if isinstance(service, DockerService):
            if service.build is not None and not _exists(
                self.base / service.build.context / service.build.dockerfile, file=True
            ):
                yield self.missing_file((*path, "build"), f"{service.build.context}/{service.build.dockerfile}")
            for inside, outside in service.files.items():
                if not _exists(self.base / outside):
                    yield self.missing_file((*path, "files", inside), outside)
        if isinstance(service, VendorService):
            for where, message, hint in vendor_problems(service, self.plan, self.base):
                yield self.problem((*path, *where), message, hint)
        if not isinstance(service, DockerService) and service.health is not None and service.health.docker:
            kind = "a process" if isinstance(service, ProcessService) else "an address"
            yield self.problem(
                (*path, "health", "docker"), f"{kind} has no Docker healthcheck; use http, tcp or command"
            )

    def probe(self, path: Path, name: str, service: Service, series: str, probe: Probe) -> Iterator[PlanProblem]:
        if series in SERIES_UNITS or (service.metrics is not None and series in service.metrics.series):
            yield self.problem(path, f"`{name}.{series}` is sampled already; call the probe something else")
        if probe.http is not None:
            yield from self.port_path((*path, "http"), name, probe.http)
        for port in URL_PORT.findall(probe.url or ""):
            yield from self.port((*path, "url"), f"{name}.{port}")
        if probe.command is not None and isinstance(service, ExternalService):
            yield self.problem((*path, "command"), f"`{name}` is an address: there is no place to run a command in")

    def alert(self, path: Path, alert: Alert) -> Iterator[PlanProblem]:
        service = self.plan.services.get(alert.service)
        if service is None:
            yield self.unknown((*path, "service"), "service", alert.service, self.plan.services)
        elif alert.http is not None:
            yield from self.port_path((*path, "http"), alert.service, alert.http)
        elif alert.series is not None:
            yield from self.series((*path, "series"), f"{alert.service}.{alert.condition.series}")
        elif isinstance(service, ExternalService):
            yield self.problem((*path, "log"), f"`{alert.service}` is an address: its log cannot be read")

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
        yield from ledger_problems(self.plan, self.document, self.port)

    # -------------------------------------------------------------------------------------------------------- stages
    def stages(self) -> Iterator[PlanProblem]:
        stages, root = self.plan.stages, ("stages",)
        if not stages.model_dump(exclude_none=True):
            yield self.problem(root, "no stage at all", "begin with `baseline`")
        if stages.baseline is not None:
            path: Path = (*root, "baseline")
            suites, scenarios = stages.baseline.suites, stages.baseline.scenarios
            yield from self.uses((*path, "suites"), suites)
            yield from self.uses((*path, "scenarios"), scenarios, taken=[label_of(use) for use in suites])
            yield from self.thresholds(path, stages.baseline.thresholds, [*suites, *scenarios])
        if stages.stress is not None:
            yield from self.uses((*root, "stress", "parallel"), stages.stress.parallel)
            yield from self.thresholds((*root, "stress"), stages.stress.thresholds, stages.stress.parallel)
        if stages.endurance is not None:
            yield from self.uses((*root, "endurance", "run"), stages.endurance.run)
            yield from self.thresholds((*root, "endurance"), stages.endurance.thresholds, stages.endurance.run)
            for index, leak in enumerate(stages.endurance.leaks):
                yield from self.series((*root, "endurance", "leaks", index), leak.series)
            labels = [label_of(use) for use in stages.endurance.loads]
            for index, drift in enumerate(stages.endurance.drifts):
                label, _, metric = drift.series.partition(".")
                here: Path = (*root, "endurance", "drifts", index)
                if label not in labels:
                    yield self.unknown(here, "load of this stage", label, labels)
                elif metric not in DRIFTS:
                    yield self.problem(
                        here,
                        f"no such drift: `{drift.series}`; a load has {', '.join(DRIFTS)}",
                        nearest(metric, DRIFTS),
                    )
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
        yield from self.threshold_references.steady_state((*path, "steady_state"), stage.steady_state, [stage.load])
        for where, message, hint in stage_problems(self.plan, stage):
            yield self.problem((*path, *where), message, hint)
        names: set[str] = set()
        for index, experiment in enumerate(stage.experiments):
            here: Path = (*path, "experiments", index)
            if experiment.name in names:
                yield self.problem((*here, "name"), f"two experiments are called `{experiment.name}`")
            names.add(experiment.name)
            for fault_path, fault in experiment.faults_at():
                yield from self.fault((*here, *fault_path), fault)
            for first, second in itertools.combinations(experiment.faults, 2):
                if both := conflict(first, second):
                    yield self.problem(
                        (*here, "faults"),
                        f"{first.type} and {second.type} both act on {both.replace(':', ', ')}: not at the same time",
                        "one after another: `sequence`",
                    )
            yield from self.expectations(here, experiment, stage)
        for index, each in enumerate(stage.each_dependency):
            yield from self.each_dependency((*path, "each_dependency", index), each, stage, names)

    def fault(self, path: Path, fault: FaultModel) -> Iterator[PlanProblem]:
        for where, message, hint in itertools.chain(fault.problems(self.plan), fault.file_problems(self.base)):
            yield self.problem((*path, *where), message, hint)

    def expectations(
        self, path: Path, experiment: Experiment | EachDependency, stage: FaultsStage
    ) -> Iterator[PlanProblem]:
        for key in ("during", "after"):
            yield from self.thresholds((*path, "expect"), getattr(experiment.expect, key), [stage.load], key)
        for where, message, hint in expect_problems(self.plan, stage, experiment.expect):
            yield self.problem((*path, "expect", *where), message, hint)
        for index, text in enumerate(experiment.abort_if):
            yield from self.abort_condition((*path, "abort_if", index), text)
        for service in experiment.expect.health:
            where = (*path, "expect", "health", service)
            if service not in self.plan.services:
                yield self.unknown(where, "service", service, self.plan.services)
            elif self.plan.services[service].health is None:
                yield self.problem(where, f"`{service}` has no health to look at", "give the service `health:`")
        for alert in experiment.expect.alerts:
            if alert not in self.plan.alerts:
                yield self.unknown((*path, "expect", "alerts", alert), "alert", alert, self.plan.alerts)

    def abort_condition(self, path: Path, text: str) -> Iterator[PlanProblem]:
        try:
            condition = parse_condition(text)
        except ValueError as error:
            yield self.problem(path, str(error), "write `host.memory > 90%` or `api.memory > 400MB`")
            return
        if condition.subject != "host" and condition.subject not in self.plan.services:
            yield self.unknown(path, "service", condition.subject, ["host", *self.plan.services])
        else:
            yield from self.series(path, f"{condition.subject}.{condition.series}")

    def each_dependency(
        self, path: Path, each: EachDependency, stage: FaultsStage, names: set[str]
    ) -> Iterator[PlanProblem]:
        service = self.plan.services.get(each.of)
        if service is None:
            yield self.unknown((*path, "of"), "service", each.of, self.plan.services)
            return
        if not service.depends_on:
            yield self.problem((*path, "of"), f"`{each.of}` has no `depends_on`: there is nothing to take away from it")
        try:
            experiments = each.experiments(service.depends_on)
        except ValidationError as error:
            first = error.errors()[0]
            yield self.problem((*path, "fault", *first["loc"][1:]), str(first["msg"]))
            return
        for experiment in experiments:
            if experiment.name in names:
                yield self.problem((*path, "name"), f"two experiments are called `{experiment.name}`")
            names.add(experiment.name)
            for _, fault in experiment.faults_at():
                yield from self.fault((*path, "fault"), fault)
        yield from self.expectations(path, each, stage)

    def recovery(self) -> Iterator[PlanProblem]:
        stage = self.plan.stages.recovery
        if stage is None:
            return
        path: Path = ("stages", "recovery")
        baseline = self.plan.stages.baseline
        if stage.tolerance and (baseline is None or not baseline.scenarios):
            yield self.problem((*path, "tolerance"), "there is no load in the baseline to compare with")
        for index, freed in enumerate(stage.freed):
            here: Path = (*path, "freed", index)
            series = freed.series.partition(".")[2]
            yield from self.series(here, freed.series)
            if series in COUNTING or series.endswith("_total"):
                yield self.problem(here, f"`{freed.series}` counts up for ever: it never comes back")
            elif baseline is None:
                yield self.problem(here, "there is no baseline to come back to")
        for index, name in enumerate(stage.ledgers):
            if name not in self.plan.ledgers:
                yield self.unknown((*path, "ledgers", index), "ledger", name, self.plan.ledgers)
        yield from self.thresholds(path, stage.thresholds, baseline.scenarios if baseline else [])
