"""Thresholds over histories built by hand: three values, windows, requests, tags, the baseline, every metric."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.analysis.evidence import Evidence, Seconds, merge_stats
from shakedown.analysis.thresholds import judge
from shakedown.plan.thresholds import parse_threshold
from shakedown.records.histogram import Histogram
from shakedown.records.load import (
    Bucket,
    BucketKey,
    GeneratorHealth,
    LoadCounts,
    LoadDelta,
    LoadResult,
    Outcome,
    merge_parts,
)
from shakedown.records.observation import Sample
from shakedown.verdict import Verdict

P, F, U = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def load(cells, label="a", start=0.0, end=None, **changes) -> LoadResult:
    """A load from (request, outcome, second, latencies[, unanswered[, bytes]])."""
    result = LoadResult(
        load=label, scenario=label, stage="stress", repetition=0, start=start, end=start, executor="x", target_rate=None,
        counts=LoadCounts(), buckets={}, pulses={}, start_lag={}, errors=[], generator=GeneratorHealth(),
    )  # fmt: skip
    for request, outcome, second, latencies, *more in cells:
        bucket = result.buckets.setdefault(BucketKey(request, outcome, second), Bucket())
        bucket.response.record_many(latencies)
        bucket.unanswered += more[0] if more else 0
        bucket.bytes_received += more[1] if len(more) > 1 else 0
        n = len(latencies)
        counts = LoadCounts(scheduled=n, started=n, requests=n, on_time=n)
        setattr(counts, outcome.value, n)
        result.counts.add(counts)
    last = max((key.second + 1 for key in result.buckets), default=0)
    result.end = float(last) if end is None else end
    for name, value in changes.items():
        setattr(result, name, value)
    return result


def steady(per_second, label="a", request="r", **changes) -> LoadResult:
    """One list of latencies for each second."""
    cells = [(request, Outcome.OK, second, latencies) for second, latencies in enumerate(per_second)]
    return load(cells, label, end=float(len(per_second)), **changes)


def of(text, result, **more):
    loads = {one.load: one for one in (result if isinstance(result, list) else [result])}
    return judge(parse_threshold(text), Evidence(loads=loads, **more))


# ------------------------------------------------------------------------------------------------------- three values
LOADS = {P: steady([[0.1] * 100], "good"), F: steady([[3.0] * 100], "bad"), U: steady([[0.1]], "few")}
NAME = {P: "good", F: "bad", U: "few"}
LEAF = {verdict: f"{name}.p95 < 1s" for verdict, name in NAME.items()}


def trees(depth: int = 3):
    leaf = st.sampled_from([P, F, U])
    return st.recursive(
        leaf, lambda inner: st.tuples(st.sampled_from(["and", "or"]), inner, inner), max_leaves=depth * 2
    )


def render(tree) -> str:
    return LEAF[tree] if isinstance(tree, Verdict) else f"({render(tree[1])} {tree[0]} {render(tree[2])})"


def leaves(tree) -> list:
    return [tree] if isinstance(tree, Verdict) else leaves(tree[1]) + leaves(tree[2])


def truth(tree, values) -> bool:
    """Plain two-valued logic, with the leaves' values in order."""
    if isinstance(tree, Verdict):
        return next(values)
    left, right = truth(tree[1], values), truth(tree[2], values)
    return (left and right) if tree[0] == "and" else (left or right)


@given(trees())
def test_a_verdict_is_definite_only_where_what_is_missing_would_change_nothing(tree):
    """Passed: every completion of the unmeasured leaves holds. Failed: none does. Inconclusive: some do, some do not."""
    choices = [[True, False] if leaf is U else [leaf is P] for leaf in leaves(tree)]
    outcomes = {truth(tree, iter(values)) for values in itertools.product(*choices)}
    wanted = U if len(outcomes) == 2 else P if outcomes == {True} else F
    assert of(render(tree), list(LOADS.values())).verdict is wanted


def test_a_joined_threshold_says_what_decided():
    """Value and limit are those of the deciding comparison, and the reason names it."""
    result = of("good.p95 < 1s and bad.p95 < 2s", list(LOADS.values()))
    assert (result.verdict, result.limit, result.actual) == (F, 2.0, pytest.approx(3.0, rel=0.01))
    assert "`bad.p95 < 2s`: 3 s" in result.reason
    assert (
        "`few.p95 < 1s`: p95 needs 59 samples, 1 were measured"
        in of("bad.p95 < 1s or few.p95 < 1s", list(LOADS.values())).reason
    )


# ------------------------------------------------------------------------------------------------------------ windows
LATENCIES = st.lists(st.sampled_from([0, 1, 2, 60]), min_size=1, max_size=14)  # how many samples a second has
SLOW = st.sets(st.integers(0, 13))


def history(sizes, slow) -> LoadResult:
    return steady([[2.0 if second in slow else 0.1] * size for second, size in enumerate(sizes)])


def p95(sizes, slow, first, last) -> Verdict:
    """What p95 < 1s says of seconds first..last, from the raw values."""
    histogram = Histogram()
    for second in range(first, last):
        histogram.record_many([2.0 if second in slow else 0.1] * sizes[second])
    if histogram.count < 59:
        return U
    return P if histogram.quantile(0.95) < 1 else F


@given(LATENCIES, SLOW, st.integers(1, 16))
def test_over_is_every_whole_window(sizes, slow, width):
    """`over` fails if any whole window breaks, passes if all hold, and is inconclusive otherwise or without a window."""
    found = [p95(sizes, slow, at, at + width) for at in range(len(sizes) - width + 1)]
    wanted = F if F in found else U if U in found or not found else P
    result = of(f"a.p95 < 1s over {width}s", history(sizes, slow))
    assert result.verdict is wanted
    if wanted is F:
        assert f"first broke from {found.index(F)} s to {found.index(F) + width} s" in result.reason
        assert f"in {found.count(F)} of {len(found)} windows of {width} s" in result.reason
    if wanted is U and found:
        assert f"{found.count(U)} of {len(found)} windows of {width} s could not be judged" in result.reason


@given(LATENCIES, SLOW, st.integers(1, 16))
def test_within_counts_windows_cut_by_an_end(sizes, slow, width):
    """`within` fails if any window breaks, cut or not; one with too few samples is no doubt if windows that hold cover it."""
    spans = {(max(at, 0), min(at + width, len(sizes))) for at in range(1 - width, len(sizes))}
    found = {span: p95(sizes, slow, *span) for span in spans}
    whole = {span for span in spans if span[1] - span[0] == width}

    def doubtful(span) -> bool:
        covered = any(low <= span[0] and span[1] <= high and found[low, high] is P for low, high in spans)
        return found[span] is U and (span in whole or not covered)

    wanted = F if F in found.values() else U if any(map(doubtful, spans)) else P
    assert of(f"a.p95 < 1s within {width}s", history(sizes, slow)).verdict is wanted


@given(LATENCIES, SLOW, st.integers(1, 16))
def test_for_breaks_when_every_second_of_a_stretch_does(sizes, slow, width):
    """`for` fails only on a stretch of broken seconds, passes if each stretch has a second that holds."""
    single = [p95(sizes, slow, at, at + 1) for at in range(len(sizes))]
    stretches = [single[at : at + width] for at in range(len(sizes) - width + 1)]
    broken = any(set(stretch) == {F} for stretch in stretches)
    wanted = F if broken else P if stretches and all(P in stretch for stretch in stretches) else U
    assert of(f"a.p95 < 1s for {width}s", history(sizes, slow)).verdict is wanted


@given(LATENCIES, SLOW, st.integers(0, 5), st.integers(0, 20))
def test_seconds_merge_to_any_window(sizes, slow, low, high):
    """Blocks of merged seconds give what merging every second gives."""
    result = history(sizes, slow)
    seconds = Seconds(result)
    single = [seconds.between(at, at + 1, 1.0) for at in range(low, max(high, low))]
    assert seconds.between(low, max(high, low), 3.0) == merge_stats(single, 3.0)


def test_the_worst_window_stands_beside_the_limit():
    """The value is the worst window's, the reason tells the first that broke and how many did."""
    result = of("a.p95 < 1s over 2s", steady([[0.1] * 60] * 4 + [[2.0] * 60, [5.0] * 60] + [[0.1] * 60] * 4, start=0.0))
    assert (result.verdict, result.actual) == (F, pytest.approx(5.0, rel=0.01))
    assert "first broke from 3 s to 5 s (3 s into the load), in 3 of 9 windows of 2 s" in result.reason


def test_a_rate_in_windows():
    """A hole of two seconds breaks the rate over two, not over ten; and for two, not for three."""
    result = steady([[0.1] * 50] * 10 + [[]] * 2 + [[0.1] * 50] * 10)
    wanted = {"over 2s": F, "over 10s": P, "for 2s": F, "for 3s": P, "over 22s": P, "over 23s": U}
    assert {window: of(f"a.rate >= 40/s {window}", result).verdict for window in wanted} == wanted


def test_a_load_between_two_seconds():
    """A load of ten seconds that began at 12.4 s has a window of ten seconds: all of it, as long as it was."""
    cells = [
        ("r", Outcome.OK, second, [0.1] * (60 if second == 12 else 40 if second == 22 else 100))
        for second in range(12, 23)
    ]
    result = load(cells, start=12.4, end=22.4)
    assert of("a.rate >= 100/s over 10s", result).actual == pytest.approx(100)
    assert of("a.rate >= 100/s over 10s", result).verdict is P
    assert of("a.rate >= 99/s over 5s", result).verdict is P
    assert of("a.rate >= 99/s over 11s", result).verdict is U


def test_windows_do_not_cross_the_pauses_between_repetitions():
    """Repetitions merged into one are judged each by itself, and their pauses are no part of a rate."""
    first, second = (
        load([("r", Outcome.OK, at, [0.1] * 10) for at in range(begin, begin + 5)], start=float(begin))
        for begin in (0, 100)
    )
    merge_parts(first, LoadDelta("a", 0, second.counts, second.buckets, {}, {}, []))
    first.end = second.end
    spans = {"a": [(0.0, 5.0), (100.0, 105.0)]}
    assert of("a.rate >= 9/s over 5s", first, spans=spans).verdict is P
    assert of("a.rate >= 9/s", first, spans=spans).actual == pytest.approx(10)
    assert of("a.rate >= 9/s over 6s", first, spans=spans).verdict is U


def test_windows_stay_within_an_experiments_window():
    """What lies outside of the evidence's own window breaks nothing."""
    result = steady([[0.1] * 60] * 5 + [[2.0] * 60] * 5)
    assert of("a.p95 < 1s over 2s", result, start=0.0, end=5.0).verdict is P
    assert of("a.p95 < 1s over 2s", result, start=2.0, end=7.0).verdict is F
    assert of("a.p95 < 1s over 6s", result, start=0.0, end=5.0).verdict is U


def test_windows_of_a_sampled_series():
    """Samples slide too; a window without any is inconclusive."""
    samples = [Sample(at + 0.3, "api", "cpu", 2.0 if at in (4, 5) else 0.5) for at in range(12) if at != 9]
    wanted = {
        "max < 1 over 3s": F,
        "avg < 1.6 over 3s": P,
        "max < 3 over 1s": U,
        "max < 1 for 2s": F,
        "max < 1 for 3s": P,
    }
    found = {text: judge(parse_threshold(f"api.cpu.{text}"), Evidence(samples=samples)).verdict for text in wanted}
    assert found == wanted


def test_brackets_in_a_window_are_judged_window_by_window():
    """Each window holds if either part does there; the parts alone would both have failed."""
    result = load(
        [("r", Outcome.OK, at, [2.0 if at < 3 else 0.1] * 100) for at in range(6)]
        + [("r", Outcome.FAILED, at, [0.1] * 50) for at in range(3, 6)]
    )
    assert of("(a.p95 < 1s or a.error_rate < 5%) over 1s", result).verdict is P
    assert of("a.p95 < 1s over 1s or a.error_rate < 5% over 1s", result).verdict is F


# ------------------------------------------------------------------------------------------------------ which requests
TAGS = {"a": {"fast": {"kind": "read", "tier": "1"}, "slow": {"kind": "read"}, "write": {"kind": "write"}}}


def three() -> LoadResult:
    return load(
        [
            ("fast", Outcome.OK, 0, [0.01] * 900),
            ("slow", Outcome.OK, 0, [2.0] * 60),
            ("write", Outcome.OK, 0, [0.2] * 100),
        ]
    )


def test_each_request_by_itself():
    """The merged percentile hides the slow request; judged each by itself it is found and named."""
    assert of("a.p90 < 1s", three(), tags=TAGS).verdict is P
    result = of("a.*.p90 < 1s", three(), tags=TAGS)
    assert (result.verdict, result.actual) == (F, pytest.approx(2.0, rel=0.01))
    assert result.reason.startswith("request `slow`")
    assert of("a.p90 < 1s for all requests", three()).verdict is F
    both = of("a.*.p90 < 100ms", three(), tags=TAGS)
    assert "request `slow` (and `write`)" in both.reason
    assert "the worst of 3 requests is `slow`" in of("a.*.p90 < 3s", three(), tags=TAGS).reason


def test_a_request_of_which_nothing_was_measured_is_not_passed_over():
    """A request of the plan without a sample makes `.*` inconclusive."""
    tags = {"a": {**TAGS["a"], "never": {}}}
    result = of("a.*.p90 < 3s", three(), tags=tags)
    assert result.verdict is U
    assert "request `never`" in result.reason
    assert of("a.*.p90 < 1s", three(), tags=tags).verdict is F


def test_tags_merge_what_they_match():
    """Requests that carry all tags are merged; what none carries is inconclusive."""
    assert of("a{kind:read}.count == 960", three(), tags=TAGS).verdict is P
    assert of("a{kind:read,tier:1}.count == 900", three(), tags=TAGS).verdict is P
    assert of("a.slow{kind:read}.count == 60", three(), tags=TAGS).verdict is P
    assert of("a.write{kind:read}.count >= 0", three(), tags=TAGS).verdict is U
    assert of("a{kind:none}.count >= 0", three(), tags=TAGS).verdict is U
    assert of("a{kind:read}.count >= 0", three()).verdict is U
    assert of("a.*{kind:read}.p90 < 1s", three(), tags=TAGS).verdict is F
    assert of("a.*{tier:1}.p90 < 1s", three(), tags=TAGS).verdict is P


def test_each_request_in_its_own_windows():
    """`for` is broken by one request's stretch, not by two that take turns."""
    cells = [
        (name, Outcome.OK, at, [2.0 if (at % 2 == 0) == (name == "x") else 0.1] * 60)
        for at in range(8)
        for name in "xy"
    ]
    assert of("a.*.p95 < 1s for 2s", load(cells)).verdict is P
    assert of("a.p95 < 1s for 2s", load(cells)).verdict is F


# ------------------------------------------------------------------------------------------------------------ metrics
def test_checks_errors_and_answers():
    """`check_rate` leaves out what was not answered; `error_rate` does not; bytes are of the answers."""
    result = load(
        [("r", Outcome.OK, 0, [0.1] * 80, 0, 80_000), ("r", Outcome.FAILED, 0, [0.1] * 15, 5, 10_000),
         ("r", Outcome.TIMED_OUT, 1, [1.0] * 5)]
    )  # fmt: skip
    assert of("a.check_rate > 0", result).actual == pytest.approx(80 / 90)
    assert of("a.error_rate > 0", result).actual == pytest.approx(0.2)
    assert of("a.bytes > 0", result).actual == 90_000
    assert of("a.bytes_per_second > 0", result).actual == 45_000
    assert of("a.size > 0", result).actual == 1000
    assert (of("a.rate > 0", result).actual, of("a.throughput > 0", result).actual) == (50, 40)


def test_nothing_answered_is_inconclusive_for_checks():
    """Only refusals: no check was ever asked."""
    result = of("a.check_rate >= 0", load([("r", Outcome.FAILED, 0, [0.1] * 9, 9)]))
    assert result.verdict is U
    assert "none of 9 requests was answered" in result.reason


@pytest.mark.parametrize(
    "metric", ["p50", "p95", "avg", "min", "max", "med", "error_rate", "check_rate", "size", "start_lag"]
)
@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=="])
@pytest.mark.parametrize("suffix", ["", " over 2s", " within 2s", " for 2s", " for all requests", " abort"])
def test_an_empty_metric_is_inconclusive(metric, op, suffix):
    """A load of which nothing was measured passes and fails nothing, whatever the operator and the window."""
    unit = {"error_rate": "5%", "check_rate": "5%", "size": "1kB"}.get(metric, "1s")
    empty = load([], end=10.0)
    assert of(f"a.{metric} {op} {unit}{suffix}", empty).verdict is U
    assert of(f"a.{metric} {op} {unit}{suffix}", empty, tags={"a": {"r": {}}}).verdict is U


@pytest.mark.parametrize(
    "text", ["count < 5", "count == 0", "rate < 100", "bytes < 1MB", "bytes_per_second < 1MB/s", "dropped == 0"]
)
def test_silence_passes_no_upper_limit(text):
    """Where nothing ended, zero is not a good figure."""
    assert of(f"a.{text}", load([], end=10.0)).verdict is U
    assert of(f"a.{text} over 2s" if "dropped" not in text else f"a.{text}", load([], end=10.0)).verdict is U


def test_silence_breaks_a_lower_limit():
    """A server that answered nothing at all gave no throughput, and that is known."""
    cancelled = load([("r", Outcome.CANCELLED, 0, [5.0] * 50)], end=10.0)
    assert of("a.throughput > 10/s", cancelled).verdict is F
    assert of("a.count >= 1", cancelled).verdict is F


def test_start_lag_by_any_figure():
    """p99 by default; other figures by their names; in windows as well."""
    result = steady([[0.1] * 400] * 3)
    for second in range(3):
        result.start_lag[second] = Histogram()
        result.start_lag[second].record_many([0.001] * 380 + [0.05 if second == 2 else 0.002] * 20)
    found = {name: of(f"a.start_lag{name} > 0", result).actual for name in ("", ".p50", ".avg", ".min", ".max")}
    assert found[""] == pytest.approx(0.05, rel=0.01)
    assert found[".p50"] == pytest.approx(0.001, rel=0.01)
    assert (found[".min"], found[".max"]) == (0.001, 0.05)
    assert of("a.start_lag < 10ms over 1s", result).verdict is F
    assert "first broke from 2 s to 3 s" in of("a.start_lag < 10ms over 1s", result).reason


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dropped <= 10", P),
        ("dropped < 5", U),
        ("dropped == 0", U),
        ("dropped == 20", F),
        ("dropped > 5", U),
        ("dropped > 20", F),
    ],
)
def test_drops_of_a_window_are_known_only_as_a_bound(text, wanted):
    """Ten drops somewhere in a load: of a window within it no more than that is known."""
    result = steady([[0.1] * 60] * 4)
    result.counts.dropped, result.counts.scheduled = 10, result.counts.scheduled + 10
    assert of(f"a.{text}", result, start=1.0, end=3.0).verdict is wanted
    assert of("a.dropped == 10", result).verdict is P
    assert of("a.dropped_rate < 5%", result).verdict is P
    assert of("a.dropped_rate < 5%", result, start=1.0, end=3.0).verdict is U


@pytest.mark.parametrize("suffix", ["", " over 2s", " for 2s", " for all requests"])
def test_doubts_about_the_load_reach_every_form(suffix):
    """Starved: neither passes nor fails. Rate not held or interrupted: may fail, may not pass."""
    fast, slow = [[0.1] * 60] * 4, [[2.0] * 60] * 4
    starved = {"generator": GeneratorHealth(starved="no CPU")}
    assert of(f"a.p95 < 1s{suffix}", steady(fast, **starved)).verdict is U
    assert of(f"a.p95 < 1s{suffix}", steady(slow, **starved)).verdict is U
    for weak in ({"rate_held": False, "target_rate": 100.0}, {"interrupted": True}):
        assert of(f"a.p95 < 1s{suffix}", steady(fast, **weak)).verdict is U
        assert of(f"a.p95 < 1s{suffix}", steady(slow, **weak)).verdict is F


def test_what_was_dropped_can_be_judged_by_what_was_dropped():
    """A rate that was not held for nothing but drops leaves a limit on drops its verdict; where more is missing, it may not pass."""
    counts = LoadCounts(scheduled=400, started=240, dropped=160, ok=240, on_time=240, requests=240)
    few = {"rate_held": False, "target_rate": 100.0, "counts": counts}
    assert of("a.dropped_rate < 50%", steady([[0.1] * 60] * 4, **few)).verdict is P
    assert of("a.dropped <= 160", steady([[0.1] * 60] * 4, **few)).verdict is P
    assert of("a.dropped_rate < 30%", steady([[0.1] * 60] * 4, **few)).verdict is F
    assert of("a.p95 < 1s", steady([[0.1] * 60] * 4, **few)).verdict is U
    late = few | {"counts": replace(counts, on_time=200)}
    assert of("a.dropped_rate < 50%", steady([[0.1] * 60] * 4, **late)).verdict is U
    assert of("a.dropped_rate < 30%", steady([[0.1] * 60] * 4, **late)).verdict is F


# ----------------------------------------------------------------------------------------------------------- baseline
def test_a_limit_relative_to_the_baseline():
    """The limit is computed, and shown with what it comes from."""
    now, before = steady([[0.14] * 100]), Evidence(loads={"a": steady([[0.1] * 100])})
    result = of("a.p95 < 1.5 * baseline", now, baseline=before)
    assert (result.verdict, result.limit) == (P, pytest.approx(0.15, rel=0.01))
    assert result.reason == "limit 150 ms = 1.5 × 100 ms of the baseline"
    assert of("a.p95 < 1.2 * baseline", now, baseline=before).verdict is F
    assert of("a.p95 < 1.2 * baseline + 30ms", now, baseline=before).verdict is P
    assert of("a.max < baseline - 30ms", now, baseline=before).limit == pytest.approx(0.07)
    assert of("a.r.max < 1.5 * baseline", now, baseline=before).verdict is P


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (None, "no baseline to compare with"),
        (Evidence(), "never sampled"),
        (Evidence(loads={"a": steady([[0.1] * 9])}), "p95 needs 59 samples, 9 were measured"),
        (Evidence(loads={"a": steady([[0.1] * 100], rate_held=False, target_rate=9.0)}), "rate not held"),
        (Evidence(loads={"a": steady([[0.1] * 100], generator=GeneratorHealth(starved="no CPU"))}), "no CPU"),
    ],
)
def test_what_the_baseline_did_not_measure_limits_nothing(before, words):
    """Without a trustworthy baseline a relative limit is inconclusive, and says why."""
    for latency in (0.01, 9.0):
        result = of("a.p95 < 1.5 * baseline", steady([[latency] * 100]), baseline=before)
        assert result.verdict is U
        assert words in result.reason


def test_each_request_against_its_own_baseline():
    """A request is compared with itself, in every window."""
    before = Evidence(loads={"a": load([("x", Outcome.OK, 0, [0.1] * 60), ("y", Outcome.OK, 0, [1.0] * 60)])})
    now = load([(name, Outcome.OK, at, [1.0] * 60) for at in range(3) for name in "xy"])
    result = of("a.*.p95 < 2 * baseline over 2s", now, baseline=before)
    assert result.verdict is F
    assert "request `x`" in result.reason
    assert of("a.y.p95 < 2 * baseline over 2s", now, baseline=before).verdict is P


@pytest.mark.parametrize("edge", [0, 5])
def test_a_window_cut_short_breaks_by_itself(edge):
    """A breach in the first or last second alone counts under `within`, though every whole window holds."""
    seconds = [[0.1] * 60 for _ in range(6)]
    seconds[edge][:4] = [2.0] * 4
    assert of("a.p95 < 1s over 2s", steady(seconds)).verdict is P
    result = of("a.p95 < 1s within 2s", steady(seconds))
    assert result.verdict is F
    assert f"first broke from {edge} s to {edge + 1} s" in result.reason


def test_windows_begin_where_the_experiments_window_does():
    """A breach before it is not its own."""
    assert of("a.p95 < 1s over 2s", steady([[2.0] * 60] * 5 + [[0.1] * 60] * 5), start=5.0, end=10.0).verdict is P
