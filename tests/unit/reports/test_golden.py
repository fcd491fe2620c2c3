"""Reports of every kind of run, compared with files that a person has read."""

import json

import jsonschema
import pytest

from shakedown.reports.junit import render_junit
from shakedown.reports.markdown import render_brief, render_markdown
from shakedown.reports.model import collect
from shakedown.reports.summary import summary_json, summary_schema
from tests.unit.reports.scenes import SCENES

CHARTS = {"latency": "latency.svg", "memory": "memory.svg", "health": "health.svg"}


@pytest.mark.parametrize("scene", SCENES)
def test_report_md(results, golden, scene):
    """The Markdown of a stored run is the golden one, byte for byte."""
    golden(f"{scene}.md", render_markdown(collect(results, scene), {} if scene in ("empty", "error") else CHARTS))


@pytest.mark.parametrize("scene", SCENES)
def test_summary_json(results, golden, scene):
    """The summary of a stored run is the golden one, byte for byte."""
    text = summary_json(collect(results, scene))
    golden(f"{scene}.json", text)
    jsonschema.validate(json.loads(text), summary_schema())


@pytest.mark.parametrize("scene", SCENES)
def test_summary_md(results, golden, scene):
    """The summary for CI of a stored run is the golden one, byte for byte."""
    golden(f"{scene}.summary.md", render_brief(collect(results, scene)))


@pytest.mark.parametrize("scene", SCENES)
def test_junit_xml(results, golden, scene):
    """The JUnit file of a stored run is the golden one, byte for byte."""
    golden(f"{scene}.xml", render_junit(collect(results, scene)))
