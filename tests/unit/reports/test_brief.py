"""The timeline in Mermaid's language, whose rules were found out by rendering it in a browser."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.reports.brief import mermaid
from shakedown.reports.model import collect
from tests.unit.reports.scenes import NASTY

NAME = st.text(st.one_of(st.sampled_from(":;#%\"'`,<>{}&|\n\t\x00 "), st.characters(codec="utf-8")), max_size=60)
TASK = re.compile(r"  \d+ (?:[\w .-]|#\d+;)+ :(?:crit, )?(\d+), (\d+)")


@pytest.fixture(scope="module")
def report(results):
    return collect(results, "passed")


@given(name=st.one_of(NAME, st.sampled_from(("section", "click", "gantt", "title", "axisFormat %s", NASTY))))
def test_no_name_of_a_fault_means_anything(report, name):
    """A fault's line is its number, a name without a sign of Mermaid's, and its times: no name is taken for a word of it."""
    record = report.experiments[0].record
    before, record.name = record.name, name
    try:
        faults = mermaid(report).partition("  section faults\n")[2].split("\n")
    finally:
        record.name = before
    assert len(faults) == 2
    assert all(TASK.fullmatch(line) for line in faults), faults


def test_times_are_in_milliseconds(report):
    """Beginnings and ends are in one unit: Mermaid reads a beginning as milliseconds whatever the format says of seconds."""
    text = mermaid(report)
    assert "dateFormat x\n" in text
    record = report.experiments[0].record
    assert f"  1 {record.name} :{record.applied_at * 1e3:.0f}, {record.reverted_at * 1e3:.0f}" in text
