"""Charts: what stands in them, not how they are drawn."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from shakedown.reports.charts import draw_charts
from shakedown.reports.model import collect
from tests.unit.reports.scenes import SCENES

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="session")
def drawn(results, tmp_path_factory) -> Path:
    """The charts of every scene, in a folder each."""
    folder = tmp_path_factory.mktemp("charts")
    for scene in SCENES:
        draw_charts(collect(results, scene), folder / scene)
    return folder


def words(path: Path) -> list[str]:
    """Every piece of text in a chart."""
    return ["".join(item.itertext()).strip() for item in ET.parse(path).iter(f"{SVG}text")]  # noqa: S314 - our own file


def marks(path: Path, kind: str) -> list[str]:
    """The marks of a kind, by their names."""
    return re.findall(rf'id="({kind}-[^"]+)"', path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("scene", SCENES)
def test_only_what_there_is_data_for(drawn, scene):
    """A run without load, probes or samples has no chart of them, and no empty one."""
    load, everything = {"latency.svg"}, {"latency.svg", "memory.svg", "health.svg"}
    wanted = {"inconclusive": load, "skipped": load, "empty": set(), "error": set()}
    assert {path.name for path in (drawn / scene).iterdir()} == wanted.get(scene, everything)


@pytest.mark.parametrize("chart", ["latency", "memory", "health"])
def test_titles_axes_and_windows(drawn, chart):
    """Each chart has a title, named axes, every stage, and a shaded, numbered and named window for each fault."""
    path = drawn / "passed" / f"{chart}.svg"
    said = words(path)
    titles = {"latency": "Response times and rates, second by second", "memory": "Memory of every service"}
    assert any(text.startswith(titles.get(chart, "Health as each service said it")) for text in said)
    assert "seconds since the run began" in said
    assert {"baseline", "stress", "endurance", "faults", "recovery"} <= set(said)
    panels = 2 if chart == "latency" else 1
    assert sorted(marks(path, "fault")) == sorted(["fault-1", "fault-2"] * panels)
    assert sorted(marks(path, "recovered")) == sorted(["recovered-1", "recovered-2"] * panels)
    assert any("1 redis killed · 2 slow redis" in text for text in said)


def test_lines_and_units(drawn):
    """Response times say their unit and from when they count; p95 is there only where a second has the samples for it."""
    said = words(drawn / "passed" / "latency.svg")
    assert any("response time, ms" in text for text in said)
    assert any("from the intended start" in text for text in said)
    assert {"send p50", "send p95", "send slowest", "send good", "send failed", "requests per second"} <= set(said)
    assert "send p99" not in said


def test_a_fault_that_was_never_taken_back(drawn):
    """Its window reaches to the last that is known of the run, and no recovery is drawn."""
    path = drawn / "interrupted" / "memory.svg"
    assert marks(path, "fault") == ["fault-1"]
    assert marks(path, "recovered") == []
    points = re.search(r'id="fault-1">\s*<path d="([^"]+)"', path.read_text(encoding="utf-8"))
    xs = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", points[1])]
    assert max(xs) - min(xs) > 20


def test_names_are_text_only(drawn):
    """A name full of markup is neither a tag nor a formula, and is short."""
    path = drawn / "failed" / "latency.svg"
    assert "<script" not in path.read_text(encoding="utf-8")
    named = next(text for text in words(path) if text.startswith("faults (hatched)"))
    assert "1 a|b `c` ``d`` <script>alert(1)" in named
    assert "…" in named


def test_the_same_twice(results, drawn, tmp_path):
    """A chart drawn again is the same file."""
    draw_charts(collect(results, "passed"), tmp_path)
    assert (tmp_path / "latency.svg").read_bytes() == (drawn / "passed" / "latency.svg").read_bytes()


def test_an_old_chart_goes(results, tmp_path):
    """What a run has no data for does not stay from an earlier rendering in the same folder."""
    (tmp_path / "memory.svg").write_text("old")
    assert draw_charts(collect(results, "skipped"), tmp_path) == {"latency": "latency.svg"}
    assert not (tmp_path / "memory.svg").exists()
