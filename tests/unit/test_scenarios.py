"""The scenario catalogue, the plans of the examples, and the table of what runs each row: none of them lags behind."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from shakedown.plan import load_plan
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
ROW = re.compile(r"^\| ([A-Z]\d\d) \|(.*)\|$", re.MULTILINE)
CATALOGUE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
TABLE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
SOURCES = {"N": "nadia", "V": "vigia", "R": "raglox", "A": "aidrive", "D": "dialogue"}
PLANS = sorted(path for path in EXAMPLES.glob("*/*.yaml") if "stages" in (yaml.safe_load(path.read_text()) or {}))


def ids(text: str) -> list[str]:
    """The rows of a table, in their order."""
    return [match[1] for match in ROW.finditer(text)]


def covered(value: object) -> list[str]:
    """Every id that a plan names, as often as it does."""
    if isinstance(value, dict):
        own = value.get("covers") or []
        return [*own, *(one for key, part in value.items() if key != "covers" for one in covered(part))]
    return [one for part in value for one in covered(part)] if isinstance(value, list) else []


def rows_of(path: Path) -> set[str]:
    return set(covered(yaml.safe_load(path.read_text(encoding="utf-8"))))


def test_the_catalogue():
    """81 rows, each once, numbered without a gap."""
    found = Counter(row[0] for row in ids(CATALOGUE))
    assert found == {"N": 31, "V": 11, "R": 10, "A": 20, "D": 9}
    assert ids(CATALOGUE) == [f"{letter}{number:02}" for letter in SOURCES for number in range(1, found[letter] + 1)]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_plans_load_and_name_rows_that_there_are(path):
    """A plan of the examples is one, with each of its profiles, and its rows stand in the catalogue."""
    load_plan(path, environ={})
    assert rows_of(path) <= set(ids(CATALOGUE))


@pytest.mark.parametrize("letter", SOURCES)
def test_a_source_with_a_plan_has_all_of_its_rows(letter):
    """Every row of a source whose plan is there is named by it."""
    path = EXAMPLES / SOURCES[letter] / "plan.yaml"
    if path.exists():
        assert {row for row in ids(CATALOGUE) if row[0] == letter} - rows_of(path) == set()


def test_the_table_lists_what_plans_name():
    """examples/README.md has one line for each row that a plan names, with a plan that names it, and no other line."""
    named = {path: rows_of(path) for path in PLANS}
    assert ids(TABLE) == sorted(set().union(*named.values()), key=ids(CATALOGUE).index)
    for row, rest in ROW.findall(TABLE):
        plans = [EXAMPLES / name for name in re.findall(r"`([\w./-]+\.yaml)`", rest.split("|")[0])]
        assert plans, f"{row} names no plan"
        assert all(row in named.get(plan, ()) for plan in plans), f"{row} is not covered by {plans}"


def test_the_example_of_covers(tmp_path):
    """The page's example loads, with something to use around it, and names what it says."""
    (example,) = re.findall(r"```yaml\n(.*?)```", CATALOGUE, re.DOTALL)
    around = """
version: 1
name: shop
services:
  api: {image: "api:1", ports: {http: 80}, health: {tcp: http}}
  redis: {image: "redis:7"}
scenarios:
  send:
    executor: {type: constant-arrival-rate, rate: 5, duration: 5s}
    http: {target: api.http, requests: [{name: r, post: /, json: {id: "{{ uuid() }}"}, ledger: messages}]}
suites: {unit: {command: ["true"]}}
ledgers: {messages: {read: {get: "/{{ key }}", target: api.http}}}
"""
    path = tmp_path / "plan.yaml"
    path.write_text(around + example, encoding="utf-8")
    named = {"N01", "N04", "N05", "N15", "N30", "N31", "REQ-7", "REQ-12"}
    assert set(covered(yaml.safe_load(path.read_text()))) == named
    assert load_plan(path, environ={}).plan.experiments[0].covers == ["N15", "N30"]
