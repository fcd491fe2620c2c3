"""Deployments for `shakedown ui` where a folder has none: any plan, and each plan that lies in it."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from shakedown.errors import UsageError

__all__ = ["deployments_of"]

FLOW = "shakedown.cli.flow.pipeline"
OURS = {FLOW, "flows/pipeline.py:pipeline", "flows.pipeline.pipeline"}
DEEP = 3  # folders below the project's
MOST = 20  # plans that get a deployment each; the form takes any
LARGEST = 200_000  # bytes of a file that is looked into
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # of a plan that is valid
NOT_IN = {"node_modules", "venv", "site-packages", "__pycache__"}
FIRST_PLAN = "plan.yaml"  # what `shakedown init` writes


def deployments_of(project: Path, folder: Path) -> tuple[Path, list[str]]:
    """The file for `prefect deploy`, and the plans that it was made for.

    A project's own prefect.yaml is taken where it has a deployment of our flow; then there are no plans to name. Else one
    is written into `folder`, and the project is left as it is.

    Raises:
        UsageError: the project's prefect.yaml cannot be read.
    """
    own = project / "prefect.yaml"
    if own.is_file() and _has_ours(own):
        return own.resolve(), []
    plans = list(_plans(project))
    path = folder.resolve() / "prefect.yaml"
    path.write_text(yaml.safe_dump(_content(project.resolve(), plans), sort_keys=False), encoding="utf-8")
    return path, [where for where, _ in plans]


def _has_ours(path: Path) -> bool:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path.resolve()} cannot be read: {error}") from error
    deployments = content.get("deployments") if isinstance(content, dict) else None
    return any(isinstance(one, dict) and str(one.get("entrypoint")) in OURS for one in deployments or ())


def _plans(project: Path) -> Iterator[tuple[str, str]]:
    """Files that look like plans, nearest first: each path from the project's folder, and its plan's name."""
    found = 0
    for here in sorted(_folders(project), key=lambda one: (len(one.parts), one)):
        for file in sorted((project / here).iterdir()):
            if found < MOST and (name := _name_of(file)):
                found += 1
                yield (here / file.name).as_posix(), name


def _folders(project: Path) -> Iterator[Path]:
    """The project's folder and those below it that may hold plans, as paths from it."""
    for folder, below, _ in os.walk(project):
        here = Path(folder).relative_to(project)
        below[:] = (
            [] if len(here.parts) >= DEEP else [one for one in below if not one.startswith(".") and one not in NOT_IN]
        )
        yield here


def _name_of(path: Path) -> str:
    """A plan's name; empty for every other file."""
    if path.suffix not in {".yaml", ".yml"} or path.name.startswith("."):
        return ""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return ""
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if "stages" in text else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""  # whatever it is, it is no plan that could be run
    if not isinstance(content, dict) or not {"version", "name", "stages"} <= content.keys():
        return ""
    return name if _NAME.fullmatch(name := str(content["name"])) else ""


def _content(project: Path, plans: list[tuple[str, str]]) -> dict[str, Any]:
    """What prefect.yaml of this project says, for another folder."""
    first = plans[0][0] if plans else FIRST_PLAN
    taken = {"plan"}
    deployments = [_deployment("plan", "Any plan, with any profile and stages. Choose them in the form.", first)]
    for where, plan in plans:
        name, number = plan, 2
        while name in taken:
            name, number = f"{plan}-{number}", number + 1
        taken.add(name)
        deployments.append(_deployment(name, f"The plan {where}.", where))
    return {
        "name": "shakedown",
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}],
        "deployments": deployments,
    }


def _deployment(name: str, description: str, plan: str) -> Mapping[str, Any]:
    quiet = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    }
    return {
        "name": name,
        "description": description,
        "entrypoint": FLOW,
        "enforce_parameter_schema": True,
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "parameters": {"plan": plan},
        # Our programs look for no module in the project's folder: a folder `tasks` in it is not ours.
        "work_pool": {"name": "local", "job_variables": {"env": {**quiet, "PYTHONSAFEPATH": "1"}}},
    }
