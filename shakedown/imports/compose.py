"""A first plan for a Compose project: a gentle load on what it serves, and one experiment for each thing that needs."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from shakedown.errors import UsageError
from shakedown.imports.text import comment, slug
from shakedown.plan.compose import FILE_NAMES, find_file
from shakedown.plan.compose_file import COMPLETED, OWN_NETWORK, FileService, port_names, read_compose

__all__ = ["import_compose"]

_UNNAMED = "project"


def import_compose(path: Path, plan: Path, environ: Mapping[str, str]) -> str:
    """The plan's text; it is valid, and runs, as it is.

    Args:
        path: the Compose file, or the folder that it is in.
        plan: the file that the text is for: paths in it start from its folder.
        environ: where `${NAME}` in the Compose file is looked up.

    Raises:
        UsageError: there is no such file, it cannot be read, or nothing in it serves HTTP.
    """
    file = find_file(path)
    if file is None:
        what = f"no Compose file in {path}" if path.is_dir() else f"no such file: {path}"
        raise UsageError(what, hint=f"a folder is looked into for {', '.join(FILE_NAMES)}")
    read = read_compose([file], environ)
    if read.problems:
        raise UsageError("; ".join(str(problem) for problem in read.problems[:3]))
    services = read.active(())
    left = [name for name, one in services.items() if one.network_mode not in OWN_NETWORK]
    services = {name: one for name, one in services.items() if name not in left}
    ports = {name: port_names(one.ports, {}) for name, one in services.items()}
    entry = _entry(services, ports, file)
    finishing = {
        need for one in services.values() for need, condition in one.depends_on.items() if condition == COMPLETED
    }
    shown = os.path.relpath(file.resolve(), plan.resolve().parent)
    title = slug(file.resolve().parent.name, _UNNAMED)
    lines = [
        f"# A first plan, from the Compose file {comment(shown)}.",
        "# Read it, change what is marked `change`, then: shakedown validate THIS-FILE; shakedown run THIS-FILE",
        "version: 1",
        f"name: {title if title[:1].isalpha() else f'{_UNNAMED}-{title}'}",
        "",
        "services:",
        "  # Started for each run alone, under names, ports and volumes of its own; a project of yours that runs is not touched.",
        *_project(shown, services, left),
        *(line for name in services for line in _service(services[name], ports[name], finishes=name in finishing)),
        "",
        *_scenario(entry, _port(ports[entry])),
        "",
        *_stages(entry, _needed(services, entry, finishing)),
    ]
    return "\n".join(lines) + "\n"


def _entry(services: Mapping[str, FileService], ports: Mapping[str, Mapping[str, int]], file: Path) -> str:
    """The service that users talk to: published, nobody else's dependency, and with something behind it."""
    serving = [name for name in services if _port(ports[name])]
    if not serving:
        raise UsageError(
            f"nothing in {file.name} seems to serve HTTP: no service has such a port under `ports` or `expose`",
            hint="add the port to the Compose file; or write the plan by hand: `shakedown init` alone begins one",
        )
    needed = {need for one in services.values() for need in one.depends_on}
    return max(serving, key=lambda name: (services[name].published, name not in needed, len(services[name].depends_on)))


def _port(ports: Mapping[str, int]) -> str:
    return next((name for name in ("http", "https") if name in ports), "")


def _needed(services: Mapping[str, FileService], entry: str, finishing: set[str]) -> list[str]:
    """What the entry needs, directly or not; all the others where the file says nothing of that."""
    found: list[str] = []
    left = [entry]
    while left:
        for need in services[left.pop(0)].depends_on:
            if need in services and need not in found and need != entry:
                found.append(need)
                left.append(need)
    return [name for name in found or services if name not in finishing and name != entry]


def _project(shown: str, services: Mapping[str, FileService], left: list[str]) -> list[str]:
    text = json.dumps(shown, ensure_ascii=False).replace("$", "$$")
    path = shown if shown.replace("/", "").replace(".", "").replace("-", "").replace("_", "").isalnum() else text
    if not left:
        return [f"  compose: {path}"]
    return [
        "  compose:",
        f"    file: {path}",
        f"    # Left out, as their network is not the project's own: {comment(', '.join(left))}.",
        f"    only: [{', '.join(services)}]",
    ]


def _service(one: FileService, ports: Mapping[str, int], *, finishes: bool) -> list[str]:
    """What the file does not say: what its ports are called, and how its health is seen."""
    if finishes or not ports:
        return []
    lines = [f"  {one.name}:", f"    ports: {{{', '.join(f'{name}: {number}' for name, number in ports.items())}}}"]
    if one.health_within is None:
        first = next(iter(ports))
        better = f'   # change: it has no healthcheck; better {{http: "{first}:/health"}}' if first == "http" else ""
        lines.append(f"    health: {{tcp: {first}, within: 60s}}{better}")
    return lines


def _scenario(entry: str, port: str) -> list[str]:
    return [
        "scenarios:",
        "  visit:",
        "    executor: {type: constant-arrival-rate, rate: 10, duration: 20s, max_vus: 50}",
        "    http:",
        f"      target: {entry}.{port}",
        *(["      tls: {insecure: true}"] if port == "https" else []),
        "      requests:",
        "        # change: what users do; `shakedown init --openapi` or `--har` writes requests",
        '        - {name: home, get: /, timeout: 5s, checks: ["status < 500"]}',
    ]


def _stages(entry: str, needed: list[str]) -> list[str]:
    lines = [
        "stages:",
        "  baseline:                              # is it well, quietly? If not, the run stops here",
        "    scenarios: [visit]",
        "    thresholds: [visit.p95 < 1s, visit.error_rate < 1%]",
        "  stress:                                # change: the load that it has to bear",
        "    parallel: [{use: visit, rate: 40}]",
        "    thresholds: [visit.p95 < 2s, visit.error_rate < 5%]",
        "  faults:                                # one at a time, under load: does it come back by itself?",
        "    load: visit",
        "    experiments:",
    ]
    for name in needed:
        lines += [
            f"      - name: {entry} without {name}",
            f"        fault: {{type: service-kill, target: {name}}}   # or service-pause, network-latency, …: docs/faults.md",
            "        hold: 5s",
            "        recover_within: 30s",
        ]
    lines += [
        f"      - name: {entry} restarted",
        f"        fault: {{type: service-restart, target: {entry}}}",
        "        hold: 5s",
        "        recover_within: 30s",
        "  recovery: {}                           # is it as it was in the baseline?",
        "",
        "profiles:",
        "  smoke:",
        "    scale: {duration: 0.5, hold: 0.5}",
    ]
    return lines
