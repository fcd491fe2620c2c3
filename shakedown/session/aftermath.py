"""What the faults did beside what clients saw: restarts, kills for want of memory, new kinds of error lines."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from shakedown.analysis.log_kinds import AFTER, DURING, KNOWN, LogKind, LogKinds
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding, Severity
from shakedown.records.observation import Sample
from shakedown.session.live import Session
from shakedown.verdict import Verdict

__all__ = ["RECOVERY", "count_restarts", "mark_logs", "search_logs"]

GRACE = 5.0  # seconds after a revert in which a restart still belongs to the fault
SHOWN = 10
MARKS, RECOVERY = "logs-before-faults", "logs-at-recovery"
WORDS = {"restarts": ("restarted", "restart"), "oom_kills": ("was killed for want of memory", "kill")}


# ------------------------------------------------------------------------------------------------- restarts and kills
def count_restarts(session: Session) -> list[tuple[Verdict, str]]:
    """Each service's restarts and kills for want of memory, against those that our faults caused; verdicts with reasons."""
    records = [info.record for info in session.results.experiments(session.run_id)]
    parts: list[tuple[Verdict, str]] = []
    samples = session.results.samples(session.run_id)
    for name in session.system.handles:
        for series, (did, noun) in WORDS.items():
            times = increments(samples, name, series)
            ours = [at for at in times if _meant(records, name, at)]
            beside = [at for at in times if at not in ours and (_around(records, at) is not None)]
            alone = [at for at in times if at not in ours and at not in beside]
            if not times:
                continue
            words = [f"{len(ours)} by faults of ours"] if ours else []
            words += (
                [
                    f"{len(beside)} while something else was disturbed: {', '.join(_when(records, at) for at in beside[:3])}"
                ]
                if beside
                else []
            )
            words += [f"{len(alone)} by itself: {', '.join(f'at {at:.1f} s' for at in alone[:3])}"] if alone else []
            title = f"{name} {did} {len(times)} time{'s' if times[1:] else ''}"
            # A restart may be how a service copes with what it lost; a kill for want of memory is nobody's plan.
            bad = alone or (beside if series == "oom_kills" else [])
            cause = f"it ended without anybody's doing; its log from that time says why ({noun})" if bad else ""
            severity = Severity.FAILURE if bad else Severity.NOTE
            session.find("recovery", Finding(severity, title, cause, tuple(words), subject=name))
            parts.append((Verdict.FAILED if bad else Verdict.PASSED, title))
    return parts


def increments(samples: Sequence[Sample], source: str, series: str) -> list[float]:
    """When a counter grew, once for each by which it did."""
    found, last = [], None
    for sample in samples:
        if (sample.source, sample.series) != (source, series):
            continue
        if last is not None and sample.value > last:
            found += [sample.at] * round(sample.value - last)
        last = sample.value
    return found


def _span(record: ExperimentRecord) -> tuple[float, float] | None:
    begins = [one.asked_at for one in record.injections if one.asked_at is not None]
    if not begins:
        return None
    ends = [at for one in record.injections for at in (one.gone_at, one.reverted_at) if at is not None]
    return min(begins) - 1.0, max([*ends, *begins]) + GRACE


def _meant(records: Sequence[ExperimentRecord], name: str, at: float) -> bool:
    """Whether a fault disturbed this very service then."""
    spans = [_span(record) for record in records if name in record.targets]
    return any(span is not None and span[0] <= at <= span[1] for span in spans)


def _around(records: Sequence[ExperimentRecord], at: float) -> ExperimentRecord | None:
    """The experiment in whose time, from the injection to the end of the watching, an instant lies."""
    for record in records:
        span = _span(record)
        if span is not None and span[0] <= at <= max(span[1], record.watched_until or 0.0):
            return record
    return None


def _when(records: Sequence[ExperimentRecord], at: float) -> str:
    record = _around(records, at)
    return f"{at:.1f} s, in {record.name}" if record is not None else f"{at:.1f} s"


# ---------------------------------------------------------------------------------------------------------------- logs
def _logs(session: Session) -> dict[str, Path]:
    folder = session.run_dir / "logs"
    return {name: folder / f"{name}.log" for name in session.system.handles if (folder / f"{name}.log").is_file()}


def mark_logs(session: Session, moment: str = MARKS) -> None:
    """Note how long each log is now: lines without a time are told apart by where they stand."""
    lines = (f"{name}\t{path.stat().st_size}" for name, path in _logs(session).items())
    (session.run_dir / f"{moment}.tsv").write_text("\n".join(lines), encoding="utf-8")


def _marks(session: Session, moment: str) -> dict[str, int]:
    path = session.run_dir / f"{moment}.tsv"
    if not path.is_file():
        return {}
    rows = (line.rpartition("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: int(size) for name, _, size in rows}


def search_logs(session: Session, since: float) -> list[Finding]:
    """New kinds of error lines of each service: those that ended with the faults, and those after recovery.

    Args:
        since: when the recovery stage began, seconds; lines without a time are told apart by `mark_logs`.
    """
    records = [info.record for info in session.results.experiments(session.run_id)]
    spans = [span for record in records if (span := _span(record)) is not None]
    begin = min((span[0] for span in spans), default=since)
    watched = [max(record.watched_until or 0.0, span[1]) for record in records if (span := _span(record)) is not None]
    end = max(watched, default=since)
    marks, later = _marks(session, MARKS), _marks(session, RECOVERY)
    redact = session.loaded.redactor.redact
    findings = []
    for name, path in _logs(session).items():
        kinds = LogKinds()
        kinds.add(_lines(session, path, begin, end, marks.get(name, 0), later.get(name, 0)))
        for phase, when in ((AFTER, "after recovery"), (DURING, "during the faults, and not afterwards")):
            new = kinds.new(phase)
            if not new:
                continue
            title = f"{name}: {len(new)} new kind{'s' if new[1:] else ''} of error lines in its log {when}"
            evidence = tuple(redact(_told(kind)) for kind in new[:SHOWN])
            finding = Finding(Severity.NOTE, title, "", evidence, subject=name)
            session.find("recovery", finding)
            findings.append(finding)
    return findings


def _told(kind: LogKind) -> str:
    first = f", first at {kind.first_at:.1f} s" if kind.first_at is not None else ""
    began = ", begun during the faults" if kind.also_during else ""
    return f"{kind.count} ×{first}{began}: {kind.example}"


def _lines(
    session: Session, path: Path, begin: float, end: float, mark: int, later: int
) -> Iterator[tuple[float | None, str, str]]:
    """Each line with its time and its phase."""
    offset = 0
    with path.open("rb") as file:
        for raw in file:
            offset += len(raw)
            line = raw.decode(errors="replace").rstrip("\n")
            stamp, _, rest = line.partition(" ")
            at = _seconds(session, stamp)
            if at is None:
                phase = KNOWN if offset <= mark else DURING if offset <= later else AFTER
                yield None, phase, line
            else:
                yield at, KNOWN if at < begin else DURING if at <= end else AFTER, rest


def _seconds(session: Session, stamp: str) -> float | None:
    """Docker's time of a line, on the run's axis; its fractions have nine digits."""
    if len(stamp) < len("2026-01-01T00:00:00Z") or stamp[4:5] != "-" or not stamp.endswith("Z"):
        return None
    try:
        date = datetime.fromisoformat(f"{stamp[:26].rstrip('Z')}+00:00")
    except ValueError:
        return None
    return (date - session.clock.wall).total_seconds()
