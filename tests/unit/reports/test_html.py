"""report.html: nothing from outside, nothing untrusted that acts, and the same numbers as the charts."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from shakedown.records.observation import Sample
from shakedown.reports.html import _data, render_html
from shakedown.reports.markdown import render_markdown
from shakedown.reports.model import collect
from shakedown.reports.series import load_series
from tests.unit.reports.scenes import SCENES


class _Page(HTMLParser):
    """Every element with its attributes, and the text between."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._raw = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""

    def handle_endtag(self, _tag):
        self._raw = ""

    def handle_data(self, data):
        if not self._raw:
            self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(results, tmp_path):
    """A scene's page, and its report."""

    def make(scene: str) -> tuple[_Page, str, object]:
        report = collect(results, scene)
        charts = {name: f"{name}.svg" for name in ("latency", "memory", "health")}
        for file in charts.values():  # what is drawn in them is other tests' affair
            (tmp_path / file).write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        html = render_html(report, render_markdown(report, charts), charts, tmp_path)
        return _Page(html), html, report

    return make


@pytest.mark.parametrize("scene", SCENES)
def test_the_page_needs_nothing_else(page, scene):
    """Every reference is a place on the page or data; the page forbids itself anything from outside."""
    read, _, _ = page(scene)
    references = [
        value
        for _, attributes in read.elements
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert references
    places = {f"#{attributes['id']}" for _, attributes in read.elements if attributes.get("id")}
    assert {one for one in references if (one or "").startswith("#")} <= places
    assert [one for one in references if not (one or "").startswith(("#", "data:image/svg+xml;base64,"))] == []
    policy = next(one["content"] for one in read.named("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_untrusted_text_stays_text(page):
    """Names, messages and answers that look like HTML, Markdown or script do nothing on the page."""
    read, html, _ = page("failed")
    assert len(read.named("script")) == 3  # data, library, ours
    assert not [key for _, attributes in read.elements for key in attributes if key.startswith("on")]
    assert "<script>alert(1)</script>" in "".join(read.text)
    data = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]


def test_the_charts_have_the_numbers_of_the_report(page):
    """Each point of a load's series stands in the page's data, and a silence is a break and no line."""
    _, html, report = page("failed")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    drawn = {line["name"]: line["values"] for line in data["rate"]["lines"]}
    wanted = [(round(at, 3), round(value, 4)) for at, value in load_series(report)["send"]["good"]]
    got = [
        (at, value) for at, value in zip(data["rate"]["at"], drawn["send good"], strict=True) if value not in ("", None)
    ]
    assert got == wanted
    gaps = [end - start for (start, _), (end, _) in pairwise(wanted) if end - start > 1.6]
    assert gaps
    assert drawn["send good"].count(None) >= len(gaps)


def test_resources_are_panels(results):
    """Each resource and each of the plan's own series is a panel with its unit, a line for each service that has it."""
    samples = [
        Sample(float(at), name, series, value)
        for at in range(5)
        for name in ("api", "redis")
        for series, value in (("cpu", 0.5), ("block_read", 2e6 * at), ("block_write", 0.0), ("queue_depth", 3.0))
    ]
    data = _data(replace(collect(results, "passed"), samples=samples))
    lines = {
        panel["title"]: {line["name"]: line["values"][-1] for line in panel["series"]["lines"]}
        for panel in (*data["resources"], *data["own"])
    }
    assert lines == {
        "CPU, cores": {"api": 0.5, "redis": 0.5}, "disk, MB/s": {"api read": 2.0, "redis read": 2.0},
        "queue_depth of api": {"api queue_depth": 3.0}, "queue_depth of redis": {"redis queue_depth": 3.0},
    }  # fmt: skip


def test_health_is_a_strip_for_each_service(results):
    """A look holds until the next; where looks are far apart nothing is said."""
    looks = [(0.0, True), (1.0, True), (2.0, False), (3.0, True), (9.0, True), (10.0, True)]
    report = collect(results, "passed")
    probe = report.probes[0]
    data = _data(replace(report, probes=[replace(probe, service="api", at=at, healthy=said) for at, said in looks]))
    (line,) = data["health"]["lines"]
    assert line["name"] == "api"
    states = dict(zip(data["health"]["at"], line["values"], strict=True))
    assert states == {0.0: 1, 2.0: 0, 3.0: None, 9.0: 1, 10.1: None}


def test_each_section_can_be_reached(page):
    """The contents name every section in its order, and each link has its place."""
    read, _, _ = page("failed")
    places = [attributes["id"] for tag, attributes in read.elements if tag == "h2"]
    assert [link["href"] for link in read.named("a") if link["href"] != "#report"][: len(places)] == [
        f"#{one}" for one in places
    ]
    assert len(set(places)) == len(places) > 5
    assert all(attributes.get("scope") == "col" for attributes in read.named("th"))


def test_a_traceback_is_folded_and_stays_text(page):
    """What a failing test said is folded under its name, and closes nothing, whatever stands in it."""
    read, html, _ = page("failed")
    assert len(read.named("details")) == len(read.named("summary")) == 2
    folded = html.partition("<details>")[2].partition("</details>")[0]
    assert "<summary>Traceback of test_a.py::test_one</summary>" in folded
    assert "&lt;/details&gt;" in folded
    assert "lines are left out" in folded
    assert "Repeat it with" in folded
