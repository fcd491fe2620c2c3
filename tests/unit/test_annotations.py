"""Annotations of what did not hold, as GitHub's runner reads them."""

import json

import pytest

from shakedown.cli.annotations import annotate

THRESHOLD = {"stage": "stress", "scope": "", "text": "send.p95 < 1s", "verdict": "failed", "actual": 1.5, "limit": 1.0,
             "unit": "s", "samples": 200, "reason": ""}  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's summary and its plan; what is annotated of it."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    plan = tmp_path / "plan.yaml"
    plan.write_text("a: 1\nthresholds:\n  - send.p95 < 1s\n")

    def make(*, thresholds=(), findings=()):
        text = json.dumps({"thresholds": list(thresholds), "findings": list(findings)})
        (tmp_path / "summary.json").write_text(text)
        return annotate(str(tmp_path / "report.md"), plan)

    return make


def test_a_breach_stands_at_its_line_in_the_plan(run):
    """The threshold's file and line, what was measured, and of how many."""
    (line,) = run(thresholds=[THRESHOLD, {**THRESHOLD, "verdict": "passed"}])
    assert line.startswith("::error file=")
    assert ",line=3,title=stress%3A send.p95 < 1s::failed: measured 1.5 s (n = 200)" in line


def test_what_could_not_be_judged_is_a_warning(run):
    """Inconclusive is not an error, and comes after the errors."""
    lines = run(thresholds=[{**THRESHOLD, "verdict": "inconclusive", "actual": None}, THRESHOLD])
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    assert "nothing was measured" in lines[1]


def test_no_text_can_end_its_line_or_begin_another_command(run):
    """Line ends, colons and percent signs of untrusted text are escaped."""
    finding = {"severity": "failure", "title": "a\n::set-output name=x::y, 5%", "cause": "b\r\n::error::c"}
    (line,) = run(findings=[finding])
    assert "\n" not in line
    assert "\r" not in line
    assert line.count("::") == 4  # begins, ends its properties, and two in the escaped cause
    assert "title=a%0A%3A%3Aset-output name=x%3A%3Ay%2C 5%25::" in line


def test_only_where_they_are_read(run, monkeypatch):
    """Elsewhere nothing is printed."""
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert run(thresholds=[THRESHOLD]) == []
