"""report.html: the report on one page that needs nothing else, with charts that can be zoomed.

Its text is that of report.md, so that the two never disagree: the Markdown is rendered (raw HTML in it stays text), its
tables get headings that screen readers announce, its images give way to charts drawn from the same series. Where scripts
do not run, the SVG charts stand in their place.
"""

import base64
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from shakedown.reports.model import Report
from shakedown.reports.page import render_page
from shakedown.reports.resource_charts import SPARSE, Panel, PanelLine, own_panels, resource_panels
from shakedown.reports.series import SILENT_LOAD, SILENT_SAMPLER, Lines, Spans, health_spans, load_series, memory_series

__all__ = ["as_image", "render_html"]

_FOLD = re.compile(r"<details>\n<summary>[^<>\n]*</summary>|</details>")
SHORT = 20  # characters of a cell that stays on one line
POINTS = 2000  # of one line: a screen shows no more


def render_html(report: Report, markdown: str, charts: Mapping[str, str], folder: Path) -> str:
    """The report as a page.

    Args:
        markdown: the same report as report.md.
        charts: SVG files by name, in `folder`.

    Raises:
        OSError: a chart cannot be read.
    """
    body, sections = _body(markdown, {f"charts/{file}": folder / file for file in charts.values()})
    return render_page(
        "report.html.j2", _data(report), {},
        run=report.run, verdict=str(report.run.verdict or report.run.status), body=Markup(body), sections=sections,  # noqa: S704 - made by the renderer, which escapes
        charts=set(charts),
    )  # fmt: skip


def _body(markdown: str, images: Mapping[str, Path]) -> tuple[str, list[tuple[str, str]]]:
    """The rendered text, and its sections as (id, heading)."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    sections: list[tuple[str, str]] = []
    names: set[str] = set()
    heading = ""
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _plain(tokens[index + 1])
            token.attrSet("id", _anchor(heading, names))
            if token.tag == "h2":
                sections.append((str(token.attrGet("id")), heading))
        elif token.type == "table_open":
            token.attrSet("aria-label", heading)
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and len(tokens[index + 1].content) <= SHORT:
            token.attrSet("class", "short")
        elif token.type == "inline":
            for child in token.children or ():
                if child.type == "image":
                    _embed(child, images)
    html = str(parser.renderer.render(_folded(tokens), parser.options, {}))
    html = html.replace("<table", '<div class="wide" tabindex="0" role="region" aria-label="table"><table')
    return html.replace("</table>", "</table></div>"), sections


def _folded(tokens: list[Token]) -> list[Token]:
    """The tokens with what our templates fold: the only HTML that is let through.

    Untrusted text never looks like this: outside of code each `<` in it stands behind a backslash.
    """
    found: list[Token] = []
    for token in tokens:
        if token.type == "inline" and _FOLD.fullmatch(token.content) and found[-1].type == "paragraph_open":
            found[-1] = Token("html_block", "", 0, content=f"{token.content}\n")
        elif not (token.type == "paragraph_close" and found[-1].type == "html_block"):
            found.append(token)
    return found


def _plain(inline: Token) -> str:
    return "".join(
        child.content for child in inline.children or () if child.type in ("text", "code_inline", "text_special")
    )


def _anchor(heading: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")[:60] or "section"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def _embed(image: Token, images: Mapping[str, Path]) -> None:
    """The chart itself in the place of its file: a page that is mailed has no folder beside it."""
    source = str(image.attrGet("src"))
    if source in images:
        image.attrSet("data-chart", images[source].stem)
        image.attrSet("src", as_image(images[source]))


def as_image(path: Path) -> str:
    """An SVG file as an address that needs no file.

    Raises:
        OSError: it cannot be read.
    """
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _data(report: Report) -> dict[str, Any]:
    """Everything the page's charts draw; times in seconds since the run began."""
    loads = load_series(report)
    return {
        "end": report.end,
        "stages": [{"name": stage.name, "at": stage.start} for stage in report.stages if stage.start is not None],
        "faults": [
            {
                "number": number,
                "name": info.record.name,
                "from": info.record.applied_at,
                "to": info.record.reverted_at if info.record.reverted_at is not None else report.end,
                "back": info.record.reverted_at + info.recovery.recovered_after
                if info.recovery is not None
                and info.recovery.recovered_after is not None
                and info.record.reverted_at is not None
                else None,
            }
            for number, info in enumerate(report.experiments, 1)
            if info.record.applied_at is not None
        ],
        "latency": _lines(_of_loads(loads, ("p50", "p95", "slowest")), SILENT_LOAD),
        "rate": _lines(_of_loads(loads, ("good", "", "failed")), SILENT_LOAD),
        "memory": _lines(
            [PanelLine(name, place, 0, points) for place, (name, points) in enumerate(memory_series(report).items())],
            SILENT_SAMPLER,
        ),
        "health": _strips(health_spans(report)),
        "resources": _panels(resource_panels(report)),
        "own": _panels(own_panels(report)[0]),
    }


def _of_loads(loads: Mapping[str, Lines], labels: Sequence[str]) -> list[PanelLine]:
    """A colour for each load, a dash for each label."""
    return [
        PanelLine(f"{name} {label}", place, part, lines[label])
        for place, (name, lines) in enumerate(loads.items())
        for part, label in enumerate(labels)
        if label
    ]


def _panels(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    return [{"title": panel.words, "series": _lines(panel.lines, SPARSE)} for panel in panels]


def _strips(spans: Mapping[str, Spans]) -> dict[str, Any]:
    """A strip for each service, over one axis of every moment at which one changed: 1 healthy, 0 not, null unknown from there on."""
    times = {name: [(*span, said) for said in (True, False) for span in found[said]] for name, found in spans.items()}
    axis = sorted({round(at, 3) for found in times.values() for start, end, _ in found for at in (start, end)})
    lines = []
    for name, found in times.items():
        values: list[int | None] = [None] * len(axis)
        for start, end, said in found:
            first, last = bisect_left(axis, round(start, 3)), bisect_left(axis, round(end, 3))
            values[first:last] = [int(said)] * (last - first)
        lines.append({"name": name, "group": 0, "part": 0, "values": values})
    return {"at": axis, "lines": lines}


def _lines(drawn: Sequence[PanelLine], gap: float) -> dict[str, Any]:
    """Several lines over one axis: a number at each point, "" where only others have one, null where the line is broken."""
    looks = {line.label.replace("\n", " "): (line.group, line.part) for line in drawn}
    series = {line.label.replace("\n", " "): _thinned(line.points) for line in drawn if line.points}
    breaks = {name: _breaks(points, gap * max(1.0, _step(points))) for name, points in series.items()}
    axis = sorted(
        {at for points in series.values() for at, _ in points}
        | {(start + end) / 2 for spans in breaks.values() for start, end in spans}
    )
    lines = []
    for name, points in series.items():
        known = dict(points)
        values: list[float | str | None] = [round(known[at], 4) if at in known else "" for at in axis]
        for start, end in breaks[name]:
            for place in range(bisect_right(axis, start), bisect_left(axis, end)):
                values[place] = None
        group, part = looks[name]
        lines.append({"name": name, "group": group, "part": part, "values": values})
    return {"at": [round(at, 3) for at in axis], "lines": lines}


def _step(points: list[tuple[float, float]]) -> float:
    return (points[-1][0] - points[0][0]) / max(len(points) - 1, 1) if len(points) >= POINTS else 1.0


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most so many points; of each part its highest, so that no peak is lost."""
    if len(points) <= POINTS:
        return points
    size = -(-len(points) // POINTS)
    return [max(points[start : start + size], key=lambda point: point[1]) for start in range(0, len(points), size)]


def _breaks(points: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """The points between which there is too little to draw a line: (before, after)."""
    return [(before, after) for (before, _), (after, _) in pairwise(points) if after - before > gap]
