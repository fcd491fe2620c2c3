"""The life of a fault. Whatever happens in it, the fault is reverted and looked for."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from shakedown.errors import FaultError, FaultRefusedError, GuardError, ShakedownError
from shakedown.faults.base import Fault, FaultContext
from shakedown.records.experiment import ExperimentRecord, Proof
from shakedown.records.observation import Event

__all__ = ["run_fault"]

T = TypeVar("T")

STEP_LIMIT = 30.0
REVERT_SLACK = 15.0
LOOK_EVERY = 0.2
PROOF_SHARE = 0.8  # of the hold time within which the effect must show
GONE_WITHIN = 10.0


def run_fault(
    fault: Fault, record: ExperimentRecord, hold: float, context: FaultContext, on_event: Callable[[Event], None],
    save: Callable[[ExperimentRecord], None],
) -> None:  # fmt: skip
    """Take a fault through its life and note everything in `record`; only what is wrong with *us* is raised.

    Args:
        hold: seconds from the injection to the revert.
        save: called at every transition, so that a crash leaves what was known.
    """
    clock = context.clock
    try:
        _bounded(fault.check, "checking the ground")
    except FaultRefusedError as error:
        record.refused = str(error)
        save(record)
        return
    except (FaultError, ShakedownError) as error:
        record.error = f"before the injection: {error}"
        save(record)
        return
    record.mechanism, record.layers = fault.mechanism, fault.layers
    deadline = time.time() + hold + REVERT_SLACK
    try:
        intent = context.journal.intend("fault", f"{record.fault} on {record.target}", fault.undo(), deadline)
    except GuardError as error:
        record.refused = f"the undo could not be written down, so nothing was injected: {error}"
        save(record)
        return
    problems: list[str] = []
    save(record)
    try:
        record.asked_at = clock.now()
        _bounded(lambda: fault.inject(deadline), "the injection")
        record.applied_at = clock.now()
        record.layers = fault.layers
        on_event(
            Event(record.applied_at, "fault.injected", record.name, f"injected: {record.fault} on {record.target}")
        )
        save(record)
        _hold(fault, record, hold, context)
    except Exception as error:  # noqa: BLE001 - the revert below must run, and tell of both if it fails too
        problems.append(str(error))
    finally:
        record.revert_asked_at = clock.now()
        _revert(fault, record, context, problems, on_event)
        if (record.gone is not None and record.gone.held) or _vanished(context, record.target):
            _strike(context, intent.id, problems)
        record.error = "; ".join(problems) or None
        save(record)


def _hold(fault: Fault, record: ExperimentRecord, hold: float, context: FaultContext) -> None:
    """Let the fault last, and look for its effect until it shows."""
    until = context.clock.monotonic((record.applied_at or 0.0) + hold)
    prove_until = time.monotonic() + hold * PROOF_SHARE
    while time.monotonic() < until and not context.stop.is_set():
        if (record.effect is None or not record.effect.held) and time.monotonic() < prove_until:
            record.effect = _bounded(fault.effect, "the proof of effect")
            if record.effect.held:
                record.proved_at = context.clock.now()
        context.stop.wait(max(min(LOOK_EVERY, until - time.monotonic()), 0.0))
    if record.effect is None:
        record.effect = Proof(held=False, evidence="the fault ended before its effect was looked for")


def _revert(
    fault: Fault,
    record: ExperimentRecord,
    context: FaultContext,
    problems: list[str],
    on_event: Callable[[Event], None],
) -> None:
    for attempt in (1, 2):
        try:
            _bounded(fault.revert, "the revert")
            record.reverted_at = context.clock.now()
            on_event(
                Event(record.reverted_at, "fault.reverted", record.name, f"reverted: {record.fault} on {record.target}")
            )
            break
        except Exception as error:  # noqa: BLE001 - tried twice; then the journal's undo is the watchdog's and cleanup's
            problems.append(f"revert, attempt {attempt}: {error}")
    until = time.monotonic() + GONE_WITHIN
    while True:
        try:
            record.gone = _bounded(fault.gone, "the proof of absence")
        except Exception as error:  # noqa: BLE001 - not proved is not gone
            record.gone = Proof(held=False, evidence=str(error))
        if record.gone.held or time.monotonic() > until:
            break
        time.sleep(LOOK_EVERY)
    if record.gone.held:
        record.gone_at = context.clock.now()
    else:
        problems.append(f"not proved gone: {record.gone.evidence}")


def _vanished(context: FaultContext, target: str) -> bool:
    """Whether the target itself is gone, and with it whatever the fault did to it."""
    try:
        context.container(target)
    except FaultError:
        return True
    return False


def _strike(context: FaultContext, intent: str, problems: list[str]) -> None:
    try:
        context.journal.strike(intent)
    except GuardError as error:
        problems.append(str(error))


def _bounded(step: Callable[[], T], what: str, limit: float = STEP_LIMIT) -> T:
    """Run a step in a thread of its own: one that hangs must not keep the revert from running.

    Raises:
        FaultError: it did not end in time.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(step())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name=f"fault-{what}", daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise FaultError(f"{what} did not end within {limit:g} s")
    if failure:
        raise failure[0]
    return outcome[0]
