"""What must have been given back: read when nothing is asked of the services, after the baseline and at the end."""

import time

from shakedown.analysis.compare import compare_idle
from shakedown.plan.freed import Freed
from shakedown.plan.threshold_values import metric_unit
from shakedown.records.judgement import Finding, Severity
from shakedown.records.recovery import Comparison
from shakedown.session.judging import show_value
from shakedown.session.live import Session
from shakedown.units import format_duration, format_share
from shakedown.verdict import Verdict

__all__ = ["judge_freed", "remember_idle"]

SETTLE = 2.0  # seconds without load before the first reading: connections close, buffers are given back
READINGS = 3
PERIOD = 1.0
_CAUSES = {
    "B": ("something is kept for every request, or for what failed, and never given back (memory leak)",
          "look for caches and lists without a bound, and see when it rose"),
    "": ("connections, files, tasks or entries are opened or made, and not closed or removed",
         "look at what is opened for a request and not closed when it fails or is cut off; give entries a time to live"),
}  # fmt: skip


def remember_idle(session: Session) -> None:
    """Read what must be given back later; the baseline's loads are over.

    Raises:
        Interrupted: the run is to end.
    """
    stage = session.loaded.plan.stages.recovery
    if stage is None or not stage.freed:
        return
    session.say("stage", "baseline", "reading what is held while idle")
    _idle(session, SETTLE)
    for reading in range(READINGS):
        if reading:
            _idle(session, PERIOD)
        for name, value in _read(session, stage.freed).items():
            session.idle.setdefault(name, []).append(value)


def judge_freed(session: Session) -> list[tuple[Verdict, str]]:
    """Wait until each is back, as long as it may take; verdicts with their reasons.

    Raises:
        Interrupted: the run is to end.
    """
    stage = session.loaded.plan.stages.recovery
    if stage is None or not stage.freed:
        return []
    session.say("stage", "recovery", "waiting for what must be given back")
    begun = time.monotonic()
    _idle(session, SETTLE)
    waiting = {freed.series: freed for freed in stage.freed}
    found: dict[str, Comparison] = {}
    took: dict[str, float] = {}
    readings: dict[str, list[float]] = {}
    while waiting:
        now = _read(session, list(waiting.values()))
        elapsed = time.monotonic() - begun
        for name, freed in list(waiting.items()):
            if name in now:
                readings.setdefault(name, []).append(now[name])
            found[name], took[name] = _compare(session, freed, readings.get(name, [])), elapsed
            if found[name].verdict is Verdict.PASSED or elapsed >= freed.within + SETTLE:
                del waiting[name]
        if waiting:
            _idle(session, PERIOD)
    order = [freed.series for freed in stage.freed]
    session.store.add_comparisons(session.run_id, [found[name] for name in order])
    return [_told(session, name, found[name], took[name]) for name in order]


def _compare(session: Session, freed: Freed, after: list[float]) -> Comparison:
    source, _, series = freed.series.partition(".")
    return compare_idle(
        source, series, metric_unit(series) or "", session.idle.get(freed.series, []), after, freed.tolerance, freed.least
    )  # fmt: skip


def _told(session: Session, name: str, item: Comparison, took: float) -> tuple[Verdict, str]:
    before, after = show_value(item.before, item.unit), show_value(item.after, item.unit)
    words = f"{name}, idle: {before} after the baseline, {after} at the end"
    if item.verdict is Verdict.INCONCLUSIVE:
        return item.verdict, f"{words} ({item.reason})"
    if item.verdict is Verdict.FAILED:
        title = f"{name} was not given back: {before} → {after}, idle for {format_duration(took)}"
        cause, advice = _CAUSES["B" if item.unit == "B" else ""]
        evidence = (f"tolerance {format_share(item.tolerance)}; {item.reason}", f"{item.samples} readings")
        session.find("recovery", Finding(Severity.FAILURE, title, cause, evidence, advice, item.subject))
        return item.verdict, title
    return item.verdict, words


def _read(session: Session, wanted: list[Freed]) -> dict[str, float]:
    names = {freed.series for freed in wanted}
    samples = session.observer.read_now() if session.observer is not None else []
    return {name: sample.value for sample in samples if (name := f"{sample.source}.{sample.series}") in names}


def _idle(session: Session, seconds: float) -> None:
    session.stop.wait(seconds)
    session.check_stop()
