"""junit.xml as a CI reads it."""

from xml.etree import ElementTree as ET

import pytest

from shakedown.records.ledger import LedgerResult
from shakedown.reports.junit import render_junit
from shakedown.reports.model import collect
from shakedown.verdict import Verdict
from tests.unit.reports.scenes import SCENES


@pytest.mark.parametrize("scene", SCENES)
def test_only_a_run_that_passed_looks_so(results, scene):
    """A CI that counts failures and errors comes to the run's verdict, and the counts are those of the cases."""
    report = collect(results, scene)
    root = ET.fromstring(render_junit(report))  # noqa: S314 - our own
    bad = len(root.findall(".//failure")) + len(root.findall(".//error"))
    assert int(root.get("failures")) + int(root.get("errors")) == bad
    assert int(root.get("tests")) == len(root.findall(".//testcase"))
    assert (bad == 0) == (report.run.verdict in (Verdict.PASSED, Verdict.SKIPPED))


def test_a_ledger_is_red_only_beyond_what_the_plan_allows(results):
    """Losses that the plan allows are no failure; without a stored verdict, any of them is."""
    report = collect(results, "passed")
    report.ledgers[0].lost = 3
    report.ledgers.append(LedgerResult("orders", 10, checked=10, lost=2, verdict=Verdict.PASSED))
    report.ledgers.append(LedgerResult("old", 10, checked=10, lost=2))
    root = ET.fromstring(render_junit(report))  # noqa: S314 - our own
    cases = {case.get("name"): case for case in root.iter("testcase") if case.get("classname") == "recovery.ledgers"}
    assert {name for name, case in cases.items() if case.find("failure") is not None} == {"old"}


def test_characters_that_xml_cannot_carry_do_not_end_the_file(results):
    """A name with NUL or lone surrogates is written with what XML allows."""
    report = collect(results, "failed")
    report.findings.append(("stress", type(report.serious[0][1])(report.serious[0][1].severity, "a\x00b\ud800c", "")))
    root = ET.fromstring(render_junit(report))  # noqa: S314 - our own
    assert "a\ufffdb\ufffdc" in [case.get("name") for case in root.iter("testcase")]
