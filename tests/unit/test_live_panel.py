"""What a terminal shows while a run goes on, and what loads did lately: fed by hand, with a clock that is moved."""

import pytest

from shakedown.cli.live import STALE, Panel
from shakedown.records.histogram import Histogram
from shakedown.records.load import Bucket, BucketKey, LoadCounts, LoadDelta, Outcome
from shakedown.session.lately import WINDOW, Lately
from shakedown.session.progress import Progress


class _Clock:
    """Moved by hand; begins elsewhere than the run."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def news(clock: _Clock, kind: str, subject: str = "", text: str = "", **more) -> Progress:
    """News of this moment; the run began at 1000."""
    return Progress("run", clock.at - 1000.0, kind, subject, text, **more)


def test_stage_loads_fault_and_resources_are_shown(clock):
    """The stage with its time and what was planned, each load, the fault that holds, and who uses most."""
    panel = Panel({"faults": 60.0}, clock)
    assert panel.shown(80).plain == ""
    panel.take(news(clock, "stage", "faults", "faults begins", event="stage.start"))
    clock.at += 10
    panel.take(news(clock, "load", "send", "40 answers/s, p95 4.2 ms, 0 errors"))
    panel.take(news(clock, "fault", "redis killed", "injected: service-kill on redis", event="fault.injected"))
    panel.take(news(clock, "resources", "api", numbers={"cpu": 0.1, "memory": 3e7}))
    panel.take(news(clock, "resources", "redis", numbers={"cpu": 0.5, "memory": 4e6}))
    panel.take(news(clock, "resources", "host", numbers={"cpu": 1.5, "memory": 4e9}))
    clock.at += 3
    assert panel.shown(80).plain.split("\n") == [
        "   13.0 s  faults for 13 s, about 60 s planned",
        "  send          40 answers/s, p95 4.2 ms, 0 errors",
        "  ⚡ redis killed: service-kill on redis, for 3 s",
        "  redis 0.50 CPU 4 MB · api 0.10 CPU 30 MB",
    ]


def test_what_is_over_goes(clock):
    """A fault goes with its revert, a load when it says nothing more, everything with its stage."""
    panel = Panel({}, clock)
    panel.take(news(clock, "stage", "faults", event="stage.start"))
    panel.take(news(clock, "fault", "x", "injected: a on b", event="fault.injected"))
    panel.take(news(clock, "fault", "x", "injected: c on d", event="fault.injected"))
    panel.take(news(clock, "fault", "x", "reverted: a on b", event="fault.reverted"))
    panel.take(news(clock, "load", "send", "words"))
    assert [line.strip().split(",")[0] for line in panel.shown(80).plain.split("\n")[1:]] == [
        "send          words",
        "⚡ x: c on d",
    ]
    clock.at += STALE + 1
    assert "words" not in panel.shown(80).plain
    panel.take(news(clock, "stage", "faults", event="stage.end"))
    assert "c on d" not in panel.shown(80).plain


def test_it_fits_the_terminal(clock):
    """No line is wider than the terminal; services that there is no room for are left out whole."""
    panel = Panel({}, clock)
    panel.take(news(clock, "stage", "stress", event="stage.start"))
    panel.take(news(clock, "load", "send", "x" * 200))
    for number in range(9):
        panel.take(news(clock, "resources", f"service-{number}", numbers={"cpu": number / 10, "memory": 1e6}))
    lines = panel.shown(60).plain.split("\n")
    assert max(map(len, lines)) <= 60
    assert lines[-1].strip().endswith("MB")
    assert "service-8" in lines[-1]


def delta(latency: float, ok: int = 20, bad: int = 0) -> LoadDelta:
    """What a load did in half a second."""
    buckets = {}
    for outcome, count in ((Outcome.OK, ok), (Outcome.FAILED, bad)):
        if count:
            times = Histogram()
            times.record_many([latency] * count)
            buckets[BucketKey("get", outcome, 0)] = Bucket(times, Histogram())
    return LoadDelta("send", 0.0, LoadCounts(), buckets, {}, {}, [])


def test_rate_errors_and_latency_are_those_of_the_last_seconds():
    """After its first seconds the rate is that which was asked for; errors and slow answers leave with the window."""
    lately = Lately()
    for number in range(40):
        found = lately.take(delta(0.5 if number < 20 else 0.01, 20, 5 if number < 20 else 0), 100 + number / 2)
    assert found is not None
    assert found.rate == pytest.approx(40.0, rel=0.01)
    assert found.errors == 0
    assert found.p95 == pytest.approx(0.01, rel=0.05)
    assert str(found) == "40 answers/s, p95 10 ms, 0 errors"


def test_few_samples_give_no_percentile():
    """Below 59 answers the slowest is said instead of the p95; silence says nothing."""
    lately = Lately()
    assert lately.take(delta(0.01, 0), 1.0) is None
    assert str(lately.take(delta(0.01, 3), 1.5)) == "3 answers/s, slowest 10 ms, 0 errors"


def test_several_processes_of_one_load_add_up():
    """Deltas of one moment are one answer, not one each."""
    lately = Lately()
    said = [lately.take(delta(0.01), 10 + number / 2 + part / 100) for number in range(20) for part in range(3)]
    assert len([one for one in said if one is not None]) == 20
    assert said[-3].rate == pytest.approx(3 * 20 / 0.5, rel=0.1)
    assert WINDOW > 1
