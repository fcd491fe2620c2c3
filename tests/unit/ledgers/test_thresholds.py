"""Thresholds on ledgers: `ledger.NAME.kind` is a figure like any other, and a ledger half read cannot pass."""

import pytest

from shakedown.analysis.evidence import Evidence
from shakedown.analysis.thresholds import judge
from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.ledger import LedgerResult
from shakedown.verdict import Verdict

PLAN = """
version: 1
name: p
services: {{s: {{image: x, ports: {{http: 80}}}}}}
scenarios:
  w:
    executor: {{type: constant-vus, vus: 1, duration: 1s}}
    http: {{target: s.http, requests: [{{name: w, post: /, json: {{id: "{{{{ uuid() }}}}"}}, ledger: m}}]}}
ledgers: {{m: {{read: {{get: "/{{{{ key }}}}", target: s.http}}}}}}
stages: {{baseline: {{scenarios: [w], thresholds: [{baseline}]}}, recovery: {{ledgers: [m], thresholds: [{recovery}]}}}}
"""


def plan(tmp_path, baseline="w.p95 < 1s", recovery="w.p95 < 1s"):
    (tmp_path / "plan.yaml").write_text(PLAN.format(baseline=baseline, recovery=recovery))
    return load_plan(tmp_path / "plan.yaml", environ={})


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("ledger.m.lost == 2", Verdict.PASSED), ("ledger.m.lost <= 1", Verdict.FAILED),
        ("ledger.m.duplicated == 0", Verdict.PASSED), ("ledger.half.lost == 0", Verdict.INCONCLUSIVE),
        ("ledger.half.duplicated == 0", Verdict.FAILED), ("ledger.never.lost == 0", Verdict.INCONCLUSIVE),
        ("ledger.m.acknowledged > 5", Verdict.PASSED),
    ],
)  # fmt: skip
def test_a_figure_of_a_ledger_is_judged(text, verdict):
    """What was counted is compared; what was not read in full fails by what was found, and never passes."""
    results = [
        LedgerResult("m", acknowledged=10, checked=10, lost=2),
        LedgerResult(
            "half", acknowledged=10, checked=5, unreadable=5, duplicated=1, problem="5 keys could not be read"
        ),
    ]
    evidence = Evidence(ledgers={item.ledger: item for item in results})
    assert judge(parse_threshold(text), evidence).verdict is verdict


def test_a_plan_may_speak_of_its_ledgers(tmp_path):
    """In the recovery stage, which reads them back."""
    assert plan(tmp_path, recovery="ledger.m.lost == 0, ledger.m.unwanted <= 3 and w.p95 < 1s").plan


@pytest.mark.parametrize(
    ("where", "text", "words"),
    [
        ("recovery", "ledger.x.lost == 0", "`x` is no ledger of this stage"),
        ("recovery", "ledger.m.lots == 0", "did you mean `lost`"),
        ("recovery", "ledger.lost == 0", "names no ledger"),
        ("recovery", "ledger.m.lost == 0 over 5s", "judged whole"),
        ("recovery", "ledger.m.lost < 1 abort", "is none"),
        ("baseline", "ledger.m.lost == 0", "in the recovery stage"),
    ],
)
def test_what_no_ledger_has_is_an_error_of_the_plan(tmp_path, where, text, words):
    """Another stage, another name, another metric, a window."""
    with pytest.raises(PlanError) as error:
        plan(tmp_path, **{where: text})
    assert words in str(error.value)
