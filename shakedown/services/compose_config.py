"""A Compose project made over for one run: nothing in it can meet another run, or the user's own project.

Networks, volumes and containers get names and labels of the run; ports are published at free ports of the loopback
address; what the file calls external becomes the run's own, and empty. Builds get tags of their own.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shakedown.errors import EngineError
from shakedown.guard.labels import IMAGE
from shakedown.plan.compose_file import OWN_NETWORK

__all__ = ["Asked", "MadeOver", "make_over"]

DEFAULT = "default"
_ADDRESSES = ("ipv4_address", "ipv6_address")
_DROPPED = ("depends_on", "profiles", "scale", "container_name", "network_mode")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the plan asks of one service of the project.

    Attributes:
        ports: port inside the container → port of this machine.
        environment: over what the Compose file has.
        aliases: more names in the project's default network.
        labels: of the run, and of the service.
    """

    ports: Mapping[int, int]
    environment: Mapping[str, str]
    aliases: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(slots=True)
class MadeOver:
    """A project for one run.

    Attributes:
        text: the file for the tool.
        home: the network where services are that name none.
        containers: names by service.
        networks, volumes: full names of what the tool will make.
        joined: networks of each service of the original project, with its names and addresses in them.
        environment: of each service that is started, as its container will have it.
        notes: what is not as in the file, in words.
    """

    home: str
    text: str = ""
    containers: dict[str, str] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    joined: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def make_over(
    config: str, asked: Mapping[str, Asked], *, prefix: str, network: str, labels: Mapping[str, str], origin: Path
) -> MadeOver:
    """Make a project over.

    Args:
        config: as the tool reads the project's files.
        asked: the services to start; all others are left out.
        prefix: names begin with it: `shakedown-RUN`.
        network: of the run; the project's default network, unless the file says more of that one.
        origin: the project's first file: tags of images that are built are made of it.

    Raises:
        EngineError: a service is not in the file, or cannot be told apart from this machine.
    """
    data = yaml.safe_load(config) or {}
    services, networks, volumes = ({**(data.get(key) or {})} for key in ("services", "networks", "volumes"))
    missing = [name for name in asked if name not in services]
    if missing:
        raise EngineError(
            f"{origin.name} has no service {missing[0]}, as the Compose tool reads it; it has {', '.join(services)}"
        )
    made = MadeOver(home=network)
    names = _networks(networks, made, prefix=prefix, network=network, labels=labels)
    built = {
        str(body["image"]): _tag(origin, name)
        for name, body in services.items()
        if body.get("build") and body.get("image")
    }
    result: dict[str, Any] = {}
    for name, body in services.items():
        own = _joins(body)
        made.joined[name] = {
            names.get(key, (key, None))[0]: {"aliases": [name, *(given.get("aliases") or [])], **_fixed(given)}
            for key, given in own.items()
        }
        if name in asked:
            result[name] = _service(
                name, body, asked[name], made, prefix=prefix, own=own, built=built, origin=origin, left=asked
            )
    used = {key for name in asked for key in _joins(services[name])}
    fixed = any(_fixed(given) for name in asked for given in _joins(services[name]).values())
    kept = {key: _network(names[key][1], fixed=fixed) for key in used if key in names}
    made.networks = [names[key][0] for key in kept if not kept[key].get("external")]
    own_volumes = _volumes(volumes, result, made, prefix=prefix, labels=labels)
    rest = {key: data[key] for key in ("secrets", "configs") if data.get(key)}
    whole = {"services": result, "networks": kept, **({"volumes": own_volumes} if own_volumes else {}), **rest}
    made.text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=1 << 20)
    return made


def _networks(
    networks: dict[str, Any], made: MadeOver, *, prefix: str, network: str, labels: Mapping[str, str]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each network's full name, and what is said of it."""
    networks.setdefault(DEFAULT, None)
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for key, given in networks.items():
        body = {name: value for name, value in (given or {}).items() if name not in ("name", "labels")}
        external = body.pop("external", False)
        if external:
            made.notes.append(f"the external network {key} is one of the run's own")
            body = {}
        if key == DEFAULT and not any(body.values()):
            found[key] = (network, {"external": True, "name": network})
            continue
        full = f"{prefix}-{key}"
        found[key] = (full, {**body, "name": full, "labels": {**_pairs((given or {}).get("labels")), **labels}})
    made.home = found[DEFAULT][0]
    return found


def _network(body: dict[str, Any], *, fixed: bool) -> dict[str, Any]:
    """Its address range stays only where a service has a fixed address in it: two runs cannot have the same."""
    return body if fixed else {key: value for key, value in body.items() if key != "ipam"}


def _joins(body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    given = body.get("networks")
    if isinstance(given, list):
        return {str(key): {} for key in given}
    return {key: dict(value or {}) for key, value in given.items()} if given else {DEFAULT: {}}


def _fixed(given: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(given[key]) for key in _ADDRESSES if given.get(key)}


def _service(
    name: str, body: Mapping[str, Any], asked: Asked, made: MadeOver, *, prefix: str, own: Mapping[str, dict[str, Any]],
    built: Mapping[str, str], origin: Path, left: Iterable[str],
) -> dict[str, Any]:  # fmt: skip
    mode = str(body.get("network_mode") or "")
    if mode not in OWN_NETWORK:
        raise EngineError(
            f"{name} has network_mode {mode}: a fault in its network would act on somebody else's",
            hint="give it a network of the project, or leave it out: `only` lists the services that are started",
        )
    result = {key: value for key, value in body.items() if key not in _DROPPED}
    deploy = {key: value for key, value in (body.get("deploy") or {}).items() if key not in ("replicas", "mode")}
    wanted = (body.get("deploy") or {}).get("replicas") or body.get("scale") or 1
    if wanted != 1:
        made.notes.append(f"{name}: one container instead of {wanted}")
    result.pop("deploy", None)
    if deploy:
        result["deploy"] = deploy
    made.containers[name] = result["container_name"] = f"{prefix}-{name}"
    result["labels"] = {**_pairs(body.get("labels")), **asked.labels}
    result["ports"] = [f"127.0.0.1:{outside}:{inside}" for inside, outside in asked.ports.items()]
    result["networks"] = {key: dict(value) for key, value in own.items()}
    if asked.aliases:
        first = result["networks"][next(iter(own))]
        first["aliases"] = [*(first.get("aliases") or []), *asked.aliases]
    environment = {key: value for key, value in _pairs(body.get("environment")).items() if value is not None}
    made.environment[name] = {**{key: _plain(value) for key, value in environment.items()}, **asked.environment}
    result["environment"] = {
        **environment,
        **{key: value.replace("$", "$$") for key, value in asked.environment.items()},
    }
    result["links"] = [link for link in body.get("links") or [] if str(link).partition(":")[0] in left]
    if body.get("build"):
        build = {"context": body["build"]} if isinstance(body["build"], str) else dict(body["build"])
        result["image"] = _tag(origin, name)
        result["build"] = {**build, "labels": {**_pairs(build.get("labels")), IMAGE: result["image"]}}
    elif body.get("image") in built:
        result["image"] = built[str(body["image"])]
    for key in ("ports", "links", "environment"):
        if not result[key]:
            del result[key]
    return result


def _volumes(
    volumes: Mapping[str, Any], services: Mapping[str, Any], made: MadeOver, *, prefix: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The named volumes that are used, each the run's own; what is written into folders of this machine is told."""
    found: dict[str, Any] = {}
    for name, body in services.items():
        for entry in body.get("volumes") or []:
            source, target, read_only = _mount(entry)
            if source in volumes and source not in found:
                given = volumes[source] or {}
                if given.get("external"):
                    made.notes.append(f"the external volume {source} is one of the run's own, and empty")
                    given = {}
                full = f"{prefix}-{source}"
                kept = {key: value for key, value in given.items() if key not in ("name", "labels", "external")}
                found[source] = {**kept, "name": full, "labels": {**_pairs(given.get("labels")), **labels}}
                made.volumes.append(full)
            elif source.startswith("/") and not read_only:
                made.notes.append(
                    f"{name} can write into {source} of this machine (at {target}): that is the project's own folder"
                )
    return found


def _mount(entry: object) -> tuple[str, str, bool]:
    if isinstance(entry, dict):
        return str(entry.get("source") or ""), str(entry.get("target") or ""), bool(entry.get("read_only"))
    source, colon, rest = str(entry).partition(":")
    if not colon:
        return "", source, False
    target, _, mode = rest.partition(":")
    return source, target, "ro" in mode.split(",")


def _pairs(given: object) -> dict[str, Any]:
    """A mapping, or Compose's list of `NAME=value`."""
    if isinstance(given, list):
        return {name: value if equals else None for name, equals, value in (str(one).partition("=") for one in given)}
    return dict(given) if isinstance(given, dict) else {}


def _plain(value: object) -> str:
    return (str(value).lower() if isinstance(value, bool) else str(value)).replace("$$", "$")


def _tag(origin: Path, name: str) -> str:
    """The same for every run, so that an image is built anew only when something of it has changed."""
    return f"shakedown-compose:{hashlib.sha256(f'{origin.resolve()}:{name}'.encode()).hexdigest()[:16]}"
