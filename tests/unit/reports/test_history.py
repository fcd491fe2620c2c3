"""The history of a plan: trends, verdicts, and a page that needs nothing else."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from shakedown.analysis.figures import FIGURES_VERSION
from shakedown.records.figures import Change, Figure, FigureName
from shakedown.reports.history import collect_history
from shakedown.reports.history_page import render_history
from shakedown.results import Results, Store
from shakedown.results.tables import RunRow
from shakedown.verdict import Verdict
from tests.unit.reports.scenes import NASTY

P95 = FigureName("stress", "send", "p95")
NEW = 22  # the run from which on it is slower


def remember(store: Store, number: int, **changes: object) -> None:
    values: dict[str, object] = {
        "id": f"run-{number:02d}", "plan": NASTY, "plan_path": "p", "plan_digest": "d", "plan_json": "{}", "status": "running",
        "started": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number), "profile": "nightly", "workload": "w", "machine": "m",
        "build": NASTY,
    }  # fmt: skip
    run = str({**values, **changes}["id"])
    store.begin_run(RunRow(**{**values, **changes}))  # type: ignore[arg-type]
    value = (0.13 if number >= NEW else 0.1) + 0.001 * (number % 3)
    doubt = NASTY if number == 3 else ""
    store.put_figures(
        run, [Figure(P95, "s", value, 600, doubt), Figure(FigureName("baseline", NASTY, "p50"), "s", 0.01, 60)],
        version=FIGURES_VERSION, workload=str(changes.get("workload", "w")),
    )  # fmt: skip
    failed = number == NEW
    verdict = Verdict.FAILED if failed else Verdict.PASSED
    store.end_run(
        run, status="finished", verdict=verdict, reason=NASTY if failed else "", exit_code=int(failed), at=60.0
    )


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Thirty nights, slower from the 22nd on; one of other work, one of another profile."""
    store = Store.open(tmp_path_factory.mktemp("store"))
    for number in range(30):
        remember(store, number)
    remember(store, 30, id="other", workload="other", started=datetime(2026, 2, 1, tzinfo=UTC))
    remember(store, 31, id="smoke", profile=None)
    found = collect_history(Results(store.engine), NASTY)
    store.engine.dispose()
    return found


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))


def test_trends_have_verdicts_and_levels(history):
    """Each run's verdict is the one that it had as the newest; the level changes once; unsound figures are no points of it."""
    assert [one.profile for one in history.profiles] == [None, "nightly"]
    nightly = history.profiles[1]
    assert (nightly.runs, nightly.others) == (30, 1)
    trend = nightly.trends[0]  # what changed stands first
    assert trend.name == P95
    assert [point.peer.id for point in trend.levels] == [f"run-{NEW}"]
    words = [point.word for point in trend.points]
    assert words[NEW : NEW + 3] == ["suspect", "suspect", "regressed"]
    assert words[3] == "not compared"
    assert words.count("inconclusive") == 8
    assert trend.points[-1].look.change is Change.REGRESSED


def test_every_run_is_listed(history):
    """All runs of the plan, comparable or not, the newest first, and how they ended."""
    assert len(history.runs) == 32
    assert history.runs[0].id == "smoke"
    assert history.runs[-1].id == "other"
    assert history.counts == {"passed": 31, "failed": 1}


def test_only_one_profile(history, tmp_path):
    """With a profile, only its runs and figures are shown; points are limited, runs are too."""
    store = Store.open(tmp_path)
    for number in range(12):
        remember(store, number, profile="a" if number % 2 else "b")
    found = collect_history(Results(store.engine), NASTY, "a", most_runs=10, most_points=4)
    assert {info.profile for info in found.runs} == {"a"}
    assert found.left_out
    (one,) = found.profiles
    assert [len(trend.points) for trend in one.trends] == [4, 4]
    assert (one.runs, one.others) == (4, 2)
    store.engine.dispose()


@pytest.fixture(scope="module")
def page(history, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    report = root / "runs" / "run-05" / "report" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("")
    return render_history(history, root / "history.html", root)


def test_the_page_needs_nothing_else(page):
    """References are places on the page, and reports that lie below it; anything else the page forbids itself."""
    read = _Page(page)
    links = [value for _, attributes in read.elements for key, value in attributes.items() if key in ("src", "href")]
    assert [one for one in links if not (one or "").startswith("#")] == ["runs/run-05/report/report.html"]
    places = [attributes["id"] for _, attributes in read.elements if attributes.get("id")]
    assert len(set(places)) == len(places)
    assert {one[1:] for one in links if one and one.startswith("#")} <= set(places)
    assert "default-src 'none'" in page


def test_nothing_stored_acts(page):
    """Names, builds and reasons that look like HTML or script stay text."""
    read = _Page(page)
    assert len([tag for tag, _ in read.elements if tag == "script"]) == 3
    assert not [key for _, attributes in read.elements for key in attributes if key.startswith("on")]
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]


def test_the_charts_have_the_numbers_of_the_tables(page, history):
    """For each trend there is a place, a table for those who see no chart, and the same values, in milliseconds."""
    read = _Page(page)
    places = [attributes["data-chart"] for _, attributes in read.elements if "data-chart" in attributes]
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    trends = [trend for one in history.profiles for trend in one.trends]
    assert places == [str(number) for number in range(len(trends))]
    assert len([tag for tag, _ in read.elements if tag == "details"]) == len(trends)
    chart = next(one for one in data if one["name"] == str(P95) and len(one["points"]) == 30)
    assert [point["value"] for point in chart["points"]] == [
        round(0.1 * 1e3 + 30 * (number >= NEW) + number % 3, 6) for number in range(30)
    ]
    assert [level["at"] for level in chart["levels"]] == [NEW]
    assert not chart["points"][3]["sound"]
    assert all(attributes.get("scope") == "col" for tag, attributes in read.elements if tag == "th")
