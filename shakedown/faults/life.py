"""The life of a fault. Whatever happens in it, the fault is reverted and looked for."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from shakedown.errors import FaultError, FaultRefusedError, GuardError, ShakedownError
from shakedown.faults.base import Fault, FaultContext
from shakedown.records.experiment import Injection, Proof
from shakedown.records.observation import Event

__all__ = ["run_fault"]

T = TypeVar("T")

STEP_LIMIT = 30.0
REVERT_SLACK = 15.0
LOOK_EVERY = 0.2
PROOF_SHARE = 0.8  # of the hold time within which the effect must show
GONE_WITHIN = 10.0


def run_fault(
    fault: Fault[Any], record: Injection, hold: float, context: FaultContext, *, subject: str,
    on_event: Callable[[Event], None], save: Callable[[], None], gate: threading.Barrier | None = None,
) -> None:  # fmt: skip
    """Take a fault through its life and note everything in `record`; only what is wrong with *us* is raised.

    Args:
        hold: seconds from the injection to the revert.
        subject: of the events: the experiment's name.
        save: called at every transition, so that a crash leaves what was known.
        gate: faults that are to begin together meet here when their ground is checked. Where one of them is refused,
            none is injected.
    """
    clock = context.clock
    try:
        try:
            _bounded(fault.check, "checking the ground")
        except FaultRefusedError as error:
            record.refused = str(error)
        except (FaultError, ShakedownError) as error:
            record.error = f"before the injection: {error}"
        record.mechanism, record.layers = fault.mechanism, fault.layers
        if not _together(gate, ready=record.refused is None and record.error is None):
            if record.refused is None and record.error is None:
                record.refused = "another fault of this experiment could not be injected"
            return
        deadline = time.time() + hold + REVERT_SLACK
        try:
            what = f"{record.fault} on {record.target}"
            intent = context.journal.intend("fault", what, fault.undo(), deadline)
        except GuardError as error:
            record.refused = f"the undo could not be written down, so nothing was injected: {error}"
            return
    finally:
        save()
    problems: list[str] = []
    try:
        record.asked_at = clock.now()
        _bounded(lambda: fault.inject(deadline), "the injection")
        record.applied_at = clock.now()
        record.layers = fault.layers
        on_event(Event(record.applied_at, "fault.injected", subject, f"injected: {what}"))
        save()
        _hold(fault, record, hold, context)
    except Exception as error:  # noqa: BLE001 - the revert below must run, and tell of both if it fails too
        problems.append(str(error))
    finally:
        record.revert_asked_at = clock.now()
        _revert(fault, record, context, problems)
        if record.reverted_at is not None:
            on_event(Event(record.reverted_at, "fault.reverted", subject, f"reverted: {what}"))
        if (record.gone is not None and record.gone.held) or _vanished(context, record.target):
            _strike(context, intent.id, problems)
        record.error = "; ".join(problems) or None
        save()


def _together(gate: threading.Barrier | None, *, ready: bool) -> bool:
    """Wait for the faults that begin at the same time; whether all of them are ready."""
    if gate is None:
        return ready
    if not ready:
        gate.abort()
        return False
    try:
        gate.wait(STEP_LIMIT)
    except threading.BrokenBarrierError:
        return False
    return True


def _hold(fault: Fault[Any], record: Injection, hold: float, context: FaultContext) -> None:
    """Let the fault last, and look for its effect until it shows."""
    until = context.clock.monotonic((record.applied_at or 0.0) + hold)
    prove_until = time.monotonic() + hold * PROOF_SHARE
    while time.monotonic() < until and not context.ending:
        if (record.effect is None or not record.effect.held) and time.monotonic() < prove_until:
            record.effect = _bounded(fault.effect, "the proof of effect")
            if record.effect.held:
                record.proved_at = context.clock.now()
        context.stop.wait(max(min(LOOK_EVERY, until - time.monotonic()), 0.0))
    if record.effect is None:
        record.effect = Proof(held=False, evidence="the fault ended before its effect was looked for")


def _revert(fault: Fault[Any], record: Injection, context: FaultContext, problems: list[str]) -> None:
    for attempt in (1, 2):
        try:
            _bounded(fault.revert, "the revert")
            record.reverted_at = context.clock.now()
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
    if target not in context.system.plan.services:  # it acted on none
        return False
    try:
        context.container(target)
    except FaultRefusedError:  # no container: nothing says that it is gone
        return False
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
