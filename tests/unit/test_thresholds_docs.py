"""docs/thresholds.md, judged: every example on the page does what the page says."""

import re

import pytest
from pydantic import Field

from shakedown.analysis.evidence import Evidence
from shakedown.analysis.thresholds import judge
from shakedown.plan.document import Document
from shakedown.plan.loading import load_plan
from shakedown.plan.scenarios import Request
from shakedown.plan.threshold_references import ThresholdReferences
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome
from shakedown.records.observation import Sample
from shakedown.records.suites import SuiteResult, TestOutcome, TestStatus
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "thresholds.md").read_text(encoding="utf-8")
TAGS = {"read": {"kind": "read"}, "search": {"kind": "read"}, "buy": {"kind": "write"}}
PLAN = """\
version: 1
name: shop
services:
  api: {image: "demo:1", ports: {http: 8000}, metrics: {prometheus: "http:/metrics", series: [queue_depth]}}
scenarios:
  shop:
    executor: {type: constant-arrival-rate, rate: 100, duration: 60s}
    http: {target: api.http, requests: [{name: read, get: /}, {name: search, get: /}, {name: buy, post: /}]}
suites:
  unit: {pytest: ".", optional: true}
stages:
  baseline: {suites: [unit], scenarios: [{use: shop, rate: 10}]}
  stress: {parallel: [{use: shop}, {suite: unit}]}
"""


class Tagged(Request):
    """A request with tags, whatever the plan's own model has."""

    tags: dict[str, str] = Field(default_factory=dict)


def examples(kind: str) -> list[tuple[str, str]]:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line.partition("#") for block in blocks for line in block.splitlines()]
    return [(text.strip(), said.strip()) for text, _, said in lines]


def shop(rate: int, seconds: int, *, trouble: bool) -> LoadResult:
    """The load of the page: 80 % reads, 10 % searches, 10 % purchases, and what went wrong."""
    buckets: dict[BucketKey, Bucket] = {}
    counts = LoadCounts()

    def add(name: str, outcome: Outcome, second: int, latency: float, n: int, unanswered: int = 0) -> None:
        bucket = buckets.setdefault(BucketKey(name, outcome, second), Bucket())
        bucket.response.record(latency, n)
        bucket.bytes_received += 1000 * (n - unanswered)
        bucket.unanswered += unanswered
        counts.started += n
        setattr(counts, outcome.value, getattr(counts, outcome.value) + n)

    tenth = rate // 10
    for second in range(seconds):
        add("read", Outcome.OK, second, 0.8 if trouble and second in (30, 31, 32) else 0.05, 8 * tenth)
        add("search", Outcome.OK, second, 0.2, tenth)
        wrong = 6 if trouble and second == 10 else 0
        refused = tenth if trouble and 40 <= second < 45 else 0
        add("buy", Outcome.FAILED, second, 0.02, wrong + refused, refused) if wrong + refused else None
        add("buy", Outcome.OK, second, 0.1, tenth - wrong - refused) if wrong + refused < tenth else None
    counts.dropped = 7 if trouble else 0
    counts.scheduled = counts.started + counts.dropped
    counts.requests = counts.on_time = counts.started
    lags = {}
    for second in range(seconds):
        lags[second] = Bucket().response
        lags[second].record(0.001, rate)
    lags[0].record(0.004)
    return LoadResult(
        load="shop", scenario="shop", stage="stress", repetition=0, start=0.0, end=float(seconds), executor="constant-arrival-rate",
        target_rate=float(rate), counts=counts, buckets=buckets, pulses={}, start_lag=lags, errors=[], generator=GeneratorHealth(),
    )  # fmt: skip


def evidence() -> Evidence:
    outcomes = [TestOutcome(f"t{n}", TestStatus.PASSED, 0.15, "") for n in range(20)]
    suites = {"unit": [SuiteResult("unit", "stress", 1, 0.0, 3.0, 1, 0, outcomes, peak_memory=10**8, command="pytest")]}
    quiet = Evidence(
        loads={"shop": shop(10, 60, trouble=False)},
        suites=suites,
        samples=[Sample(float(at), "api", "memory", 100e6) for at in range(60)],
        tags={"shop": TAGS},
    )
    samples = [Sample(float(at), "api", "memory", 100e6 + 1e6 * min(at, 60)) for at in range(61)]
    samples += [Sample(float(at), "api", "queue_depth", 20.0 if at == 30 else 0.0) for at in range(60)]
    return Evidence(
        loads={"shop": shop(100, 60, trouble=True)}, suites=suites, samples=samples, tags={"shop": TAGS}, baseline=quiet
    )


@pytest.fixture(scope="module")
def measured() -> Evidence:
    """One evidence for every example: judging changes nothing of it."""
    return evidence()


@pytest.fixture(scope="module")
def references(tmp_path_factory) -> tuple[ThresholdReferences, list]:
    """The checker of the page's plan, and what its stress stage runs."""
    path = tmp_path_factory.mktemp("docs") / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    plan = load_plan(path, environ={}).plan
    scenario = plan.scenarios["shop"]
    tagged = [
        Tagged(**{"name": one.name, one.method: one.path, "tags": TAGS[one.name]}) for one in scenario.http.requests
    ]
    http = scenario.http.model_copy(update={"requests": tagged})
    plan = plan.model_copy(update={"scenarios": {"shop": scenario.model_copy(update={"http": http})}})
    return ThresholdReferences(plan, Document("plan.yaml")), list(plan.stages.stress.parallel)


@pytest.mark.parametrize(("text", "said"), examples("threshold"))
def test_every_example_is_judged_as_the_page_says(measured, references, text, said):
    """An example is a right threshold of the page's plan, and its verdict is the word behind it."""
    checker, uses = references
    assert [str(problem) for problem in checker.thresholds(("stages", "stress", "thresholds"), [text], uses)] == []
    result = judge(parse_threshold(text), measured)
    assert result.verdict.value == said, result
    assert result.text == text


@pytest.mark.parametrize(("text", "said"), examples("threshold-error"))
def test_every_mistake_is_named_as_the_page_says(references, text, said):
    """A mistake is one problem of the plan, with the words behind it."""
    checker, uses = references
    found = [str(problem) for problem in checker.thresholds(("stages", "stress", "thresholds"), [text], uses)]
    assert len(found) == 1
    assert said in found[0]


def test_the_page_shows_every_metric():
    """No metric of loads or suites is left without an example."""
    from shakedown.plan.thresholds import LOAD_METRICS, SUITE_METRICS

    shown = {item.metric for text, _ in examples("threshold") for item in parse_threshold(text).comparisons}
    assert set(LOAD_METRICS) | set(SUITE_METRICS) <= shown


def test_the_page_has_examples():
    """The page's examples are found at all."""
    assert len(examples("threshold")) > 70
    assert len(examples("threshold-error")) >= 20
