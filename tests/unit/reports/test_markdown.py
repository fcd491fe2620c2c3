"""Whatever is stored, the Markdown keeps its shape: parsed by a Markdown parser, not looked at."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from shakedown.reports.markdown import render_markdown
from shakedown.reports.model import collect
from shakedown.reports.text import code, escape, fenced, one_line
from tests.unit.reports.scenes import NASTY, SCENES

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ORDER = (
    "Stages", "Thresholds", "Experiments", "Latency by phase", "Ledgers", "Comparison", "Suites", "Errors", "Resources", "Findings",
    "Environment", "How to repeat it", "What was not tested",
)  # fmt: skip
HOSTILE = st.text(
    st.one_of(st.sampled_from("|`\\*_<>[]()#!&;-+=~$.1 \n\t\x00\u2028\u202e"), st.characters(codec="utf-8")),
    max_size=60,
)


def text_of(token: Token) -> str:
    """What a reader sees of an inline token."""
    return "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))


def cells(markdown: str) -> list[list[str]]:
    """The cells of every row of every table."""
    rows: list[list[str]] = []
    tokens = PARSER.parse(markdown)
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            rows[-1].append(text_of(tokens[place + 1]))
    return rows


@given(HOSTILE)
def test_escaped_text_shows_as_it_is(text):
    """In a table's cell, escaped text is one cell with that text and nothing else."""
    shown = " ".join(one_line(text).split())
    for made in (escape(text), code(text)):
        found = cells(f"| a | b |\n|---|---|\n| {made} | end |")
        assert len(found) == 2
        assert [" ".join(cell.split()) for cell in found[1]] == [shown, "end"], made


@given(HOSTILE)
def test_escaped_text_begins_nothing(text):
    """As an item of a list, escaped text is a paragraph: no heading, list, rule or HTML."""
    kinds = [token.type for token in PARSER.parse(f"- {escape(text)}\n")]
    assert set(kinds) <= {"bullet_list_open", "list_item_open", "paragraph_open", "inline", "paragraph_close",
                          "list_item_close", "bullet_list_close"}  # fmt: skip
    assert kinds.count("list_item_open") == 1


@given(HOSTILE)
def test_a_code_block_holds_its_text(text):
    """A command stays within its fence, whatever runs of backticks it has."""
    blocks = [token.type for token in PARSER.parse(f"{fenced(text)}\n\nafter\n")]
    assert blocks == ["fence", "paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize("scene", SCENES)
def test_every_row_fits_its_table(results, scene):
    """Each row has as many cells as its table's head; a parser would drop or add cells in silence, so bars are counted."""
    lines = render_markdown(collect(results, scene), {}).splitlines()
    wide = 0
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            bars = line.replace("\\\\", "").replace("\\|", "").count("|")
            assert line.endswith("|")
            assert not before.startswith("|") or bars == wide, line
            wide = bars


def test_nothing_stored_becomes_markup(results):
    """Names and answers full of markup make no HTML, link, emphasis or heading of their own."""
    text = render_markdown(collect(results, "failed"), {})
    tokens = PARSER.parse(text)
    children = [child for token in tokens for child in token.children or ()]
    assert not {child.type for child in children} & {"html_inline", "image", "s_open"}
    links = {str(child.attrGet("href")) for child in children if child.type == "link_open"}
    headings = {text_of(tokens[place + 1]) for place, token in enumerate(tokens) if token.type == "heading_open"}
    assert {
        link.removeprefix("#").replace("-", " ").capitalize() for link in links
    } <= headings  # ours, within the report
    assert "#finding-1" in links
    folded = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert len(folded) == 4  # the one traceback and the numbers, folded; what stands between is text
    assert re.fullmatch(r"<details>\n<summary>Traceback of [^<>]*</summary>", folded[0])
    assert re.fullmatch(r"<details>\n<summary>Every series in numbers: \d+ of \d+ sources</summary>", folded[2])
    assert folded[1] == folded[3] == "</details>"
    heads = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert heads[1:4] == ["Stages", "Thresholds", "Experiments"]
    assert [head for head in heads if head in ORDER] == list(ORDER)
    seen = [cell for row in cells(text) for cell in row]
    assert seen.count(" ".join(one_line(NASTY).split())) >= 10


def test_long_text_is_cut():
    """A megabyte that a system answered does not make a megabyte of table."""
    assert len(escape("x" * 1_000_000)) <= 600
    assert len(code("x" * 1_000_000)) <= 602
