"""Symptoms that stand together are named; where one of them is missing, nothing is said."""

import pytest

from shakedown.analysis import causes
from shakedown.records.experiment import ExperimentRecord, Injection, Proof
from shakedown.records.ledger import LedgerFault
from shakedown.records.load import Pulse

CHAT_SLOW = Proof(held=True, evidence="", asked=1.0, measured=0.98, unit="s")


def experiment(fault: str, target: str, *, applied: float = 20.0, reverted: float = 26.0, effect: Proof | None = None):
    """An experiment whose fault was asked for half a second before it was there."""
    injection = Injection(fault, target, "", "", ())
    injection.asked_at, injection.applied_at, injection.reverted_at, injection.effect = (
        applied - 0.5, applied, reverted, effect,
    )  # fmt: skip
    return ExperimentRecord(f"{target} disturbed", [injection])


def lost(*sent: float) -> list[LedgerFault]:
    return [LedgerFault(f"k{at}", "lost", at, "HTTP 404") for at in sent]


def pulses(*, fine_from: float, until: float, rate: int = 5) -> dict[int, Pulse]:
    """Slots of a load: all fails before an instant, all is well after it."""
    return {
        slot: Pulse(ok=rate, bad=0) if slot >= fine_from * 10 else Pulse(ok=0, bad=rate)
        for slot in range(int(until * 10))
    }


def test_well_since_the_first_good_window():
    """All is well from the first window on in which nothing fails and as much as usual is answered."""
    assert causes.well_since(pulses(fine_from=30, until=40), 10, 40, rate=50, width=2) == pytest.approx(30)
    assert causes.well_since(pulses(fine_from=39, until=40), 10, 40, rate=50, width=2) is None
    assert causes.well_since(pulses(fine_from=30, until=40, rate=1), 10, 40, rate=50, width=2) is None


def test_late_recovery_is_told_apart_from_none():
    """Who came back by itself is called slow, with the time that it took."""
    finding = causes.recovered_late(experiment("service-kill", "redis"), 21.0, 12.0, client="api")
    assert "slow recovery" in finding.cause
    assert "21 s" in finding.title


@pytest.mark.parametrize(
    ("series", "actual", "error_rate", "named"),
    [
        ("api.queue_depth", 340.0, 0.0, True),
        ("api.queue_depth", 340.0, None, True),
        ("worker.outbox_depth", 340.0, 0.001, True),
        ("api.queue_depth", 340.0, 0.4, False),  # many were told to come later
        ("api.memory", 3e8, 0.0, False),
        ("api.queue_depth", None, 0.0, False),
    ],
)
def test_a_queue_without_a_limit(series, actual, error_rate, named):
    """A queue beyond its limit is unbounded when hardly any request was refused meanwhile."""
    found = causes.unbounded_queue(series, actual, error_rate)
    assert (found is not None and "(unbounded queue)" in found[0]) is named


@pytest.mark.parametrize(
    ("lag", "usual", "slowed", "effect", "named"),
    [
        (1.02, 0.01, "40 % of requests failed", CHAT_SLOW, True),
        (0.3, 0.01, "40 % of requests failed", CHAT_SLOW, False),  # late, as on a busy machine
        (1.02, 0.6, "40 % of requests failed", CHAT_SLOW, False),  # it stood still before as well
        (1.02, 0.01, "", CHAT_SLOW, False),  # nobody noticed
        (1.02, 0.01, "40 % of requests failed", None, False),  # nothing was slow
    ],
)
def test_a_loop_that_waits(lag, usual, slowed, effect, named):
    """A loop that stands still for as long as a dependency is late, and clients who feel it, are a blocking call."""
    record = experiment("http-delay", "chat", effect=effect)
    finding = causes.blocking_call(record, "api", "event_loop_lag_seconds", lag, usual, slowed)
    assert (finding is not None) is named
    if finding is not None:
        assert "(blocking call)" in finding.cause


def test_a_slow_service_itself_is_no_blocking_call():
    """What was slowed itself is not accused of waiting for somebody."""
    record = experiment("http-delay", "api", effect=CHAT_SLOW)
    assert causes.blocking_call(record, "api", "event_loop_lag_seconds", 1.1, 0.01, "all failed") is None


def test_lost_before_an_orderly_stop():
    """Writes that were acknowledged in the seconds before an orderly stop are lost on shutdown; those of a kill are not."""
    stop, kill = experiment("service-stop", "worker"), experiment("service-kill", "redis", applied=60, reverted=66)
    assert causes.stopped_before(lost(18.9, 19.2, 19.4), [kill, stop]) is stop
    assert causes.stopped_before(lost(59.2, 59.4), [kill, stop]) is None
    assert causes.stopped_before(lost(19.2, 19.4, 61.0, 62.0), [stop, kill]) is None
    assert causes.stopped_before(lost(21.0, 22.0), [stop]) is None  # sent while it was stopped
    assert causes.stopped_before([], [stop]) is None


def test_since_when_a_queue_only_grows():
    """A queue is stuck since it got shorter for the last time, when it grew after that by more than a few."""
    drained = [(1.0, 5.0), (2.0, 3.0)]
    growing = [(float(at), 3.0 + 10 * (at - 2)) for at in range(3, 9)]
    assert causes.stuck_since([*drained, *growing]) == 2.0
    assert causes.stuck_since([*drained, *growing, (9.0, 60.0), (10.0, 0.0)]) is None
    assert causes.stuck_since([(1.0, 0.0), (2.0, 4.0)]) is None
    assert (
        causes.stuck_since([(1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (9.0, 220.0), (10.0, 220.0)]) == 3.0
    )  # empty till then
    assert causes.stuck_since([]) is None


def test_a_poison_message_was_sent_just_then():
    """A queue that is stuck is laid on a malformed message only if that was sent when it began."""
    finding = causes.poison_message("api.queue_depth", 14.0, 250.0, [("malformed", 12.0)], ["worker"])
    assert finding is not None
    assert "(poison message)" in finding.cause
    assert "malformed" in finding.title
    assert causes.poison_message("api.queue_depth", 44.0, 250.0, [("malformed", 12.0)], []) is None
    assert causes.poison_message("api.queue_depth", 44.0, 250.0, [], []) is None


def test_a_stale_cache_says_how_many():
    """Keys that are only there for who asks for a fresh answer are old answers, and no loss."""
    finding = causes.stale_cache("messages", lost(3.0, 4.0), 2)
    assert "(stale cache)" in finding.cause
    assert finding.title.startswith("2 of 2 keys")
