"""Invariants: what holds whenever the system is at rest, looked at before the faults and after everything."""

import operator
import time
from collections.abc import Callable
from dataclasses import replace

from shakedown.errors import ServiceError
from shakedown.observe.probes import ProbeReader
from shakedown.plan.ledgers import Invariant
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.services.docker import ContainerRunner
from shakedown.session.live import Session
from shakedown.verdict import Verdict

__all__ = ["AFTER", "BEFORE", "check_invariants"]

BEFORE, AFTER = "invariants before the faults", "invariants"
WAS_NOT_SO = "it did not hold before any fault"
LOOK_EVERY = 0.5
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, "==": operator.eq, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip


def check_invariants(session: Session, scope: str) -> list[tuple[Verdict, str]]:
    """Look at every invariant until it holds or its time is up; verdicts with their reasons, stored as thresholds.

    Args:
        scope: BEFORE or AFTER. What did not hold before is not the faults' doing, and is said to be so.

    Raises:
        Interrupted: the run is to end.
    """
    stage = "faults" if scope == BEFORE else "recovery"
    earlier = {
        result.text: result for _, known, result in session.results.thresholds(session.run_id) if known == BEFORE
    }
    parts = []
    for name, invariant in session.loaded.plan.invariants.items():
        result = _look(session, name, invariant)
        told = result
        if scope == BEFORE and result.verdict is not Verdict.PASSED:  # it is told, and judged afterwards
            told = replace(result, verdict=Verdict.SKIPPED, reason=f"{WAS_NOT_SO}: {result.reason}")
        session.store.add_thresholds(session.run_id, stage, [told], scope)
        session.check_stop()
        words = f"invariant `{name}`: {_seen(result)}"
        if scope == AFTER and result.verdict is Verdict.FAILED:
            finding = _finding(name, invariant, result, earlier.get(result.text))
            session.find("recovery", finding)
            words = finding.title  # the same words, so that the reason has them once
        elif scope == AFTER and result.verdict is Verdict.INCONCLUSIVE:
            words = title = f"invariant `{name}` could not be looked at"
            session.find("recovery", Finding(Severity.DOUBT, title, result.reason, subject=invariant.service))
        elif scope == BEFORE and result.verdict is not Verdict.PASSED:
            title = f"{words}, before any fault"
            session.find("faults", Finding(Severity.NOTE, title, "", (invariant.text,), subject=invariant.service))
        parts.append((result.verdict, words))
    return parts


def _seen(result: ThresholdResult) -> str:
    if result.actual is None:
        return result.reason
    return (
        f"{result.actual:g}, not {result.reason or 'as it should be'}" if result.verdict is Verdict.FAILED else "holds"
    )


def _finding(name: str, invariant: Invariant, result: ThresholdResult, before: ThresholdResult | None) -> Finding:
    if before is not None and before.verdict is Verdict.SKIPPED and before.actual is not None:
        cause = (
            "it did not hold before any fault either: what is done at the same time writes over each other, as when a value "
            "is read, changed and written back (race)"
        )
    elif before is not None and before.verdict is Verdict.PASSED:
        cause = "it held before the faults, and does not since: something was done by halves (half transaction)"
    else:
        cause = "something was done by halves, or twice; whether it held before the faults is not known (inconsistent)"
    evidence = (
        invariant.text,
        f"{result.actual:g} was seen, {result.limit:g} was to be" if result.actual is not None else "",
    )
    advice = "write what belongs together in one transaction, and count where it is stored"
    title = f"invariant `{name}` does not hold: {_seen(result)}"
    return Finding(Severity.FAILURE, title, cause, tuple(filter(None, evidence)), advice, invariant.service)


def _look(session: Session, name: str, invariant: Invariant) -> ThresholdResult:
    """Look again and again until it holds, or until its time is up."""
    left, right = _reader(session, name, invariant, invariant.sql, invariant.redis), None
    if invariant.equals is not None:
        other = {"sql": invariant.equals} if invariant.sql is not None else {"redis": invariant.equals}
        right = _reader(session, name, invariant, other.get("sql"), other.get("redis"))
    op, limit = invariant.limit or ("==", 0.0)
    text = f"{name}: {invariant.text}"
    until, looks, value, problem = time.monotonic() + invariant.within, 0, None, ""
    try:
        while True:
            looks += 1
            try:
                value, limit = left.read()[name], limit if right is None else right.read()[name]
                problem = ""
            except (ServiceError, KeyError) as error:
                value, problem = None, session.loaded.redactor.redact(str(error))
            if value is not None and _OPERATORS[op](value, limit):
                return ThresholdResult(text, Verdict.PASSED, value, limit, "", looks)
            if time.monotonic() >= until or session.stop.wait(LOOK_EVERY):
                break
    finally:
        for reader in (left, right):
            if reader is not None:
                reader.close()
    if value is None:
        return ThresholdResult(text, Verdict.INCONCLUSIVE, None, limit, "", looks, problem or "it gave no number")
    return ThresholdResult(text, Verdict.FAILED, value, limit, "", looks, f"{op} {limit:g}")


def _reader(session: Session, name: str, invariant: Invariant, sql: str | None, redis: str | None) -> ProbeReader:
    """What reads one side."""
    probe = invariant.model_copy(update={"sql": sql, "redis": redis, "every": LOOK_EVERY / 2})
    inside = session.system.runner(invariant.service)
    return ProbeReader(
        name, probe, session.system.handle(invariant.service), redact=session.loaded.redactor.redact,
        inside=inside.run_inside if isinstance(inside, ContainerRunner) else None,
    )  # fmt: skip
