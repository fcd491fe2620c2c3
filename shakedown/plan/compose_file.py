"""What a Compose file says of its services, as far as a plan needs it: names, ports, health, order, limits.

It is read, never run: a plan is checked without a Compose tool and without an engine. What a run starts is what the
tool itself makes of the file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from shakedown.errors import PlanProblem
from shakedown.plan.document import Document, parse_document

__all__ = ["COMPLETED", "OWN_NETWORK", "ComposeFile", "FileService", "port_names", "read_compose"]

COMPLETED = "service_completed_successfully"
OWN_NETWORK = (
    "",
    "bridge",
    "default",
)  # the values of `network_mode` that leave a container a network namespace of its own
MANY_PORTS = 20  # of a range
HEALTH_WITHIN = 30.0
# Well-known ports bear the name of what is spoken on them; the first of all others is `http`.
_SPOKEN = {
    443: "https", 1433: "mssql", 1883: "mqtt", 2181: "zookeeper", 3306: "mysql", 4222: "nats", 4317: "otlp", 5432: "postgres",
    5672: "amqp", 6379: "redis", 6432: "pgbouncer", 8443: "https", 9042: "cassandra", 9092: "kafka", 11211: "memcached",
    27017: "mongo", 50051: "grpc",
}  # fmt: skip
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<inner>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<rest>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*))"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmg]?)i?b?", re.IGNORECASE)


@dataclass(slots=True)
class FileService:
    """One service of a Compose file.

    Attributes:
        ports: TCP ports that it listens on, each with the name that the file gives it.
        depends_on: what it needs, each with Compose's condition.
        published: whether it is reached from outside of the project.
        health_within: seconds that its health check gives it; None: it has none.
        limits: `memory` (bytes), `cpus`, `pids`, `open_files`.
        network_mode: as it stands there; empty for networks of the project.
        place: the file that names it last, with the place of its name.
    """

    name: str
    place: Document
    ports: dict[int, str | None] = field(default_factory=dict)
    depends_on: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int | float] = field(default_factory=dict)
    health_within: float | None = None
    network_mode: str = ""
    profiles: tuple[str, ...] = ()
    published: bool = False


@dataclass(slots=True)
class ComposeFile:
    """A project's files, merged in their order."""

    services: dict[str, FileService] = field(default_factory=dict)
    problems: list[PlanProblem] = field(default_factory=list)

    def active(self, profiles: Sequence[str]) -> dict[str, FileService]:
        """The services without a Compose profile, and those of the profiles given."""
        return {
            name: one
            for name, one in self.services.items()
            if not one.profiles or "*" in profiles or set(one.profiles) & set(profiles)
        }


def read_compose(paths: Sequence[FilePath], variables: Mapping[str, str]) -> ComposeFile:
    """Read files that are there.

    Args:
        variables: what `${NAME}` stands for, in addition to a file `.env` beside the first one, over which it wins.
    """
    found = ComposeFile()
    known = {**_env_file(paths[0].parent / ".env"), **variables}
    for path in paths:
        document = _parse(path, known, found)
        services = document.data.get("services") if document is not None and isinstance(document.data, dict) else None
        if document is None:
            continue
        if not isinstance(services, dict) or not services:
            hint = "services stand under the key `services:`; the first Compose format, without it, is not read"
            found.problems.append(document.problem((), "no Compose file: it has no services", hint))
            continue
        if isinstance(document.data, dict) and "include" in document.data:
            words = "what the file includes is not read"
            found.problems.append(
                document.problem(("include",), words, "list all files in the plan: `file: [a.yml, b.yml]`")
            )
        for name, body in services.items():
            if body is not None and not isinstance(body, dict):
                found.problems.append(document.problem(("services", name), "a service is a mapping"))
                continue
            one = found.services.setdefault(name, FileService(name, document))
            one.place = document
            try:
                _fill(one, body or {}, known)
            except ValueError as error:
                found.problems.append(document.problem(("services", name, *error.args[:-1]), str(error.args[-1])))
    return found


def _parse(path: FilePath, variables: Mapping[str, str], found: ComposeFile) -> Document | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        found.problems.append(PlanProblem(f"the Compose file cannot be read: {reason}", file=str(path)))
        return None
    document = parse_document(text or "{}", str(path), None)
    if document.problems:
        found.problems += document.problems
        return None
    document.data = _put_in(document.data, variables)
    return document


def _env_file(path: FilePath) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            found[name.strip()] = value[1:-1] if quoted else value
    return found


def _put_in(value: object, variables: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, variables), value)
    if isinstance(value, list):
        return [_put_in(one, variables) for one in value]
    if isinstance(value, dict):
        return {key: _put_in(one, variables) for key, one in value.items()}
    return value


def _variable(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    value = variables.get(match["inner"] or match["bare"])
    how, rest = match["how"] or "", match["rest"] or ""
    there = bool(value) if how.startswith(":") else value is not None
    if how.endswith("+"):
        return rest if there else ""
    if not there and how.endswith("-"):
        return rest
    return value or ""  # one that is missing is told by the tool, in its own words


# ----------------------------------------------------------------------------------------------------- one service
def _fill(one: FileService, body: Mapping[str, object], variables: Mapping[str, str]) -> None:
    """Take over what a file says; a later file's word is added to, or replaces, an earlier one's.

    Raises:
        ValueError: with the path inside the service, and what is wrong.
    """
    for key in ("ports", "expose"):
        listed = body.get(key)
        for index, entry in enumerate(listed if isinstance(listed, list) else []):
            for number, name in _ports(entry, (key, index)):
                one.ports[number] = name or one.ports.get(number)
    one.depends_on |= _needs(body)
    one.environment |= _environment(body.get("environment"), variables)
    one.limits |= _limits(body)
    if isinstance(body.get("healthcheck"), dict):
        one.health_within = _within(body["healthcheck"])  # type: ignore[arg-type]  # looked at just now
    one.network_mode = str(body.get("network_mode") or one.network_mode)
    profiles = body.get("profiles")
    if isinstance(profiles, list):
        one.profiles = tuple(str(profile) for profile in profiles)
    one.published = one.published or bool(body.get("ports"))


def _ports(entry: object, where: tuple[str | int, ...]) -> Iterator[tuple[int, str | None]]:
    """The TCP ports inside the container that an entry of `ports` or `expose` names."""
    name: str | None = None
    protocol = "tcp"
    if isinstance(entry, dict):
        target, protocol = str(entry.get("target", "")), str(entry.get("protocol", "tcp"))
        name = str(entry["name"]) if entry.get("name") else None
    else:
        text, _, given = str(entry).partition("/")
        target, protocol = text.rpartition(":")[2], given or "tcp"
    if protocol != "tcp" or not target:
        return
    first, _, last = target.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise ValueError(*where, f"`{entry}` names no port of a container")
    for number in range(int(first), min(int(last or first), int(first) + MANY_PORTS - 1) + 1):
        if not 0 < number < 65536:
            raise ValueError(*where, f"`{entry}`: a port is a number from 1 to 65535")
        yield number, name


def _needs(body: Mapping[str, object]) -> dict[str, str]:
    depends = body.get("depends_on")
    found: dict[str, str] = {}
    if isinstance(depends, list):
        found = {str(name): "service_started" for name in depends}
    elif isinstance(depends, dict):
        for name, how in depends.items():
            condition = how.get("condition") if isinstance(how, dict) else None
            found[name] = str(condition or "service_started")
    links = body.get("links")
    for link in links if isinstance(links, list) else []:
        found.setdefault(str(link).partition(":")[0], "service_started")
    return found


def _environment(given: object, variables: Mapping[str, str]) -> dict[str, str]:
    if isinstance(given, list):
        pairs = [str(entry).partition("=") for entry in given]
        return {name: value if equals else variables.get(name, "") for name, equals, value in pairs}
    if isinstance(given, dict):
        return {name: variables.get(name, "") if value is None else _text(value) for name, value in given.items()}
    return {}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limits(body: Mapping[str, object]) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    deploy = body.get("deploy")
    resources = deploy.get("resources") if isinstance(deploy, dict) else None
    bounds = resources.get("limits") if isinstance(resources, dict) else None
    bounds = bounds if isinstance(bounds, dict) else {}
    if memory := _bytes(body.get("mem_limit") or bounds.get("memory")):
        found["memory"] = memory
    for key, value in (("cpus", body.get("cpus") or bounds.get("cpus")), ("pids", body.get("pids_limit"))):
        try:
            number = float(str(value))
        except ValueError:
            continue
        if number > 0:
            found[key] = number if key == "cpus" else int(number)
    ulimits = body.get("ulimits")
    files = ulimits.get("nofile") if isinstance(ulimits, dict) else None
    soft = files.get("soft") if isinstance(files, dict) else files
    if isinstance(soft, int) and soft > 0:
        found["open_files"] = soft
    return found


def _bytes(value: object) -> int:
    """Docker's sizes: `k`, `m` and `g` are powers of 1024."""
    match = _BYTES.fullmatch(str(value or "").strip())
    return int(float(match[1]) * 1024 ** "bkmg".index((match[2] or "b").lower())) if match else 0


def _within(check: Mapping[str, object]) -> float | None:
    """How long a service may take until its health check says something final; None: it is switched off."""
    test = check.get("test")
    if check.get("disable") is True or test in (["NONE"], "NONE"):
        return None
    interval, timeout = (_seconds(check.get(key), 30.0) for key in ("interval", "timeout"))
    try:
        retries = int(str(check.get("retries", 3)))
    except ValueError:
        retries = 3
    return max(HEALTH_WITHIN, _seconds(check.get("start_period"), 0.0) + (interval + timeout) * (retries + 1))


def _seconds(value: object, default: float) -> float:
    parts = _DURATION.findall(str(value))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else default


def port_names(ports: Mapping[int, str | None], given: Mapping[str, int]) -> dict[str, int]:
    """What a service's ports are called.

    The plan's own names come first, then the file's. Well-known numbers bear the name of what is spoken on them (5432:
    `postgres`); the first of the others is `http`, and each further one `tcp-NUMBER`.
    """
    found = dict(given)
    for number, name in ports.items():
        if number in found.values():
            continue
        usable = name if name and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) else None
        for choice in (usable, _SPOKEN.get(number, "http"), f"tcp-{number}"):
            if choice is not None and choice not in found:
                found[choice] = number
                break
    return found
