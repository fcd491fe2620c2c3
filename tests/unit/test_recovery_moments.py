"""When a fault was felt and when the system was back, on timelines of which every instant is known."""

import pytest

from shakedown.analysis.health import Held, compare_alert, compare_health
from shakedown.analysis.recovery import Steady, Timeline, find_effect, find_recovery, still_wrong
from shakedown.analysis.slots import SLOT, slot_of
from shakedown.plan.experiments import FaultsTolerance
from shakedown.records.load import DuePulse, LoadCounts, LoadDelta, Pulse, merge_parts
from shakedown.records.observation import ProbeResult
from shakedown.verdict import Verdict

STEADY = Steady(rate=100.0, error_rate=0.0, p95=0.005, limit=0.25, healthy=frozenset({"api"}))
TOLERANCE = FaultsTolerance()
NORMAL = 0.005


def timeline(answer, *, rate=100.0, end=30.0, probes=()) -> Timeline:
    """What a load sees of a service: `answer(due)` is (response time, whether it was good)."""
    pulses, dues = {}, {}
    for number in range(int(end * rate)):
        due = number / rate
        took, good = answer(due)
        pulse = pulses.setdefault(slot_of(due + took), Pulse())
        if good:
            pulse.ok += 1
            pulse.slowest = max(pulse.slowest, took)
            part = DuePulse(1, 0, took, due + took, due)
        else:
            pulse.bad += 1
            part = DuePulse(bad=1, last_bad=due)
        dues.setdefault(slot_of(due), DuePulse()).add(part)
    return Timeline(pulses, list(probes), dues)


def looks(unhealthy, *, end=30.0, every=0.1, latency=0.01) -> list[ProbeResult]:
    """Looks at a health that says unhealthy when `unhealthy(at)`."""
    count = round(end / every)
    return [ProbeResult(n * every, "api", not unhealthy(n * every), latency, "") for n in range(count)]


def recovery(line, start=15.0, end=29.0, steady=STEADY, **more):
    return find_recovery(line, steady, start, end, hold_window=2.0, tolerance=TOLERANCE, **more)


def test_requests_of_the_outage_that_time_out_later_do_not_delay_recovery():
    """A black hole until 15.137 s: what was asked before times out 3 s later, what was asked after is answered at once."""
    line = timeline(lambda due: (3.0, False) if 10 <= due < 15.137 else (NORMAL, True))
    back = recovery(line).back
    assert back.at == pytest.approx(15.145, abs=0.011)
    assert back.earliest <= 15.137 <= back.latest
    assert back.width <= 0.02


def test_a_system_that_went_on_is_back_when_it_first_answers():
    """What waited in the queue of a frozen service is answered when it goes on: not before, though it was asked before."""
    line = timeline(lambda due: (15.42 - due + NORMAL, True) if 10 <= due < 15.42 else (NORMAL, True))
    back = recovery(line).back
    assert back.at == pytest.approx(15.425, abs=0.01)
    assert back.earliest <= 15.42 <= back.latest
    assert back.width <= SLOT


@pytest.mark.parametrize("known", [15.004, 15.05, 15.51, 15.999, 17.3333])
def test_the_interval_holds_the_truth(known):
    """Wherever within a slot the first good answer falls, the interval holds it, and the estimate is a step off at most."""
    line = timeline(lambda due: (0.001, False) if 10 <= due < known else (NORMAL, True))
    back = recovery(line).back
    assert back.earliest - 1e-9 <= known <= back.latest + 1e-9
    assert abs(back.at - known) <= 0.02


def test_a_sparse_load_knows_less_and_says_so():
    """At two requests a second the interval is half a second wide, and holds the truth."""
    steady = Steady(2.0, 0.0, 0.005, 0.25, frozenset())
    line = timeline(lambda due: (0.001, False) if 10 <= due < 16.2 else (NORMAL, True), rate=2.0)
    back = recovery(line, steady=steady).back
    assert back.earliest <= 16.2 <= back.latest
    assert back.width == pytest.approx(0.5, abs=0.02)


def test_nothing_wrong_is_back_at_once():
    """A fault that clients never felt: no effect, and recovered with its revert."""
    line = timeline(lambda _: (NORMAL, True))
    assert find_effect(line, STEADY, 10.0, 29.0) is None
    assert recovery(line, start=15.04).back.at == 15.04


def test_a_relapse_starts_the_hold_window_again():
    """Well for a second, failing again, then well: recovered at the second time, with one relapse."""
    line = timeline(lambda due: (0.001, False) if 10 <= due < 15.5 or 16.5 <= due < 17 else (NORMAL, True))
    found = recovery(line)
    assert found.back.at == pytest.approx(17.0, abs=0.02)
    assert found.relapses == 1


def test_a_service_that_says_so_late_is_back_late():
    """Clients are served from 15.2 s on, health says so from 16.03 s on: the later counts, between two looks."""
    line = timeline(
        lambda due: (0.001, False) if 10 <= due < 15.2 else (NORMAL, True), probes=looks(lambda at: 10 <= at < 16.03)
    )
    back = recovery(line).back
    assert back.earliest <= 16.03 <= back.latest
    assert back.width <= 0.12


def test_health_that_turns_between_two_looks_costs_no_precision():
    """Clients and health come back at the same instant: the clients say when, the looks bound it."""
    line = timeline(
        lambda due: (0.001, False) if 10 <= due < 15.237 else (NORMAL, True), probes=looks(lambda at: 10 <= at < 15.237)
    )
    back = recovery(line).back
    assert back.at == pytest.approx(15.237, abs=0.02)
    assert back.earliest <= 15.237 <= back.latest


def test_declared_steady_state_holds_recovery_up():
    """What the plan declares is judged by whole seconds: recovery waits for it, and is known to the second."""
    line = timeline(lambda due: (0.001, False) if 10 <= due < 15.2 else (NORMAL, True))
    back = recovery(line, holds=lambda second: (Verdict.FAILED if second < 18 else Verdict.PASSED, "too much")).back
    assert 17.0 <= back.at <= 18.0
    assert back.width <= 1.0


def test_declared_steady_state_that_cannot_be_judged_is_a_doubt():
    """Neither recovered nor not: it says why."""
    line = timeline(lambda _: (NORMAL, True))
    found = recovery(line, holds=lambda _: (Verdict.INCONCLUSIVE, "api.memory was never sampled"))
    assert found.back is None
    assert found.doubt == "api.memory was never sampled"
    never = recovery(line, holds=lambda _: (Verdict.FAILED, "too much"))
    assert (never.back, never.doubt) == (None, "")


def test_effects_are_felt_within_their_intervals():
    """Refusals are felt at once, silence after three answers that did not come, slowness when it is over the limit."""
    refused = find_effect(timeline(lambda due: (0.001, due < 10.03)), STEADY, 10.0, 29.0)
    assert refused.earliest <= 10.03 <= refused.latest
    assert refused.width <= SLOT + 1e-9
    silent = find_effect(timeline(lambda due: (NORMAL, True) if due < 10.21 else (3.0, False)), STEADY, 10.0, 29.0)
    assert silent.earliest <= 10.21 <= silent.latest
    assert silent.latest <= 10.41
    slow = find_effect(timeline(lambda due: (NORMAL if due < 10 else 0.5, True)), STEADY, 10.0, 29.0)
    assert slow.at == pytest.approx(10.0, abs=0.1)  # silence, until the slow ones come


def test_what_is_still_wrong_is_said():
    """Errors, too few answers, slow ones, health, and what the plan declares, each in words."""
    line = timeline(
        lambda due: (0.4, True) if int(due * 100) % 2 else (0.001, False), probes=looks(lambda at: at >= 10)
    )
    said = still_wrong(
        line, STEADY, 25.0, hold_window=2.0, tolerance=TOLERANCE,
        holds=lambda _: (Verdict.FAILED, "`api.memory < 1B`: 5 B"),
    )  # fmt: skip
    assert [words.split(";")[0] for words in said] == [
        "50 % of the requests fail", "50 good answers per second", "answers take up to 400 ms", "api is unhealthy",
        "`api.memory < 1B`: 5 B",
    ]  # fmt: skip
    fine = timeline(lambda _: (NORMAL, True), probes=looks(lambda _: False))
    assert still_wrong(fine, STEADY, 25.0, hold_window=2.0, tolerance=TOLERANCE) == ()


def test_due_pulses_of_parts_add_up():
    """Two workers' parts of a slot: counts add, the first good answer and the last failure are those of both."""
    one = LoadDelta("l", 0.0, LoadCounts(), {}, {}, {}, [], dues={3: DuePulse(1, 0, 0.2, 0.5, 0.3)})
    two = LoadDelta("l", 0.0, LoadCounts(), {}, {}, {}, [], dues={3: DuePulse(2, 1, 0.1, 0.41, 0.31, 0.32)})
    merge_parts(one, two)
    assert one.dues[3] == DuePulse(3, 1, 0.2, 0.41, 0.31, 0.32)


# ------------------------------------------------------------------------------------------------- health and alerts
OUTAGE = Held(9.9, 10.0, 15.0, 15.5, 29.0)


def failing(due: float) -> tuple[float, bool]:
    return (0.001, False) if 10 <= due < 15.5 else (NORMAL, True)


def test_delays_of_health_lie_within_their_intervals():
    """Unhealthy is said 1.53 s after the injection, healthy again 2.27 s after the revert; both to a look."""
    line = timeline(failing, probes=looks(lambda at: 11.53 <= at < 17.27))
    truth = compare_health(line, "api", OUTAGE)
    assert truth.unhealthy_at.earliest <= 11.53 <= truth.unhealthy_at.latest
    assert truth.healthy_at.earliest <= 17.27 <= truth.healthy_at.latest
    assert max(truth.unhealthy_at.width, truth.healthy_at.width) <= 0.12
    assert truth.healthy_while_failing == pytest.approx(1.5, abs=0.2)
    assert truth.failing_and_unhealthy == pytest.approx(4.0, abs=0.2)
    assert (truth.changes, truth.period) == (0, pytest.approx(0.1))


def test_health_that_comes_and_goes_under_a_steady_fault_is_counted():
    """Each change of mind between its first word and the revert counts."""
    line = timeline(failing, probes=looks(lambda at: 10 <= at < 16 and int(at) % 2 == 0))
    assert compare_health(line, "api", OUTAGE).changes == 4


@pytest.mark.parametrize("share", [3, 10])
def test_where_some_requests_fail_neither_word_is_held_against_a_service(share):
    """Of every third or tenth request: unhealthy is the truth, healthy no lie; of every fiftieth, unhealthy is too strict."""
    due = iter(range(10_000))

    def partly(at):
        return (NORMAL, not (10 <= at < 16 and next(due) % share == 0))

    wrong = compare_health(timeline(partly, probes=looks(lambda at: 10.2 <= at < 15.4)), "api", OUTAGE)
    assert wrong.failing_and_unhealthy == pytest.approx(5.2, abs=0.3)
    assert (wrong.healthy_while_failing, wrong.unhealthy_while_fine) == (0, pytest.approx(0, abs=0.2))
    due = iter(range(10_000))
    well = compare_health(timeline(partly, probes=looks(lambda _: False)), "api", OUTAGE)
    assert (well.failing_and_unhealthy, well.healthy_while_failing) == (0, 0)
    due, share = iter(range(10_000)), 50
    strict = compare_health(timeline(partly, probes=looks(lambda at: 10.2 <= at < 15.4)), "api", OUTAGE)
    assert strict.unhealthy_while_fine == pytest.approx(5.2, abs=0.3)


def test_what_was_not_looked_at_is_unknown():
    """No look for three seconds says nothing of either; nothing that ended or was due neither."""
    line = timeline(failing, probes=[look for look in looks(lambda at: at >= 10) if look.at < 10.5])
    truth = compare_health(line, "api", OUTAGE)
    assert truth.unknown == pytest.approx(2.0, abs=0.2)
    empty = compare_health(Timeline({}, looks(lambda at: at >= 10)), "api", OUTAGE)
    assert empty.unknown == pytest.approx(5.5)


def test_alerts_are_held_against_clients_too():
    """An alert that fires 2 s late and is over 3 s after the revert; one that was never seen; one that fired before."""
    line = timeline(failing)

    def alert(firing):
        return compare_alert(line, "queue", looks(firing, every=0.25, latency=0.0), OUTAGE)

    late = alert(lambda at: 12 <= at < 18)
    assert late.fired_at.at - OUTAGE.start == pytest.approx(2.0, abs=0.25)
    assert late.ended_at.at - OUTAGE.asked == pytest.approx(3.0, abs=0.25)
    assert late.silent_while_failing == pytest.approx(2.0, abs=0.2)
    assert (late.firing_before, late.problem) == (False, "")
    assert alert(lambda at: at >= 9).firing_before
    never = alert(lambda _: False)
    assert (never.fired_at, never.problem) == (None, "")
    assert compare_alert(line, "queue", [], OUTAGE).problem == "it was never seen while the fault held"
