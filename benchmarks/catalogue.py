"""The rows of the scenario catalogue: the plans that run them, and the mistakes that they look for.

Three files say it: `docs/scenarios.md` has the rows, the plans of the examples name them by `covers`, and the table in
`examples/README.md` has for each the mistake with which it must fail. Shared by `seeds.py`, `rows.py` and the tests.
"""  # noqa: INP001

import functools
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shakedown.plan.document import parse_document
from shakedown.plan.profiles import apply_profile

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
COLUMNS = ("row", "plan", "where", "figures", "what it checks", "defect", "last result")
NONE = "–"  # no result yet
SMOKE = "smoke"

# What a run with a mistake is given besides: a system that does not come back is not waited for as long as the catalogue allows.
BESIDES = {"nadia": {"NADIA_RECOVER": "30s"}}

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times as fast, and not everywhere
_ROW = re.compile(r"^\| ([A-Z]\d\d) \|(.*)\|$", re.MULTILINE)


# ------------------------------------------------------------------------------------------------------ what is written
@dataclass(frozen=True)
class Line:
    """One line of the table in examples/README.md.

    Attributes:
        plans: relative to the examples' folder: `raglox/plan.yaml`.
        mistakes: as written: names for the plan's own variable, or `NAME=value`, several with blanks between them.
        last: the last result, or `–`.
    """

    row: str
    plans: tuple[str, ...]
    mistakes: tuple[str, ...]
    defect: str
    last: str


def rows_of_catalogue(text: str | None = None) -> list[str]:
    """The ids of all rows, in their order."""
    text = text if text is not None else (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    return [match[1] for match in _ROW.finditer(text)]


def read_table(text: str | None = None) -> dict[str, Line]:
    """The table of examples/README.md by row."""
    text = text if text is not None else (EXAMPLES / "README.md").read_text(encoding="utf-8")
    found = {}
    for row, rest in _ROW.findall(text):
        cells = [cell.strip() for cell in rest.split("|")]
        cells += [""] * (len(COLUMNS) - 1 - len(cells))
        plans = tuple(re.findall(r"`([\w./-]+\.yaml)`", cells[0]))
        found[row] = Line(row, plans, tuple(re.findall(r"`([^`]+)`", cells[4])), cells[4], cells[5] or NONE)
    return found


def with_results(text: str, results: Mapping[str, str]) -> str:
    """The README's text with the last result of some rows; every row gets that column."""

    def line(match: re.Match[str]) -> str:
        cells = [cell.strip() for cell in match[2].split("|")][: len(COLUMNS) - 1]
        cells += [""] * (len(COLUMNS) - 1 - len(cells))
        cells[-1] = results.get(match[1], cells[-1] or NONE)
        return f"| {match[1]} | {' | '.join(cells)} |"

    head = re.compile(r"^\| row \| plan \|.*\|\n\|[-|]+\|$", re.MULTILINE)
    return _ROW.sub(line, head.sub(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", text))


def plans() -> dict[str, list[str]]:
    """The examples' plans that name rows, each with those rows."""
    found = {}
    for path in sorted(EXAMPLES.glob("*/*.yaml")):
        plan = str(path.relative_to(EXAMPLES))
        if "stages" in _data(plan) and (rows := sorted(set(_covers(_data(plan))))):
            found[plan] = rows
    return found


def _covers(value: object) -> list[str]:
    if isinstance(value, dict):
        own = value.get("covers") or []
        return [*own, *(row for key, part in value.items() if key != "covers" for row in _covers(part))]
    return [row for part in value for row in _covers(part)] if isinstance(value, list) else []


def by_history(plan: str) -> list[str]:
    """The rows of a plan that its comparison with earlier runs judges."""
    rules = _data(plan).get("regression") or {}
    return list(rules.get("covers") or [])


def profile_of(plan: str, *, full: bool) -> list[str]:
    """The options for a scale."""
    return [] if full or SMOKE not in (_data(plan).get("profiles") or {}) else ["--profile", SMOKE]


def _text(plan: str) -> str:
    return (EXAMPLES / plan).read_text(encoding="utf-8")


@functools.cache
def _data(plan: str) -> dict[str, Any]:
    data = yaml.load(_text(plan), Loader=_LOADER)  # noqa: S506 - a safe one
    return data if isinstance(data, dict) else {}


# ---------------------------------------------------------------------------------------------------------- mistakes
def environment_of(plan: str, mistake: str) -> dict[str, str]:
    """The variables that switch a mistake on.

    Args:
        mistake: as in the table: `NAME=value`, several with blanks between them, or a word for the plan's own variable.

    Raises:
        ValueError: the plan speaks of no variable of its own.
    """
    found: dict[str, str] = {}
    for word in mistake.split():
        name, sign, value = word.partition("=")
        found.update({name: value} if sign else {own_variable(plan): word})
    return found


def own_variable(plan: str) -> str:
    """The variable that switches a plan's mistakes on: the one of that kind of which its text speaks.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"\b[A-Z]+_DEFECTS\b", _text(plan))
    if found is None:
        raise ValueError(f"{plan} speaks of no variable that ends in _DEFECTS")
    return found[0]


def sound_environment() -> dict[str, str]:
    """This process' variables without any that switches a mistake on."""
    named = {
        name for line in read_table().values() for text in line.mistakes for name in re.findall(r"([A-Z_]+)=", text)
    }
    return {key: value for key, value in os.environ.items() if not key.endswith("_DEFECTS") and key not in named}


def lenient_baseline(plan: str) -> list[str]:
    """What makes a baseline run its loads and fail nothing: where it failed the run would stop, and no other row be judged."""
    baseline = _data(plan)["stages"].get("baseline") or {}
    loads = [use if isinstance(use, dict) else {"use": use} for use in baseline.get("scenarios") or []]
    if not loads:
        return ["--set", "stages.baseline=null"] if baseline else []
    holds = json.dumps([f"{load.get('label') or load['use']}.error_rate <= 100%" for load in loads])
    suites = ["--set", "stages.baseline.suites=[]"] if baseline.get("suites") else []
    return [*suites, "--set", f"stages.baseline.thresholds={holds}"]


def in_baseline(plan: str, rows: Iterable[str]) -> bool:
    """Whether one of the rows is covered in the plan's baseline."""
    return bool(set(_covers(_data(plan)["stages"].get("baseline") or {})) & set(rows))


def parts_alone(plan: str, rows: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """What leaves out of a smoke run the stages and experiments that cover none of some rows; baseline and recovery stay.

    A row that the recovery alone judges needs everything before it, as what is to be recovered from is done there.

    Args:
        environment: the variables that the plan is read with.
    """
    stages = {name: content for name, content in _data(plan)["stages"].items() if name not in ("baseline", "recovery")}
    wanted, needed = set(rows), {row for content in stages.values() for row in _covers(content)}
    if wanted - needed:
        return []
    options = [f"stages.{name}=null" for name, content in stages.items() if not wanted & set(_covers(content))]
    document = parse_document(_text(plan), plan, environment)
    apply_profile(document, SMOKE if profile_of(plan, full=False) else None)  # what is set anew is not scaled once more
    experiments = document.data["stages"].get("faults", {}).get("experiments", [])
    kept = [one for one in experiments if wanted & set(one.get("covers") or [])]
    if kept and not wanted & set(stages["faults"].get("covers") or []):
        options.append(f"stages.faults.experiments={json.dumps(kept)}")
    if "regression" in _data(plan):
        options.append("regression.figures=[]")  # of stages that may be gone; there are no earlier runs to compare with
    return [word for option in options for word in ("--set", option)]


def figures_alone(plan: str) -> list[str]:
    """What leaves out of a plan everything but the parts whose figures it compares with earlier runs."""
    data = _data(plan)
    wanted = [figure.split(".") for figure in data["regression"]["figures"]]
    options = []
    for stage, content in data["stages"].items():
        subjects = {parts[1] for parts in wanted if parts[0] == stage}
        if not subjects:
            options.append(f"stages.{stage}=null")
            continue
        for key in ("suites", "scenarios", "parallel", "run"):
            parts = [part if isinstance(part, dict) else {"use": part} for part in content.get(key) or []]
            kept = [part for part in parts if (part.get("label") or part.get("use") or part.get("suite")) in subjects]
            if parts:
                options.append(f"stages.{stage}.{key}={json.dumps(kept)}")
        options += [f"stages.{stage}.{key}=[]" for key in ("thresholds", "leaks", "drifts") if content.get(key)]
    return [word for option in options for word in ("--set", option)]
