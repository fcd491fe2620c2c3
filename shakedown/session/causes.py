"""What the symptoms of a run have in common: looks for the evidence of `shakedown.analysis.causes` in what was measured."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from shakedown.analysis.causes import (
    blocking_call,
    is_queue,
    poison_message,
    recovered_late,
    stale_cache,
    stopped_before,
    stuck_since,
    unbounded_queue,
    well_since,
)
from shakedown.analysis.evidence import window_stats
from shakedown.ledgers.fresh import found_afresh
from shakedown.plan.uses import request_tags
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, ThresholdResult
from shakedown.records.ledger import LedgerResult
from shakedown.records.load import LoadResult
from shakedown.records.observation import Sample
from shakedown.session.live import Session
from shakedown.units import format_duration, format_share

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["breach_of", "late_recovery", "name_experiments", "name_losses"]

AFTERWARDS = 6.0  # seconds: a loop that stood still tells of it when it runs again
ASKED_AGAIN = 20  # keys
MALFORMED = "malformed"  # the value of a tag of requests that no service can process
LOOP_LAG = ("event_loop_lag", "eventloop_lag", "loop_lag")


def late_recovery(bench: "FaultBench", record: ExperimentRecord, limit: float, client: str) -> Finding | None:
    """The finding for a system that came back by itself after the watching had ended; None when it did not.

    The load goes on until the next fault, or until the stage ends, so that this can be seen.
    """
    load, steady, stage = bench.load, bench.steady, bench.stage
    if load is None or steady is None or record.reverted_at is None or record.watched_until is None:
        return None
    later = [one.applied_at for one in bench.records if one.applied_at is not None]
    end = min((at for at in later if at > record.reverted_at), default=load.end)
    back = well_since(load.pulses, record.reverted_at, end, rate=steady.rate, width=stage.hold_window)
    if back is None or back - record.reverted_at <= limit:
        return None
    return recovered_late(record, back - record.reverted_at, limit, client=client)


def breach_of(result: ThresholdResult, load: LoadResult, start: float | None, end: float | None) -> tuple[str, str]:
    """Cause and recommendation for a threshold that did not hold between two instants of an experiment; both may be unknown."""
    subject = result.text.split(" ", 1)[0]
    error_rate = window_stats(load, start=start, end=end).error_rate
    known = unbounded_queue(subject, result.actual, error_rate)
    return known or ("", "")


def name_experiments(bench: "FaultBench") -> None:
    """Add what several measurements of an experiment say together; of a load that was late itself nothing is concluded."""
    if bench.load is None or bench.load.generator.starved:
        return
    session = bench.session
    scenario = session.loaded.plan.scenarios[bench.stage.load.use]
    client = (scenario.target or "").partition(".")[0]
    for record, following in pairwise([*bench.records, None]):
        if record is None or record.applied_at is None or record.reverted_at is None:
            continue
        end = record.reverted_at + AFTERWARDS
        if following is not None and following.applied_at is not None:
            end = min(end, following.applied_at)
        finding = _stood_still(session, record, client, bench.load, end)
        if finding is not None:
            session.find("faults", finding)


def _stood_still(
    session: Session, record: ExperimentRecord, client: str, load: LoadResult, end: float
) -> Finding | None:
    applied, reverted = record.applied_at or 0.0, record.reverted_at or 0.0
    before = _lags(session.results.samples(session.run_id, applied - AFTERWARDS, applied), client)
    during = _lags(session.results.samples(session.run_id, applied, end), client)
    if not before or not during:
        return None
    series, lag = max(during, key=lambda item: item[1])
    usual = max(value for _, value in before)
    stats = window_stats(load, start=applied, end=reverted)
    if not stats.ended:
        return None
    p50 = stats.latency.quantile(0.5)
    steady = window_stats(load, start=applied - AFTERWARDS, end=applied).latency.quantile(0.5)
    failed = stats.error_rate or 0.0
    words = [f"{format_share(failed)} of requests failed"] if failed > 0.05 else []
    if p50 is not None and steady is not None and p50 > 3 * steady and p50 - steady > 0.05:
        words.append(f"half of the answers took more than {format_duration(p50)}, {format_duration(steady)} before")
    return blocking_call(record, client, series, lag, usual, ", ".join(words))


def _lags(samples: Sequence[Sample], service: str) -> list[tuple[str, float]]:
    return [
        (sample.series, sample.value)
        for sample in samples
        if sample.source == service and any(words in sample.series for words in LOOP_LAG)
    ]


# ------------------------------------------------------------------------------------------------------------- ledgers
def name_losses(session: Session, result: LedgerResult, findings: Sequence[Finding]) -> list[Finding]:
    """A ledger's findings, with what else is known about why writes are missing.

    Args:
        findings: as the ledger alone gives them; the one about lost writes says `(lost writes)` in its cause.
    """
    lost = [fault for fault in result.faults if fault.kind == "lost"]
    place = next((index for index, item in enumerate(findings) if "(lost writes)" in item.cause), None)
    if not lost or place is None:
        return list(findings)
    named = list(findings)
    if (poison := _poisoned(session)) is not None:
        cause = "they still wait in the queue, behind what cannot be processed; see the finding about it"
        named[place] = replace(named[place], cause=cause, recommendation=poison.recommendation)
        return [poison, *named]
    stale = _stale(session, result)
    if stale is not None:
        named[place] = stale
        return named
    records = [info.record for info in session.results.experiments(session.run_id)]
    if (record := stopped_before(lost, records)) is not None:
        named[place] = replace(
            named[place],
            cause=f"{record.target} says that it is done with what it only keeps in memory, and ends without storing it "
            "(lost on shutdown)",
            evidence=(
                f"acknowledged in the last seconds before {record.target} was told to end, at {record.asked_at or 0:.1f} s",
                *named[place].evidence,
            ),
            recommendation=f"finish on SIGTERM what is in hand, and acknowledge to the queue only what {record.target} has stored",
        )
    return named


def _stale(session: Session, result: LedgerResult) -> Finding | None:
    """The finding, when what seems lost is there for who asks for a fresh answer."""
    read = session.loaded.plan.ledgers[result.ledger].read
    if read is None or not read.get or not read.target:
        return None
    lost = [fault for fault in result.faults if fault.kind == "lost"][:ASKED_AGAIN]
    fresh = set(
        found_afresh(
            read.get, read.checks, [fault.key for fault in lost], session.system.address(read.target).url, read.timeout
        )
    )
    if len(fresh) < len(lost):
        return None
    return stale_cache(result.ledger, lost, len(lost))


def _poisoned(session: Session) -> Finding | None:
    malformed = _malformed(session)
    if not malformed:
        return None
    samples = session.results.samples(session.run_id)
    for source, series in dict.fromkeys((one.source, one.series) for one in samples if is_queue(one.series)):
        depths = [(one.at, one.value) for one in samples if (one.source, one.series) == (source, series)]
        since = stuck_since(depths)
        if since is None:
            continue
        healthy, ill = _health_since(session, since)
        if ill:  # whoever is down since then processes nothing, whatever was sent
            continue
        finding = poison_message(f"{source}.{series}", since, depths[-1][1], malformed, healthy)
        if finding is not None:
            return finding
    return None


def _malformed(session: Session) -> list[tuple[str, float]]:
    """Requests with a tag that says that they are malformed, and when each was first sent."""
    scenarios = session.loaded.plan.scenarios
    first: dict[str, float] = {}
    for load in session.loads:
        if load.scenario not in scenarios:
            continue
        tags = request_tags(scenarios[load.scenario])
        for key in load.buckets:
            if MALFORMED in tags.get(key.request, {}).values():
                first[key.request] = min(first.get(key.request, float("inf")), float(key.second))
    return sorted(first.items(), key=lambda item: item[1])


def _health_since(session: Session, since: float) -> tuple[list[str], list[str]]:
    """Who said all the while that it is healthy, and who said for the greater part that it is not."""
    looks: dict[str, list[bool]] = {}
    for probe in session.results.probes(session.run_id):
        if probe.at >= since:
            looks.setdefault(probe.service, []).append(probe.healthy)
    healthy = [service for service, said in looks.items() if said.count(True) >= 0.9 * len(said)]
    return healthy, [service for service, said in looks.items() if said.count(True) < 0.5 * len(said)]
