"""`services: {compose: docker-compose.yml}`: the services of a Compose project as services of the plan.

The key is unfolded before the plan is validated: each service of the file becomes one of the plan, with its ports,
health, order and limits as the file says. What the plan says beside it, under the service's own name, is added::

    services:
      compose: docker-compose.yml
      api: {metrics: {prometheus: "http:/metrics"}}     # options of the project's service
      payments: {stub: {...}}                           # a container of the plan's own in the project's place
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from shakedown.errors import PlanProblem
from shakedown.plan.base import PlanModel
from shakedown.plan.compose_file import COMPLETED, OWN_NETWORK, ComposeFile, FileService, port_names, read_compose
from shakedown.plan.document import Document, Path
from shakedown.plan.profiles import nearest
from shakedown.plan.values import Name

__all__ = ["COMPOSE", "FILE_NAMES", "ComposeProject", "expand_compose", "find_file"]

COMPOSE = "compose"
FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_KINDS = ("image", "build", "stub", "proxy", "process", "url")
_OUTSIDE = ("process", "url")  # they cannot have a name in the project's network
_FIXED = ("command", "entrypoint", "user", "files", "volumes", "tmpfs", "limits", "restart")
_NOT_LENT = ("environment", "aliases", "stop_grace")  # nothing of what is attached to is changed
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def _as_files(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ComposeProject(PlanModel):
    """A Compose project, started for the run alone, or attached to.

    Attributes:
        file: the Compose file, or several, merged in their order; a folder is looked into as Compose itself does.
        attach: the name of a project that runs already, made of these files: the run works on it, and leaves it there.
        only: the services that are started, with what they depend on; by default all.
        profiles: of Compose; services without one are always started.
        variables: what `${NAME}` stands for in the files, before the environment and `.env`.
    """

    file: Annotated[
        list[str],
        BeforeValidator(_as_files, json_schema_input_type=str | list[str]),
        Field(min_length=1, description="the Compose file, or several, merged in their order"),
    ]
    attach: Annotated[
        str | None, Field(min_length=1, description="a project that runs already, by its name; it is left running")
    ] = None
    only: Annotated[
        list[Name] | None,
        Field(min_length=1, description="the services to start, with what they depend on; default: all"),
    ] = None
    profiles: Annotated[list[str], Field(description="profiles of Compose whose services are started too")] = []
    variables: Annotated[
        dict[str, str], Field(description="what ${NAME} stands for in the Compose files, before the environment")
    ] = {}


def find_file(path: FilePath) -> FilePath | None:
    """A Compose file; of a folder, the one that Compose would take. None when there is none."""
    if path.is_dir():
        return next((path / name for name in FILE_NAMES if (path / name).is_file()), None)
    return path if path.is_file() else None


def expand_compose(document: Document, base: FilePath, environ: Mapping[str, str]) -> tuple[list[PlanProblem], bool]:
    """Put a Compose project's services into the plan's document, which changes.

    Returns:
        What is wrong, and whether the rest of the plan can be looked at all the same.
    """
    services = document.data.get("services") if isinstance(document.data, dict) else None
    if not isinstance(services, dict):
        return [], True
    inside = [name for name, body in services.items() if isinstance(body, dict) and COMPOSE in body and name != COMPOSE]
    if inside:
        hint = "one project's services are all named at once: `services: {compose: docker-compose.yml}`"
        words = f"`{COMPOSE}` stands beside the services, not inside one"
        return [document.problem(("services", name, COMPOSE), words, hint) for name in inside], False
    if COMPOSE not in services:
        return [], True
    given = services[COMPOSE]
    if isinstance(given, dict) and any(kind in given for kind in _KINDS):
        return [], True  # a service that happens to be called so
    root: Path = ("services", COMPOSE)
    if not isinstance(given, dict | list | str):
        return [
            document.problem(
                root, "must be a Compose file, a list of them, or a mapping", "write `compose: docker-compose.yml`"
            )
        ], False
    try:
        project = ComposeProject.model_validate(given if isinstance(given, dict) else {"file": given})
    except ValidationError as error:
        return [_shape_problem(document, root, details) for details in error.errors(include_url=False)], False
    files, problems = _files(project, document, root, base)
    if problems:
        return problems, False
    read = read_compose([base / name for name in files], {**environ, **project.variables})
    if read.problems:
        return read.problems, False
    unfolding = _Unfolding(document, project, files, read)
    expanded = unfolding.services({name: body for name, body in services.items() if name != COMPOSE})
    assert isinstance(document.data, dict)  # noqa: S101 - looked at above
    document.data["services"] = expanded
    return unfolding.problems, not unfolding.problems


def _shape_problem(document: Document, root: Path, details: Mapping[str, object]) -> PlanProblem:
    location = details["loc"]
    steps = [step for step in location if isinstance(step, str | int)] if isinstance(location, tuple) else []
    last = str(steps[-1]) if steps else ""
    if details["type"] == "extra_forbidden":
        allowed = list(ComposeProject.model_fields)
        return document.problem(
            (*root, *steps), f"unknown key `{last}`; allowed: {', '.join(allowed)}", nearest(last, allowed)
        )
    if details["type"] == "missing":
        return document.problem(root, f"the key `{last}` is missing", "write `compose: docker-compose.yml`")
    text = str(details["msg"])
    return document.problem((*root, *steps), text[0].lower() + text[1:].replace("input should be", "must be"))


def _files(
    project: ComposeProject, document: Document, root: Path, base: FilePath
) -> tuple[list[str], list[PlanProblem]]:
    found, problems = [], []
    for name in project.file:
        path = find_file(base / name)
        if path is not None:
            found.append(name if (base / name) == path else str(FilePath(name) / path.name))
            continue
        at = (*root, "file") if (*root, "file") in document.places else root
        what = f"no Compose file in {name}" if (base / name).is_dir() else f"no such file: {name}"
        hint = f"Compose looks for {', '.join(FILE_NAMES)}" if (base / name).is_dir() else None
        problems.append(document.problem(at, what, hint or f"paths start from the plan's folder, {base}"))
    return found, problems


class _Unfolding:
    """One project, put into one plan."""

    def __init__(self, document: Document, project: ComposeProject, files: Sequence[str], read: ComposeFile) -> None:
        self.problems: list[PlanProblem] = []
        self._document, self._project, self._files = document, project, list(files)
        self._active = read.active(project.profiles)
        self._all = read.services

    def services(self, given: Mapping[str, object]) -> dict[str, object]:
        """The plan's services: the project's first, as the file has them, then the plan's own."""
        chosen = self._chosen()
        own = {name for name, body in given.items() if isinstance(body, dict) and any(kind in body for kind in _KINDS)}
        for name in own & set(chosen):
            self._look_at_substitute(name, given[name])
        unknown = [name for name in given if name not in chosen and name not in own]
        for name in unknown:
            self._unknown(("services", name), name, list(chosen))
        finishing = {
            needed for name in chosen if name not in own
            for needed, condition in self._active[name].depends_on.items() if condition == COMPLETED
        }  # fmt: skip
        made: dict[str, object] = {}
        for name in chosen:
            if name in own:
                made[name] = given[name]
                continue
            options = given.get(name)
            made[name] = self._service(
                self._active[name], {} if options is None else options, name in finishing, chosen
            )
            place = self._document.place(("services", COMPOSE))
            if place is not None:
                self._document.places.setdefault(("services", name), place)
        return {**made, **{name: given[name] for name in given if name in own and name not in made}}

    def _unknown(self, at: Path, name: str, choices: list[str]) -> None:
        files = " and ".join(self._files)
        hint = nearest(name, choices)
        if name in self._all:
            words = f"`{name}` is in {files}, but is not started"
            hint = "it has a profile of Compose, or `only` leaves it out"
        else:
            words = f"no such service: {files} has no `{name}`; it has {', '.join(choices)}"
            hint = hint or "a service of the plan's own says what it is: image, build, process, url, stub or proxy"
        self.problems.append(self._document.problem(at, words, hint))

    def _chosen(self) -> list[str]:
        """The services to start, in the file's order."""
        if self._project.only is None:
            wanted = set(self._active)
        else:
            wanted, left = set(), list(self._project.only)
            for index, name in enumerate(self._project.only):
                if name not in self._active:
                    self._unknown(("services", COMPOSE, "only", index), name, list(self._active))
            while left:
                name = left.pop()
                if name in self._active and name not in wanted:
                    wanted.add(name)
                    left += self._active[name].depends_on
        for name in wanted:
            self._look_at(self._active[name])
        return [name for name in self._active if name in wanted]

    def _look_at(self, one: FileService) -> None:
        """What no plan can work on."""
        where: Path = ("services", one.name)
        if not _NAME.fullmatch(one.name):
            words = (
                f"`{one.name}` cannot be a service's name in a plan: letters, digits, - and _, beginning with a letter"
            )
            self.problems.append(
                one.place.problem(where, words, "rename it, or leave it out: `only` lists what is started")
            )
        if one.network_mode not in OWN_NETWORK:
            words = (
                f"`{one.name}` has network_mode {one.network_mode}: a fault in its network would act on somebody else's"
            )
            hint = "give it a network of the project, or leave it out: `only` lists the services that are started"
            self.problems.append(one.place.problem((*where, "network_mode"), words, hint))

    def _look_at_substitute(self, name: str, body: object) -> None:
        outside = [kind for kind in _OUTSIDE if isinstance(body, dict) and kind in body]
        if self._project.attach is not None:
            words = f"`{name}` is attached to: nothing can be put in its place"
            self.problems.append(
                self._document.problem(("services", name), words, "choose another name for a service of your own")
            )
        elif outside:
            words = f"`{outside[0]}` cannot stand in for the Compose service `{name}`: the others look for that name in their network"
            hint = "a container can: image, build, stub or proxy; or choose another name"
            self.problems.append(self._document.problem(("services", name, outside[0]), words, hint))

    def _service(
        self, one: FileService, options: object, finishes: bool, chosen: Sequence[str]  # noqa: FBT001 - one of four plain facts
    ) -> object:  # fmt: skip
        if not isinstance(options, dict):
            return options  # the plan's models say what is wrong with it
        for key in (key for key in _FIXED if key in options):
            hint = "change it there, or in a second file: `file: [docker-compose.yml, shakedown.override.yml]`"
            words = f"`{key}` of `{one.name}` stands in the Compose file"
            self.problems.append(self._document.problem(("services", one.name, key), words, hint))
        if self._project.attach is not None:
            for key in (key for key in _NOT_LENT if key in options):
                words = f"`{one.name}` runs already: its `{key}` cannot be changed"
                self.problems.append(
                    self._document.problem(
                        ("services", one.name, key), words, "without `attach` the run starts its own"
                    )
                )
        made: dict[str, object] = {
            **options,
            COMPOSE: {
                "files": self._files, "attach": self._project.attach, "profiles": self._project.profiles,
                "variables": self._project.variables, "finishes": finishes,
                "environment": list(options["environment"]) if isinstance(options.get("environment"), dict) else [],
            },
        }  # fmt: skip
        ports = options.get("ports", {})
        if isinstance(ports, dict):
            made["ports"] = port_names(one.ports, ports)
        needs = options.get("depends_on", [])
        if isinstance(needs, list):
            made["depends_on"] = list(dict.fromkeys([*(need for need in one.depends_on if need in chosen), *needs]))
        environment = options.get("environment", {})
        if isinstance(environment, dict):
            made["environment"] = {**one.environment, **environment}
        if one.limits:
            made["limits"] = one.limits
        if one.health_within is not None and "health" not in options:
            made["health"] = {"docker": True, "within": one.health_within}
        return made
