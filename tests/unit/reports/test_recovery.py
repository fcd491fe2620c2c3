"""What a report tells of one recovery: times with their intervals, what is wrong, what is worse, health and alerts."""

from types import SimpleNamespace

from shakedown.records.experiment import ExperimentRecord, Injection
from shakedown.records.recovery import AlertTruth, Comparison, HealthTruth, Moment, RecoveryMeasurement
from shakedown.reports.markdown import _render
from shakedown.verdict import Verdict

RECORD = ExperimentRecord("x", [Injection("service-kill", "api", "", "", (), applied_at=10.0, reverted_at=15.0)])


def shown(**more) -> list[str]:
    """The lines for a recovery 5.2 s after the revert."""
    values = {
        "experiment": "x", "detected_after": 0.1, "recovered_after": 5.2, "censored_at": None, "resolution": 0.1,
        "error_seconds": 1.0, **more,
    }  # fmt: skip
    info = SimpleNamespace(record=RECORD, recovery=RecoveryMeasurement(**values))
    return [line for line in _render("_recovery.md.j2", None, info=info).splitlines() if line]


def test_times_stand_beside_their_intervals():
    """Measured, and between which two points it is known to lie; never before the point that it counts from."""
    lines = shown(
        effect=Moment(10.1, 9.95, 10.2), back=Moment(20.2, 20.15, 20.2), relapses=2, told=Moment(11.0, 10.9, 11.0),
        told_by="health of a|pi",
    )  # fmt: skip
    assert lines[2:] == [
        "| to detect, by clients | 100 ms after the injection | 0 s to 200 ms |",
        "| to detect, by the health of a\\|pi | 1 s after the injection | 900 ms to 1 s |",
        "| to recover | 5.2 s after the revert, 2 relapses before | 5.15 s to 5.2 s |",
    ]


def test_what_is_wrong_and_worse_is_listed():
    """In words, escaped; what is as good as before is left out."""
    worse = (
        Comparison("get", "p95", "s", 0.1, 0.2, 0.4, Verdict.FAILED, 100),
        Comparison("get", "p50", "s", 0.1, 0.1, 0.4, Verdict.PASSED, 100),
    )
    lines = shown(
        recovered_after=None, censored_at=5.0, wrong=("`api` <is> ill",), doubt="too few samples", worse=worse
    )
    assert "Whether it came back cannot be said: too few samples." in lines
    assert "- \\`api\\` \\<is\\> ill" in lines
    [row] = [line for line in lines if line.startswith("| get.")]
    assert row.startswith("| get.p95 | 100 ms | 200 ms | +100 % | 40 % |")


def test_health_and_alerts_have_their_delays():
    """From the injection, and from the revert; an alert that never fired or was not seen says so."""
    health = (
        HealthTruth("api", 4.0, 1.0, 0.0, 3.0, 0.0, Moment(11.5, 11.4, 11.5), Moment(16.0, 15.9, 16.1), 3, 0.1),
        HealthTruth("db", 0.0, 5.0, 0.0, 3.0),
    )
    alerts = (
        AlertTruth("a", 4.0, 1.0, 0.0, 3.0, 0.0, Moment(12.0, 11.8, 12.0)),
        AlertTruth("b", 0.0, 5.0, 0.0, 3.0),
        AlertTruth("c", 0.0, 0.0, 0.0, 0.0, 8.0, problem="it never gave an answer"),
        AlertTruth("d", 5.0, 0.0, 3.0, 0.0, firing_before=True),
    )
    lines = shown(health=health, alerts=alerts)
    assert "| api | 1.5 s | 1 s | 3 | 100 ms |" in lines
    assert not [line for line in lines if line.startswith("| db |")]
    fired = [line.split("|")[2].strip() for line in lines if line[:5] in ("| a |", "| b |", "| c |", "| d |")]
    assert fired == ["2 s", "never", "it never gave an answer", "before it"]


def test_the_health_of_services_that_noticed_nothing_is_one_line():
    """Rows for whom clients talk to, what was disturbed, and who said unhealthy; nothing at all where nobody suffered."""
    quiet = HealthTruth("chat", 0.0, 5.0, 0.0, 3.0)
    health = (HealthTruth("shop", 0.0, 5.0, 0.0, 3.0), HealthTruth("api", 0.0, 5.0, 0.0, 3.0),
              HealthTruth("db", 0.0, 5.0, 2.0, 1.0), quiet, HealthTruth("mail|x", 0.0, 5.0, 0.0, 3.0))  # fmt: skip
    lines = shown(health=health)
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:] == ["shop", "api", "db"]
    assert "Healthy all the while, by their own word: chat, mail\\|x." in lines
    assert shown(health=(HealthTruth("shop", 0.0, 0.0, 0.0, 8.0), HealthTruth("api", 0.0, 0.0, 0.0, 8.0))) == []


def test_a_run_of_an_earlier_version_shows_nothing_of_it():
    """What was not measured then is left out, without a trace."""
    assert shown() == []
