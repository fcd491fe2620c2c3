"""Plan keys of behaviour: docs/behaviour.md as it stands, what is refused, and what is scraped for them."""

import re
import textwrap

import pytest

from shakedown.errors import PlanError
from shakedown.observe.prometheus import parse_metrics
from shakedown.plan import load_plan
from shakedown.plan.behaviour import call_sources, scraped_series, victims_of
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```yaml\n(.*?)```", PAGE, re.DOTALL))
PLAN = """\
version: 1
name: shop
services:
  payments: {{image: "p:1", ports: {{http: 80}}, metrics: {{prometheus: "http:/metrics"}}}}
  search: {{stub: {{routes: [{{path: /find}}]}}}}
  secret: {{stub: {{routes: [{{path: /find}}], tls: {{certificate: cert.pem, key: cert.pem}}}}}}
  mail: {{image: "m:1"}}
  api:
    image: "a:1"
    depends_on: [payments, search]
    ports: {{http: 8000}}
    metrics: {{prometheus: "http:/metrics", series: [queue_depth]}}
    probes: {{backlog: {{command: "cat /backlog"}}}}
scenarios:
  shop:
    executor: {{type: constant-arrival-rate, rate: 50, duration: 10s}}
    http:
      target: api.http
      requests:
        - {{name: browse, get: /, timeout: 5s}}
{request}
stages:
  faults:
{stage}
"""
KILL = "experiments: [{{name: a, fault: {{type: service-kill, target: payments}}, hold: 9s, recover_within: 9s, expect: {expect}}}]"


def loaded(tmp_path, stage, request=EXAMPLES["request"]):
    (tmp_path / "cert.pem").write_text("")
    request = textwrap.indent("- " + textwrap.indent(request, "  ").lstrip(), " " * 8)
    text = PLAN.format(stage=textwrap.indent(stage, "    "), request=request)
    (tmp_path / "plan.yaml").write_text(text)
    return load_plan(tmp_path / "plan.yaml", environ={}).plan


def with_expect(tmp_path, expect, stage=""):
    return loaded(tmp_path, f"load: {{use: shop}}\n{stage}\n{KILL.format(expect=expect)}")


def test_the_page_is_a_plan(tmp_path):
    """Its example loads, and means what the page says of defaults and short forms."""
    plan = loaded(tmp_path, EXAMPLES["stage"])
    stage, (first, second) = plan.stages.faults, plan.experiments
    assert (stage.core.requests, stage.core.share) == (["buy"], 0.99)
    assert stage.calls["payments"].count == ["payments.calls_total"]
    assert stage.breakers["payments"].names == {2: "open", 1: "half-open", 0: "closed"}
    assert (first.expect.breaker.of, first.expect.breaker.opens_within, first.expect.breaker.closes_within) == (
        "payments",
        5,
        None,
    )
    assert (first.expect.amplification.most, first.expect.herd.most, first.expect.longest) == (2, 3, 3)
    assert second.expect.breaker.closes_within == 10
    assert plan.scenarios["shop"].http.all_requests[1].degraded == 'json.status == "later"'


def test_what_is_counted_is_scraped_without_being_listed(tmp_path):
    """The series of `calls` and `breakers`, with their labels, of the service that has them; probes are not scraped."""
    plan = loaded(tmp_path, EXAMPLES["stage"].replace("payments.calls_total", "[payments.calls_total, api.backlog]"))
    assert scraped_series(plan, "payments") == {"calls_total"}
    assert scraped_series(plan, "api") == {
        'calls_total{to="search"}', 'circuit_state{to="payments"}', "searches_in_flight",
    }  # fmt: skip
    assert scraped_series(plan, "mail") == frozenset()


def test_stubs_count_their_calls_themselves(tmp_path):
    """Without an entry, unless they speak TLS; an entry of the plan comes first."""
    plan = with_expect(tmp_path, "{breaker: search, herd: 2}")
    assert {name: source.count for name, source in call_sources(plan).items()} == {"search": ["search.stub_arrivals"]}
    assert scraped_series(plan, "search") == {"stub_arrivals"}
    other = with_expect(tmp_path, "{}", "calls: {search: api.finds_total}")
    assert call_sources(other)["search"].count == ["api.finds_total"]


@pytest.mark.parametrize(
    ("expect", "stage", "words"),
    [
        ("{core: [by]}", "", "no such request: `by`; the load has browse, buy"),
        ("{}", "core: [sell]", "no such request: `sell`"),
        ("{breaker: mail}", "", "nothing shows a breaker before `mail`: calls are counted at search"),
        ("{breaker: nobody}", "", "no such service: `nobody`"),
        ("{cascade: [nobody]}", "", "no such service: `nobody`"),
        ("{longest: 7s}", "", "no client ever waits longer than 7 s"),
        ("{amplification: 0.5}", "", "greater than or equal to 1"),
        ("{herd: {most: 2, of: [mail]}}", "", "no calls are counted at `mail`; calls are counted at search"),
        ("{herd: {at_once: 5}}", "", "no dependency has `at_once`"),
        ("{}", "calls: {payments: mail.calls_total}", "`mail` has no metrics to take `calls_total` from"),
        ("{}", "calls: {payments: calls_total}", "is no series"),
        ("{}", "calls: {payments: 'api.calls{to=search}'}", "is no series"),
        ("{}", "calls: {bank: api.calls_total}", "no such service: `bank`"),
        ("{}", "calls: {payments: {count: api.calls_total, per: [sell]}}", "no such request: `sell`"),
        ("{}", "breakers: {payments: {state: api.s, opened: api.o}}", "exactly one of state, opened"),
        ("{}", "breakers: {payments: {state: api.s, open: 0}}", "three different values"),
        ("{}", "core: {requests: [buy], share: 0%}", "greater than 0"),
    ],
)
def test_what_means_nothing_is_an_error_of_the_plan(tmp_path, expect, stage, words):
    """Names that are not there and limits that nothing could break are refused before anything starts."""
    with pytest.raises(PlanError, match=re.escape(words)):
        with_expect(tmp_path, expect, stage)


def test_victims_are_those_that_faults_act_on(tmp_path):
    """The target of each fault; of a command on the machine nobody knows."""
    plan = loaded(tmp_path, EXAMPLES["stage"])
    faults = [fault for one in plan.experiments for _, fault in one.faults_at()]
    assert victims_of(plan, faults) == {"payments", "search"}
    host = "fault: {type: custom-command, inject: 'true', revert: 'true', proof: 'true'}"
    plan = loaded(tmp_path, f"load: {{use: shop}}\nexperiments:\n  - {{name: a, {host}, hold: 1s, recover_within: 9s}}")
    assert victims_of(plan, [fault for one in plan.experiments for _, fault in one.faults_at()]) is None


def test_series_with_labels_are_those_that_have_them():
    """A wanted series with labels adds up what has these labels, whatever others there are; one without, everything."""
    text = (
        'calls{to="a",how="x"} 3\ncalls{how="y",to="a"} 4\ncalls{to="b"} 5\ncalls_total{to="a"} 9\ncalls{to="a"} NaN\n'
    )
    wanted = ["calls", 'calls{to="a"}', 'calls{to="a", how="y"}', 'calls{to="c"}']
    assert parse_metrics(text, wanted) == {"calls": 12, 'calls{to="a"}': 7, 'calls{to="a", how="y"}': 4}
