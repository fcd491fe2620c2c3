"""The scenario catalogue, the plans of the examples, and the table of what runs each row: none of them lags behind."""

import re
from collections import Counter

import pytest

from benchmarks.catalogue import COLUMNS, EXAMPLES, environment_of, plans, read_table, rows_of_catalogue
from shakedown.plan import load_plan
from tests.conftest import ROOT

CATALOGUE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
TABLE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
IDS = rows_of_catalogue(CATALOGUE)
SOURCES = {"N": "nadia", "V": "vigia", "R": "raglox", "A": "aidrive", "D": "dialogue"}
COVERED = plans()
PLANS = sorted(path for path in EXAMPLES.glob("*/*.yaml") if re.search(r"^stages:", path.read_text(), re.MULTILINE))
LAST = r"–|\d{4}-\d\d-\d\d (passed|failed|inconclusive|skipped|not judged|error), (smoke|full)"


def rows_of(plan: str) -> set[str]:
    return set(COVERED.get(plan, ()))


def test_the_catalogue():
    """81 rows, each once, numbered without a gap."""
    found = Counter(row[0] for row in IDS)
    assert found == {"N": 31, "V": 11, "R": 10, "A": 20, "D": 9}
    assert [f"{letter}{number:02}" for letter in SOURCES for number in range(1, found[letter] + 1)] == IDS


@pytest.mark.parametrize("path", PLANS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_plans_load_and_name_rows_that_there_are(path):
    """A plan of the examples is one, with each of its profiles, and its rows stand in the catalogue."""
    load_plan(path, environ={})
    assert rows_of(str(path.relative_to(EXAMPLES))) <= set(IDS)


def test_every_row_is_run_by_a_plan():
    """No row of the catalogue is left out."""
    assert set(IDS) - set().union(*COVERED.values()) == set()


@pytest.mark.parametrize("letter", SOURCES)
def test_a_sources_rows_are_its_own_plans(letter):
    """A row is named by a plan of its own source, and by no other's."""
    own = {row for plan, rows in COVERED.items() if plan.startswith(f"{SOURCES[letter]}/") for row in rows}
    assert own - {row for row in IDS if row[0] == letter} == set()


def test_the_table_lists_what_plans_name():
    """examples/README.md has one line for each row that a plan names, with a plan that names it, and no other line."""
    assert rows_of_catalogue(TABLE) == sorted(set().union(*COVERED.values()), key=IDS.index)
    for row, line in read_table(TABLE).items():
        assert line.plans, f"{row} names no plan"
        assert all(row in rows_of(plan) for plan in line.plans), f"{row} is not covered by {line.plans}"


def test_the_table_is_whole():
    """Each line has every column; its last result is none yet, or a day with verdict and scale."""
    assert f"| {' | '.join(COLUMNS)} |" in TABLE
    for line in re.findall(r"^\| [A-Z]\d\d \|.*$", TABLE, re.MULTILINE):
        assert len(line.strip("|").split("|")) == len(COLUMNS), line
    for row, line in read_table(TABLE).items():
        assert re.fullmatch(LAST, line.last), f"{row}: {line.last}"


def test_the_tables_defects_can_be_switched_on():
    """Each row has a defect, by a variable of which its plan, its programs or its suite speak; or it says what to change."""
    for row, line in read_table(TABLE).items():
        assert line.defect, f"{row} has no defect"
        for plan in line.plans:
            folder = (EXAMPLES / plan).parent
            texts = "".join(file.read_text() for file in (*folder.rglob("*.yaml"), *folder.rglob("*.py")))
            for mistake in line.mistakes:
                assert all(name in texts for name in environment_of(plan, mistake)), f"{row}: {mistake}"


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
    assert set(re.findall(r"[A-Z]+-?\d+", str(re.findall(r"covers: \[(.*?)\]", example)))) == named
    assert all(f'"{row}"' in load_plan(path, environ={}).resolved for row in named)
    assert load_plan(path, environ={}).plan.experiments[0].covers == ["N15", "N30"]
