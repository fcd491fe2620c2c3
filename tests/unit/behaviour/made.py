"""Made-up measurements of a shop: 50 requests a second, a fault from 10 s to 20 s, watched until 35 s."""

from collections.abc import Callable
from datetime import UTC, datetime

from shakedown.analysis.behaviour.calls import Phases
from shakedown.analysis.behaviour.counters import Counter
from shakedown.analysis.behaviour.demand import Demand
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome
from shakedown.records.observation import ProbeResult, Sample
from shakedown.results.tables import RunRow

RATE, END = 50, 40
PHASES = Phases((2.0, 9.0), (10.0, 20.0), (20.0, 35.0))
FAULT = range(10, 20)
Seconds = Callable[[int], float]


def run_row(name: str) -> RunRow:
    """A run in a database."""
    return RunRow(
        id=name,
        plan="p",
        plan_path="p.yaml",
        plan_digest="d",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        status="running",
    )


def load(*requests: str, failing: Callable[[str, int], float] = lambda _name, _at: 0.0, latency: Seconds = lambda _: 0.02,
         outcome: Outcome = Outcome.FAILED, rate: Seconds = lambda _: RATE) -> LoadResult:  # fmt: skip
    """A load of several requests, with the share of each second's that fail, and how long an answer takes."""
    buckets: dict[BucketKey, Bucket] = {}
    counts = LoadCounts()
    for name in requests or ("read",):
        for at in range(END):
            number = round(rate(at))
            bad = round(number * failing(name, at))
            for how, n in ((Outcome.OK, number - bad), (outcome, bad)):
                if n:
                    bucket = buckets.setdefault(BucketKey(name, how, at), Bucket())
                    bucket.response.record(latency(at), n)
                    bucket.service.record(latency(at), n)
                    counts.requests += n
    return LoadResult(
        "shop",
        "shop",
        "faults",
        0,
        0.0,
        END,
        "constant-arrival-rate",
        RATE,
        counts,
        buckets,
        {},
        {},
        [],
        GeneratorHealth(),
    )


def demand(rate: Seconds = lambda _: RATE, good: Seconds | None = None) -> Demand:
    """What clients asked, and what was served of it."""
    asked = {at: round(rate(at)) for at in range(END)}
    return Demand(asked, asked if good is None else {at: round(good(at)) for at in range(END)})


def counter(rate: Seconds, *, every: float = 1.0, offset: float = 0.3, without: Callable[[float], bool] = lambda _: False) -> Counter:  # fmt: skip
    """A counter that grows by so much in each second, sampled now and then, and not at all where it is `without`."""
    return Counter.of(points(rate, every=every, offset=offset, without=without))


def points(rate: Seconds, *, every: float = 1.0, offset: float = 0.3, without: Callable[[float], bool] = lambda _: False) -> list[tuple[float, float]]:  # fmt: skip
    """The samples of a counter."""
    found, at = [], offset
    while at < END:
        whole = sum(rate(second) for second in range(int(at)))
        if not without(at):
            found.append((at, whole + rate(int(at)) * (at % 1)))
        at += every
    return found


def samples(source: str, series: str, rate: Seconds, **changes) -> list[Sample]:
    """The same, as they are stored."""
    return [Sample(at, source, series, value) for at, value in points(rate, **changes)]


def gauge(source: str, series: str, value: Seconds, *, offset: float = 0.3) -> list[Sample]:
    """A gauge, once a second."""
    return [Sample(at + offset, source, series, value(at)) for at in range(END)]


def looks(service: str, unhealthy: Callable[[float], bool] = lambda _: False, latency: Seconds = lambda _: 0.004) -> list[ProbeResult]:  # fmt: skip
    """Looks at a service's health, ten a second."""
    return [
        ProbeResult(at / 10, service, not unhealthy(at / 10), latency(at // 10), "503" if unhealthy(at / 10) else "200")
        for at in range(10 * END)
    ]
