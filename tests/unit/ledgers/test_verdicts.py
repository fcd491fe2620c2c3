"""What a client may rely on after each answer, and what a ledger comes to by the plan's limits."""

from types import SimpleNamespace

import pytest

from shakedown.load.http.connection import HttpAnswer
from shakedown.load.http.faults import acknowledgement
from shakedown.load.http.requests import prepare
from shakedown.load.recorder import Recorder
from shakedown.load.spec import LoadSpec, Target
from shakedown.plan import load_plan
from shakedown.plan.scenarios import Scenario
from shakedown.records.ledger import Acknowledgement, LedgerResult
from shakedown.records.load import Outcome
from shakedown.session.ledgers import judge_ledger, verdict_of
from shakedown.verdict import Verdict
from tests.unit.ledgers.test_plan import MAIL

OK, NO, UNKNOWN = Acknowledgement.ACKNOWLEDGED, Acknowledgement.REFUSED, Acknowledgement.UNKNOWN


@pytest.mark.parametrize(
    ("outcome", "kind", "status", "known"),
    [
        (Outcome.OK, "", 201, OK),
        (Outcome.FAILED, "extract", 201, OK),  # every check held
        (Outcome.FAILED, "status", 200, NO),  # the plan says which success it means
        (Outcome.FAILED, "check", 200, NO),
        (Outcome.FAILED, "status", 409, NO),
        (Outcome.FAILED, "status", 429, NO),
        (Outcome.FAILED, "status", 303, UNKNOWN),
        (Outcome.FAILED, "status", 500, UNKNOWN),
        (Outcome.FAILED, "check", 502, UNKNOWN),
        (Outcome.FAILED, "status", 503, UNKNOWN),
        (Outcome.FAILED, "refused", None, NO),
        (Outcome.FAILED, "dns", None, NO),
        (Outcome.FAILED, "reset", None, UNKNOWN),
        (Outcome.TIMED_OUT, "timeout-total", None, UNKNOWN),
        (Outcome.CANCELLED, "", None, UNKNOWN),
    ],
)
def test_an_error_of_the_server_says_nothing_of_what_it_stored(outcome, kind, status, known):
    """4xx and unmet checks of a success refuse a write; 5xx, redirects and silence leave it unknown."""
    assert acknowledgement(outcome, kind, status) is known


def test_the_plan_may_say_which_errors_keep_nothing():
    """`refused` of a request is looked at in failed answers alone; no time-out becomes a refusal by it."""
    wanted = {
        "name": "r",
        "post": "/",
        "ledger": "l",
        "key": "k",
        "checks": ["status == 202"],
        "refused": 'json.error == "full"',
    }
    work = Scenario.model_validate({"executor": {"type": "constant-arrival-rate", "rate": 1, "duration": 1},
                                    "http": {"target": "a.http", "requests": [wanted]}})  # fmt: skip
    spec = LoadSpec(
        label="l", scenario="s", stage="x", duration=1.0, seed=1, ledger_dir="/none", origin=0.0, workers=1, base=".", work=work,
        target=Target(host="h", port=80),
    )  # fmt: skip
    [request] = prepare(spec, Recorder("l"))
    assert request.keeps_body
    full, other = (HttpAnswer(503, body=body, size=len(body)) for body in (b'{"error": "full"}', b'{"error": "x"}'))
    assert request.refuses(full)
    assert not request.refuses(other)
    assert not request.refuses(None)
    assert acknowledgement(Outcome.FAILED, "status", 503, refusal=True) is NO
    assert acknowledgement(Outcome.TIMED_OUT, "timeout-total", None, refusal=True) is UNKNOWN


@pytest.mark.parametrize(
    ("ledger", "result", "verdict"),
    [
        ("drafts", {"lost": 2}, Verdict.PASSED),  # `lost: 2`
        ("drafts", {"lost": 3}, Verdict.FAILED),
        ("drafts", {"lost": 2, "problem": "unread"}, Verdict.INCONCLUSIVE),
        ("drafts", {"unwanted": 9}, Verdict.PASSED),  # a threshold of the stage speaks of it
        ("mails", {"lost": 1}, Verdict.PASSED),  # as above
        ("mails", {"duplicated": 1}, Verdict.FAILED),
    ],
)
def test_a_ledger_is_judged_once_and_remembers_it(tmp_path, ledger, result, verdict):
    """By the plan's limits, whatever stands in its figures; a kind of which a threshold speaks is judged there."""
    path = tmp_path / "plan.yaml"
    path.write_text(MAIL)
    found: list[object] = []
    session = SimpleNamespace(
        loaded=load_plan(path, environ={}), results=SimpleNamespace(experiments=lambda _: []), run_id="r",
        find=lambda _, finding: found.append(finding), system=None, loads=[],
    )  # fmt: skip
    read = LedgerResult(ledger, acknowledged=10, checked=10, **result)
    assert verdict_of(session, read) is verdict
    assert judge_ledger(session, read)[0] is verdict
    assert bool(found) == (verdict is not Verdict.PASSED)
