"""Why a run ended as it did: each cause once, and none lost."""

from shakedown.reports import tidy
from shakedown.reports.model import collect
from shakedown.reports.reasons import run_reasons
from shakedown.reports.untested import untested
from tests.unit.reports.scenes import NAME, STARVED


def test_a_cause_stands_once(results):
    """A threshold, an experiment's reason and a finding of the same cause are one reason with its finding."""
    reasons, _ = run_reasons(collect(results, "failed"))
    assert [(reason.stage, reason.subject) for reason in reasons] == [
        ("stress", "send"), ("stress", "unit"), ("faults", NAME), ("recovery", "send"), ("recovery", "messages"),
        ("recovery", ""),
    ]  # fmt: skip
    assert reasons[2].texts == [
        "api did not recover within 5 s after the fault was gone",
        "the health of api should have been unhealthy while the fault held",
    ]
    assert [reason.findings for reason in reasons] == [[], [1], [2, 3], [4], [5], []]


def test_what_is_not_recognised_is_kept(results):
    """A sentence that no record explains is shown as it was stored, within its stage or beside the stages."""
    reasons, rest = run_reasons(collect(results, "failed"))
    assert reasons[-1].texts == ["something that nobody knows"]
    assert rest == "left behind: a network"


def test_thresholds_of_one_doubt_speak_once(results):
    """Several thresholds that could not be judged for one cause name it once."""
    reasons, rest = run_reasons(collect(results, "inconclusive"))
    assert rest == ""
    assert sum(STARVED in text for reason in reasons for text in reason.texts) == 1
    assert "send.p95 < 500ms" in reasons[0].texts[0]
    assert "send.error_rate < 1%" in reasons[0].texts[0]


def test_tidy():
    """A stored reason loses repeated names and sentences, and nothing else."""
    assert tidy("faults: a: a: x; a: x; b: y\n z") == "faults: a: x; b: y z"
    assert tidy("") == ""


def test_what_was_not_tested(results):
    """A killed run says which stages, experiments and ledgers it never came to."""
    said = dict(untested(collect(results, "interrupted")))
    assert said["stages stress, endurance, recovery"] == "the run did not get there"
    assert said["experiment slow redis"] == "the run did not get there"
    assert said["ledger messages"] == "never read back"
    assert said["the loss of api, mail"] == "no experiment disturbed them"
    assert [what for what, _ in untested(collect(results, "passed"))] == [
        "the loss of api, mail",
        "statistics of redis",
    ]
