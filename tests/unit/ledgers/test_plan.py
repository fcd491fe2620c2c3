"""docs/ledgers.md says what is so; mistakes in ledgers and invariants are found before anything starts."""

import re
from pathlib import Path

import pytest

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.plan.ledgers import LEDGER_KINDS, LEDGER_METRICS, Invariant

TEXT = (Path(__file__).parents[3] / "docs" / "ledgers.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def load(tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plan(path, environ={}).plan


@pytest.mark.parametrize("example", EXAMPLES, ids=[re.search(r"name: (\S+)", example)[1] for example in EXAMPLES])
def test_every_example_loads(tmp_path, example):
    """Each example is a whole plan without a problem."""
    assert load(tmp_path, example).stages.recovery is not None


def test_every_kind_and_figure_is_in_the_reference():
    """Each kind of trouble has its rule; each figure that thresholds can compare is named."""
    for kind in LEDGER_KINDS:
        assert f"| `{kind}` |" in TEXT
    for metric in LEDGER_METRICS:
        assert f"`{metric}`" in TEXT


SHOP, MAIL, BANK = EXAMPLES


@pytest.mark.parametrize(
    ("example", "old", "new", "words"),
    [
        (SHOP, "/orders/{{ key }}", "/orders/all", "looked for in the same place"),
        (SHOP, "/orders/{{ key }}", "/orders/{{ id }}", "uses `id`"),
        (SHOP, "value: item, ", "", "notes a `value`, and the ledger does not say where"),
        (SHOP, 'value: "{{ body.item }}"', "tags: {}", "notes no `value` to compare with"),
        (SHOP, 'value: "{{ body.item }}"', "refused: stats == 503", "stats"),
        (SHOP, 'value: "{{ body.item }}"', 'refused: "status == {{ body.id }}"', "no template"),
        (SHOP, "ledger: orders", "refused: status == 503", "no ledger notes this request"),
        (SHOP, "read: {", "look: {", "look"),
        (SHOP, "target: api.http, value", "target: api.htp, value", "no service.port"),
        (SHOP, 'value: "{{ body.item }}"', 'value: "{{ bod.item }}"', "uses `bod`"),
        (SHOP, "copies: deliveries", "sql: SELECT 1", "exactly one of get, sql, redis"),
        (MAIL, "SELECT id AS key", "SELECT id AS id", "a column `key`"),
        (MAIL, ", number AS position", "", "in which order"),
        (MAIL, '"GET", "{{ key }}"', '"GET", "x"', "looked for in the same place"),
        (MAIL, 'match: "draft:.*"', 'match: "(draft"', "not a regular expression"),
        (MAIL, "ledger: mails", "ledger: mals", "no such ledger"),
        (BANK, "service: jobs", "service: job", "no such service"),
        (BANK, "{port.resp}", "{port.rep}", "no service.port"),
        (BANK, 'expect: "<= 5"', "expect: few", "not an expectation"),
        (BANK, "redis: LLEN jobs, expect: 0", "redis: LLEN jobs", "exactly one of expect, equals"),
    ],
)  # fmt: skip
def test_mistakes_are_found_in_the_plan(tmp_path, example, old, new, words):
    """Each with its place, and with what is allowed."""
    assert old in example
    with pytest.raises(PlanError) as error:
        load(tmp_path, example.replace(old, new, 1))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("given", "limit"), [(0, ("==", 0.0)), ("<= 5", ("<=", 5.0)), (">1.5", (">", 1.5)), (-3.0, ("==", -3.0))]
)
def test_an_expectation_is_a_number_or_a_comparison(given, limit):
    """A bare number is to be equal."""
    assert Invariant(service="s", http="http:/x", expect=given).limit == limit
