"""The life of a fault. Whatever happens in it, the fault is reverted and looked for."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from shakedown.errors import FaultError, FaultRefusedError, GuardError, ShakedownError
from shakedown.faults.base import Fault, FaultContext
from shakedown.guard.journal import Intent
from shakedown.records.experiment import Injection, Proof
from shakedown.records.observation import Event

__all__ = ["Gate", "run_fault"]

T = TypeVar("T")

STEP_LIMIT = 30.0
REVERT_SLACK = 15.0
LOOK_EVERY = 0.2
PROOF_SHARE = 0.8  # of the hold time within which the effect must show
LAST_LOOK = 0.5  # seconds before the end of the hold at which the effect is looked for again, at most; and this share:
LAST_SHARE = 0.1
GONE_WITHIN = 10.0
INJECTION_PATIENCE = 3.0  # once everything is to end, an injection gets this long to end by itself
PROOF_OVERRUN = 3.0  # a proof that is under way when the hold time ends may prolong it by this
PROOF_PATIENCE = 0.1  # and a proof of effect, which changes nothing, this long


class Gate:
    """Where faults that begin at the same time wait for each other; where one cannot begin, none does."""

    def __init__(self, faults: int) -> None:
        self._barrier = threading.Barrier(faults)
        self._problem = ""

    def meet(self, who: str, problem: str | None) -> str | None:
        """Wait for the others; why it must not go on, None when all are ready."""
        if problem is not None:
            self._problem = self._problem or f"{who}, which was to begin at the same time, cannot: {problem}"
            self._barrier.abort()
            return problem
        try:
            self._barrier.wait(2 * STEP_LIMIT)
        except threading.BrokenBarrierError:
            return self._problem or "the faults that were to begin at the same time did not get ready"
        return None


class _LateError(FaultError):
    """A step that did not end in time, and perhaps still goes on in its thread."""

    def __init__(self, text: str, thread: threading.Thread) -> None:
        super().__init__(text)
        self.thread = thread


def run_fault(
    fault: Fault[Any], record: Injection, hold: float, context: FaultContext, *, subject: str,
    on_event: Callable[[Event], None], save: Callable[[], None], gate: Gate | None = None,
) -> None:  # fmt: skip
    """Take a fault through its life and note everything in `record`; only what is wrong with *us* is raised.

    Args:
        hold: seconds from the injection to the revert.
        subject: of the events: the experiment's name.
        save: called at every transition, so that a crash leaves what was known.
        gate: faults that are to begin together meet here twice: when their ground is checked, and when their undo is on
            disk. Where one of them is refused, none is injected.
    """
    clock = context.clock

    def keep() -> None:
        _cover(record, context.redact)
        save()

    what = f"{record.fault} on {record.target}"
    gate = gate or Gate(1)
    try:
        intent, deadline = _prepare(fault, record, hold, context, gate, what)
    finally:
        keep()
    if intent is None:
        return
    problems: list[str] = []
    late: threading.Thread | None = None
    try:
        record.asked_at = clock.now()
        _bounded(lambda: fault.inject(deadline), "the injection", over=lambda: context.ending)
        record.applied_at = clock.now()
        record.layers = fault.layers
        on_event(Event(record.applied_at, "fault.injected", subject, f"injected: {what}"))
        keep()
        _hold(fault, record, hold, context)
    except Exception as error:  # noqa: BLE001 - the revert below must run, and tell of both if it fails too
        problems.append(_words(error))
        context.halt.set()  # without one of its faults an experiment is none: the others end as well
        late = error.thread if isinstance(error, _LateError) and record.applied_at is None else None
    finally:
        record.revert_asked_at = clock.now()
        _revert(fault, record, context, problems)
        if late is not None:  # it may have ended after the revert
            late.join(INJECTION_PATIENCE)
            if not late.is_alive():
                _revert(fault, record, context, problems)
        if late is not None and late.is_alive():
            problems.append("the injection still hangs; its undo stays in the journal, for the watchdog and `cleanup`")
            record.gone = Proof(held=False, evidence="the injection may still take effect")
        elif (record.gone is not None and record.gone.held) or _vanished(context, record.target):
            _strike(context, intent, problems)
        if record.reverted_at is not None:
            reverted = Event(record.reverted_at, "fault.reverted", subject, f"reverted: {what}")
            _noted(lambda: on_event(reverted), problems)
        record.error = "; ".join(problems) or None
        keep()


def _prepare(
    fault: Fault[Any], record: Injection, hold: float, context: FaultContext, gate: Gate, what: str
) -> tuple[Intent | None, float]:
    """Check the ground and write the undo down; no intent when the fault must not be injected, as the record says."""
    try:
        _bounded(fault.check, "checking the ground", over=lambda: context.ending)
    except FaultRefusedError as error:
        record.refused = _words(error)
    except Exception as error:  # noqa: BLE001 - whatever it is: nothing was touched, and the others are not kept waiting
        record.error = f"before the injection: {_words(error)}"
    record.mechanism, record.layers = fault.mechanism, fault.layers
    problem = gate.meet(what, record.refused or record.error)
    deadline = time.time() + hold + REVERT_SLACK
    intent: Intent | None = None
    if problem is None:
        try:
            intent = context.journal.intend("fault", what, fault.undo(), deadline)
        except GuardError as error:
            problem = f"the undo could not be written down, so nothing was injected: {error}"
        except Exception as error:  # noqa: BLE001 - as above
            problem = f"there is no undo, so nothing was injected: {_words(error)}"
        if problem is None and context.ending:
            problem = "everything was to end before it began"
        problem = gate.meet(what, problem)
    if problem is None:
        return intent, deadline
    if intent is not None:
        struck: list[str] = []
        _strike(context, intent, struck)
        record.error = "; ".join(struck) or None
    if record.error is None:
        record.refused = problem
    return None, deadline


def _hold(fault: Fault[Any], record: Injection, hold: float, context: FaultContext) -> None:
    """Let the fault last, look for its effect until it shows, and once more when it is nearly over."""
    until = context.clock.monotonic((record.applied_at or 0.0) + hold)
    prove_until = time.monotonic() + hold * PROOF_SHARE
    last_look = until - min(LAST_LOOK, hold * LAST_SHARE)
    while time.monotonic() < last_look and not context.ending:
        if (record.effect is None or not record.effect.held) and time.monotonic() < prove_until:
            left = min(until - time.monotonic() + PROOF_OVERRUN, STEP_LIMIT)
            try:
                record.effect = _bounded(
                    fault.effect, "the proof of effect", left, over=lambda: context.ending, patience=PROOF_PATIENCE
                )
            except _LateError as error:  # the fault must not last longer because nobody can say what it does
                record.effect = Proof(held=False, evidence=_words(error))
                continue
            if record.effect.held:
                record.proved_at = context.clock.now()
        context.stop.wait(max(min(LOOK_EVERY, last_look - time.monotonic()), 0.0))
    if not context.ending:
        _look_again(fault, record, context)
    while time.monotonic() < until and not context.ending:
        context.stop.wait(max(min(LOOK_EVERY, until - time.monotonic()), 0.0))
    if record.effect is None:
        record.effect = Proof(held=False, evidence="the fault ended before its effect was looked for")
    if not context.ending and (lost := _bounded(context.agents.lost, "looking for the agents")) is not None:
        raise FaultError(f"the fault did not last for its time: {lost}")


def _look_again(fault: Fault[Any], record: Injection, context: FaultContext) -> None:
    """Whether it lasted. What is counted to the end replaces what was counted when it first showed."""
    try:
        proof = _bounded(
            fault.still, "the proof that it lasted", PROOF_OVERRUN, over=lambda: context.ending, patience=PROOF_PATIENCE
        )
    except Exception as error:  # noqa: BLE001 - not proved to have lasted is not held
        if context.ending:  # cut short: the first look counts, as with any fault that is ended early
            return
        proof = Proof(held=False, evidence=_words(error))
    if proof is None:
        return
    if record.effect is not None and record.effect.held and not proof.held:
        proof = replace(proof, evidence=f"it was in effect, but not to the end: {proof.evidence}")
    if proof.held and record.proved_at is None:
        record.proved_at = context.clock.now()
    record.effect = proof


def _revert(fault: Fault[Any], record: Injection, context: FaultContext, problems: list[str]) -> None:
    for attempt in (1, 2):
        try:
            _bounded(fault.revert, "the revert")
            record.reverted_at = context.clock.now()
            break
        except Exception as error:  # noqa: BLE001 - tried twice; then the journal's undo is the watchdog's and cleanup's
            problems.append(f"revert, attempt {attempt}: {_words(error)}")
    until = time.monotonic() + GONE_WITHIN
    while True:
        try:
            record.gone = _bounded(fault.gone, "the proof of absence")
        except Exception as error:  # noqa: BLE001 - not proved is not gone
            record.gone = Proof(held=False, evidence=_words(error))
        if record.gone.held or time.monotonic() > until:
            break
        time.sleep(LOOK_EVERY)
    if record.gone.held:
        record.gone_at = context.clock.now()
    else:
        problems.append(f"not proved gone: {record.gone.evidence}")


def _cover(record: Injection, redact: Callable[[str], str]) -> None:
    """Take secrets out of all that is said: a proof's command may print what it was given."""
    for name in ("parameters", "mechanism", "refused", "error"):
        if (text := getattr(record, name)) is not None:
            setattr(record, name, redact(text))
    for name in ("effect", "gone"):
        if (proof := getattr(record, name)) is not None:
            setattr(record, name, replace(proof, evidence=redact(proof.evidence)))


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
    except Exception:  # noqa: BLE001 - the engine itself does not answer: nothing says that it is gone
        return False
    return False


def _strike(context: FaultContext, intent: Intent, problems: list[str]) -> None:
    try:
        context.journal.strike(intent.id)
    except GuardError as error:
        problems.append(str(error))


def _noted(step: Callable[[], None], problems: list[str]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - a full disk must not hide how the fault ended
        problems.append(_words(error))


def _words(error: BaseException) -> str:
    """An error in words; one that is not ours says which it is."""
    return str(error) if isinstance(error, ShakedownError) else f"{type(error).__name__}: {error}"


def _bounded(
    step: Callable[[], T], what: str, limit: float | None = None, *, over: Callable[[], bool] = lambda: False,
    patience: float = INJECTION_PATIENCE,
) -> T:  # fmt: skip
    """Run a step in a thread of its own: one that hangs must not keep the revert from running.

    Args:
        limit: seconds; `STEP_LIMIT` when not given.
        over: whether everything is to end; then the step gets no longer than `patience`.

    Raises:
        _LateError: it did not end in time.
    """
    limit = STEP_LIMIT if limit is None else limit
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(step())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name=f"fault-{what}", daemon=True)
    thread.start()
    until = time.monotonic() + limit
    ending = False
    while thread.is_alive() and (left := until - time.monotonic()) > 0:
        if not ending and over():
            ending, until = True, min(until, time.monotonic() + patience)
            continue
        thread.join(min(left, LOOK_EVERY / 2))
    if thread.is_alive():
        raise _LateError(
            f"{what} did not end {'when everything was to end' if ending else f'within {limit:g} s'}", thread
        )
    if failure:
        raise failure[0]
    return outcome[0]
