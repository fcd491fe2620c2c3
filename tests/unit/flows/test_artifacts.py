"""What a report becomes for Prefect's UI, which ends a line where the source does and shows no file of the worker's."""

from pathlib import Path
from types import SimpleNamespace

from shakedown.records.figures import Change, FigureName, Outlook
from shakedown.records.judgement import ThresholdResult
from shakedown.reports import unlinked
from shakedown.results.queries import RegressionInfo
from shakedown.verdict import Verdict
from tasks.artifacts import name_images, unwrap
from tasks.events import events_of


def test_a_paragraph_is_one_line():
    """What the source wraps is joined; headings, tables, lists, quotes, fences and forced breaks stay."""
    text = "# a\nb\nc\n\n| x |\n|---|\n| y |\n- one\n- two\n1. three\n> four\n> five\n```sh\nsix\nseven\n```\neight  \nnine\n"
    joined = text.replace("b\nc\n", "b c\n")
    assert unwrap(text) == joined
    assert unwrap(joined) == joined


def test_of_an_image_its_path_is_left():
    """There stands where the chart lies on the worker's machine."""
    assert name_images("![Memory](charts/m.svg)", Path("/r")) == "Memory: `/r/charts/m.svg`"


def test_of_a_link_to_a_finding_its_words_are_left():
    """A UI whose pages have no such places shows no links to them; what a system said that looks like one stays."""
    said = "\\[finding 1\\](#finding-1)"
    assert unlinked(f"it failed. ([finding 12](#finding-12)) {said}") == f"it failed. (finding 12) {said}"


def test_events_say_what_somebody_wants_to_be_told():
    """One for each failed threshold and each regression, and last how the run ended; nothing of what is well."""
    failed = ThresholdResult("get.p95 < 1s", Verdict.FAILED, 2.0, 1.0, "s", 100)
    passed = ThresholdResult("get.p50 < 1s", Verdict.PASSED, 0.5, 1.0, "s", 100)
    worse = Outlook(Change.REGRESSED, 2.0, 1.0, 1.2, 9, 3, "three in a row")
    info = SimpleNamespace(
        plan="courier",
        profile=None,
        build="",
        verdict=None,
        reason="interrupted",
        exit_code=130,
        command="shakedown run p",
    )
    results = SimpleNamespace(
        thresholds=lambda _: [("stress", "get", failed), ("stress", "get", passed)],
        regressions=lambda _: [
            RegressionInfo(FigureName("stress", "get", "p95"), "s", worse),
            RegressionInfo(FigureName("stress", "get", "p50"), "s", Outlook(Change.UNCHANGED, 1.0)),
        ],
        run=lambda _: info,
    )
    session = SimpleNamespace(run_id="run-1", results=results, report_dir=lambda: Path("/r"))
    events = list(events_of(session))
    assert [name for name, _ in events] == [
        "shakedown.threshold.failed",
        "shakedown.regression.found",
        "shakedown.run.ended",
    ]
    assert events[0][1]["threshold"] == "get.p95 < 1s"
    assert (events[1][1]["figure"], events[1][1]["usual"]) == ("stress.get.p95", 1.0)
    assert (events[2][1]["verdict"], events[2][1]["report"]) == ("interrupted", "/r/report.md")
    assert {payload["run"] for _, payload in events} == {"run-1"}
