"""What was sampled, as the report shows it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from shakedown.records.observation import Sample
from shakedown.reports.resource_charts import own_series_chart, resource_chart
from shakedown.reports.watched import always_zero, observer_cost, watched_lines

SERIES = {
    "memory": [1e6, 3e6, 2e6], "network_rx": [0.0, 2000.0, 1000.0], "jobs_total": [5.0, 7.0, 7.0],
    "sockets_close_wait": [0.0, 1.0, 4.0], "sockets_established": [2.0, 2.0, 2.0], "restarts": [0.0, 0.0, 1.0], "backlog": [1.0, 9.0, 4.0],
}  # fmt: skip


@pytest.fixture
def report():
    """Three seconds of one service, and of the observer."""
    samples = [
        Sample(float(at), "api", series, value) for series, values in SERIES.items() for at, value in enumerate(values)
    ]
    samples += [Sample(1.0, "shakedown", "observer_cpu", value) for value in (0.01, 0.03)]
    samples += [Sample(1.0, "shakedown", "observer_memory", 5e7)]
    return SimpleNamespace(
        samples=samples, services=[("api", "docker", "x")], experiments=[], stages=[], end=3.0, events=[]
    )


def test_counters_are_shown_by_the_second(report):
    """What counts up is a rate, with nothing where it began anew; restarts are counted; the rest is as it was."""
    lines = {line.series: line for line in watched_lines(report)}
    assert set(lines) == set(SERIES)
    assert (lines["network_rx"].greatest, lines["network_rx"].samples, lines["network_rx"].unit) == (2000.0, 1, "B/s")
    assert (lines["jobs_total"].greatest, lines["jobs_total"].last, lines["jobs_total"].unit) == (2.0, 0.0, "/s")
    assert (lines["restarts"].last, lines["restarts"].unit) == (1.0, "")
    assert (lines["memory"].least, lines["memory"].median, lines["memory"].greatest) == (1e6, 2e6, 3e6)


def test_what_was_never_anything_but_zero(report):
    """Such series are told by name with their sources; one that rose once is not among them."""
    report.samples += [Sample(float(at), source, "oom_kills", 0.0) for at in range(3) for source in ("api", "worker")]
    report.services += [("worker", "docker", "x")]
    assert always_zero(watched_lines(report)) == {"oom_kills": ["api", "worker"]}


def test_what_watching_cost(report):
    """On average and at most; nothing for runs that did not measure it."""
    cost = observer_cost(report)
    assert (cost.cpu, cost.most, cost.memory) == (0.02, 0.03, 5e7)
    report.samples = [replace(sample, source="api") for sample in report.samples]
    assert observer_cost(report) is None


def test_charts(report):
    """CLOSE_WAIT has a line of its own; the plan's own series have a panel each; without samples there is no chart."""
    labels = [text for axis in resource_chart(report).axes for text in axis.get_legend_handles_labels()[1]]
    assert "api CLOSE_WAIT" in labels
    assert "api" in labels
    own = own_series_chart(report).axes
    assert [axis.get_legend_handles_labels()[1] for axis in own] == [["api\nbacklog"], ["api\njobs_total /s"]]
    report.samples = []
    assert resource_chart(report) is None
    assert own_series_chart(report) is None
