"""The section "What happened in each fault": everything measured is shown, and nothing stored becomes markup."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from shakedown.records.behaviour import BehaviourRecord, BreakerSeen, CallsSeen, Fall, PhaseCalls, Served, Wait
from shakedown.reports.markdown import render_markdown
from shakedown.reports.model import collect
from shakedown.results import Results, Store
from shakedown.verdict import Verdict
from tests.unit.reports.scenes import begin, experiment, recovery

NASTY = "a|b `c` <script>x</script> *d* [l](u)"
WHOLE = BehaviourRecord(
    served=(Served("buy", "before", 100, 0, 0, 0.02, marked=True, core=True), Served("buy", "during", 40, 50, 10, 1.5, marked=True, core=True),
            Served(NASTY, "during", 9, 0, 0, 0.01)),
    waits=(Wait("buy", 12.0, 4.2, "timed_out"),), longest=3.0,
    calls=(CallsSeen(NASTY, f"{NASTY}.calls", 1.0, (PhaseCalls("before", 0, 5, 250.0, 5.0, 1.0, 52.0), PhaseCalls("during", 5, 9)),
                     herd_times=3.2, at_once=17.0, unknown="calls during the fault: too few samples"),),
    breakers=(BreakerSeen("llm", ((12.0, "open"), (20.0, "closed")), 12.0, 20.0, 2.0, 0.01, 0.0), BreakerSeen("db", unknown="nothing tells it")),
    falls=(Fall(11.0, NASTY, "unhealthy", NASTY, expected=False, resolution=0.1), Fall(12.0, "api", "restarted", "", expected=True)),
    metastable="the load is what it was",
)  # fmt: skip


@pytest.fixture
def shown(tmp_path):
    def render(behaviour):
        store = Store.open(tmp_path / str(behaviour is None))
        begin(store, "r", 3)
        store.put_experiment("r", 0, experiment(), replace(recovery(), behaviour=behaviour), Verdict.FAILED, "so it is")
        return render_markdown(collect(Results(store.engine), "r"), {})

    return render


def test_everything_that_was_measured_is_shown(shown):
    """Shares, waits, calls, transitions, falls with their reasons, and what is not known."""
    text = shown(WHOLE)
    for words in (
        "## What happened in each fault", "### In redis killed", "| buy (core) | 100 % | 100 | 40 | 50 | 10 |", "no marker",
        "50/s (1 for a request)", "not known", "3.2 ×, 17 at once", "open at 12.0 s, closed at 20.0 s", "± 100 ms", "**no**",
        "waited at least 4.2 s and then gave up; 3 s allowed", "is not known: nothing tells it", "keeps itself up",
    ):  # fmt: skip
        assert words in text, words


def test_nothing_stored_becomes_markup(shown):
    """Names full of markup make no HTML, link or cell of their own."""
    text = shown(WHOLE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = {child.type for token in tokens for child in token.children or ()}
    assert not inline & {"html_inline", "link_open"}
    section = text.partition("## What happened")[2].splitlines()
    wide = 0
    for before, line in zip(["", *section], section, strict=False):
        if line.startswith("|"):
            bars = line.replace("\\\\", "").replace("\\|", "").count("|")
            assert not before.startswith("|") or bars == wide, line
            wide = bars


def test_an_experiment_without_it_has_no_section(shown):
    """What an earlier version stored, or what was never injected, is rendered as before."""
    assert "What happened in each fault" not in shown(None)
    assert "### In redis killed" in shown(BehaviourRecord())
