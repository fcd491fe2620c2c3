"""Users whose iterations are tasks on the worker's loop: the base of every driver beside HTTP/1.1.

An iteration measures operations. The first one's response time counts from the iteration's intended start, that of
each later one from where the driver says (plans: where the one before ended). When the iteration ends, however it
does, nothing more is recorded through it: a task that still tidies up, or a thread that was left behind, talks to
nobody. That is what keeps the counts exact.
"""

import asyncio
import errno
import math
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from shakedown.errors import LoadError
from shakedown.plan.secrets import Redactor, scenario_secrets
from shakedown.records.ledger import Acknowledgement, LedgerNote
from shakedown.records.load import Outcome

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["AsyncDriver", "AsyncVu", "Failure", "Iteration", "Running", "transport_failure"]

TIDY_LIMIT = 5.0
# What this machine, not the service, has run out of.
OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
# An operation that failed in one of these ways has changed nothing in the service.
NEVER_DONE = frozenset({"refused", "dns", "auth"})

UNSENT = ("pool", "connect")
LACKING = {
    "pool": "free connection", "connect": "connection", "function": "return", "total": "whole answer",
}  # fmt: skip


class Failure(Exception):  # noqa: N818 - an outcome that is recorded, never an error of ours
    """An operation failed in a known way.

    Attributes:
        kind: refused, reset, closed, protocol, check, constraint, ….
        answered: whether the service answered, however it did.
        undone: whether it is certain that nothing of it was kept.
    """

    def __init__(self, kind: str, text: str, *, answered: bool = False, undone: bool | None = None) -> None:
        super().__init__(text)
        self.kind, self.text, self.answered = kind, text, answered
        self.undone = kind in NEVER_DONE if undone is None else undone


class Running:
    """One operation under way.

    Attributes:
        due, begun: from when its response time counts, and when it truly began.
        sent: from when its service time counts; until `mark_sent`, its begin.
        phase: what it waits for: `connect`, `pool`, `response` or `function`; a time-out says so.
    """

    __slots__ = ("begun", "deadline", "due", "ledger", "limit", "name", "noted", "phase", "remark", "sent")

    def __init__(self, name: str, due: float, begun: float, limit: float) -> None:
        self.name, self.due, self.begun, self.sent = name, due, begun, begun
        self.limit, self.deadline = limit, begun + limit
        self.phase = "response"
        self.remark = ""  # added to what is said of its time-out
        self.ledger: str | None = None
        self.noted = 0  # its number in the ledger

    def mark_sent(self) -> None:
        """A connection is there: from here the service is at work."""
        self.sent, self.phase = time.monotonic(), "response"


class Iteration:
    """One pass of a user.

    Attributes:
        over: nothing is recorded through it any more.
        outcome: as it stands: that of its first operation that was not right.
        last: when its last operation ended; before that, its intended start.
    """

    def __init__(self, vu: "AsyncVu", due: float, number: int, *, warm_up: bool) -> None:
        self.vu, self.number, self.warm_up = vu, number, warm_up
        self.over = False
        self.outcome = Outcome.OK
        self.last = due
        self.first = True
        self.names: dict[str, object] = {}
        self._engine = vu.driver.engine
        self._running: list[Running] = []

    @property
    def under_way(self) -> list[Running]:
        """Its operations that have not ended."""
        return list(self._running)

    def start(
        self, name: str, limit: float, *, begun: float | None = None, chained: bool = True,
        ledger: str | None = None, note: LedgerNote | None = None,
    ) -> Running:  # fmt: skip
        """An operation begins.

        Args:
            limit: its time-out, seconds.
            begun: when; default: now.
            chained: its response time counts from the end of the one before; else from its own begin. The first one's
                always counts from the iteration's intended start.
            note: what the ledger is told of it.

        Raises:
            LoadError: the ledger cannot be written.
        """
        begun = time.monotonic() if begun is None else begun
        running = Running(name, self.last if chained or self.first else begun, begun, limit)
        self.first = False
        if not self.over:
            self._running.append(running)
            if ledger is not None and note is not None:
                running.noted = self._engine.ledgers[ledger].sent(note, self._engine.at(begun))
                running.ledger = ledger
            self._watch()
        return running

    def now_waits_for(self, running: Running, phase: str, limit: float, deadline: float) -> None:
        """An operation enters a phase with a limit of its own."""
        running.phase, running.limit, running.deadline = phase, limit, deadline
        if running in self._running and not self.over:
            self._watch()

    def succeed(self, running: Running, size: int = 0, *, ended: float | None = None) -> None:
        """It went as it should."""
        self._end(running, Outcome.OK, Acknowledgement.ACKNOWLEDGED, size=size, ended=ended)

    def fail(self, running: Running, failure: Failure, size: int = 0, *, ended: float | None = None) -> None:
        """It failed, and with it the iteration."""
        undone = failure.undone or running.phase in UNSENT
        known = Acknowledgement.REFUSED if undone else Acknowledgement.UNKNOWN
        self._end(running, Outcome.FAILED, known, failure, size=size, ended=ended)

    def cut(self, now: float, *, everything: bool) -> None:
        """End what is under way: what is past its deadline as timed out, the rest as cancelled.

        Args:
            everything: nothing has timed out; all of it is cancelled.
        """
        for running in list(self._running):
            known = Acknowledgement.REFUSED if running.phase in UNSENT else Acknowledgement.UNKNOWN
            if not everything and running.deadline <= now:
                lacking = LACKING.get(running.phase, "answer")
                failure = Failure(
                    f"timeout-{running.phase}", f"no {lacking} within {running.limit:g} s{running.remark}"
                )
                self._end(running, Outcome.TIMED_OUT, known, failure, ended=now)
            else:
                self._end(running, Outcome.CANCELLED, known, ended=now)

    def _end(
        self, running: Running, outcome: Outcome, known: Acknowledgement, failure: Failure | None = None,
        *, size: int = 0, ended: float | None = None,
    ) -> None:  # fmt: skip
        if self.over or running not in self._running:
            return
        now = time.monotonic() if ended is None else ended
        self._running.remove(running)
        engine = self._engine
        answered = failure is None or failure.answered
        cell = engine.recorder.cell(running.name, outcome, answered=answered, warm_up=self.warm_up)
        cell.add(running.due, running.sent, now, size)
        if failure is not None:
            text = self.vu.driver.redactor.redact(failure.text)
            engine.recorder.error(failure.kind, running.name, engine.at(now), text)
        if running.ledger is not None:
            engine.ledgers[running.ledger].ended(running.noted, engine.at(now), known)
        if self.outcome is Outcome.OK:
            self.outcome = outcome
        self.last = now
        self._watch()

    def _watch(self) -> None:
        """Have the engine look at the earliest deadline."""
        self.vu.deadline = min((running.deadline for running in self._running), default=self.vu.idle_deadline())


class AsyncVu:
    """A user of an async driver; see `vu.Vu`. A driver's own gives `iterate`, `abandon` and `close`."""

    def __init__(self, number: int, driver: "AsyncDriver") -> None:
        self.number, self.driver = number, driver
        self.busy = False
        self.deadline = math.inf
        self._iteration: Iteration | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, due: float, iteration: int, *, warm_up: bool) -> None:
        """Start an iteration that was due at `due` (monotonic)."""
        self.busy = True
        made = self._iteration = Iteration(self, due, iteration, warm_up=warm_up)
        self._task = self.driver.task(self._run(made))

    async def _run(self, iteration: Iteration) -> None:
        engine = self.driver.engine
        try:
            iteration.names = engine.context.names(iteration.number, self.number)
            await self.iterate(iteration)
        except LoadError as error:
            self._break(iteration, error)
        except Exception as error:  # noqa: BLE001 - an iteration must end, and a driver that breaks must say so
            self._break(
                iteration, LoadError(f"the {engine.spec.work.driver} driver broke: {type(error).__name__}: {error}")
            )
        if not iteration.over:
            self._finish(iteration, iteration.outcome)

    def _break(self, iteration: Iteration, error: LoadError) -> None:
        if not iteration.over:
            iteration.cut(time.monotonic(), everything=True)
            iteration.outcome = Outcome.CANCELLED
            self.driver.engine.give_up(error)

    def time_out(self) -> None:
        """What is under way took too long."""
        iteration = self._iteration
        if iteration is None or iteration.over:
            self.deadline = math.inf
            return
        self.timed_out(iteration, time.monotonic())
        self._leave(iteration, Outcome.TIMED_OUT)

    def timed_out(self, iteration: Iteration, now: float) -> None:
        """Record the time-out; a driver may have more to say."""
        iteration.cut(now, everything=False)

    def cancel(self) -> None:
        """The load is over: cut off what is under way."""
        iteration = self._iteration
        if iteration is not None and not iteration.over:
            iteration.cut(time.monotonic(), everything=True)
            self._leave(iteration, Outcome.CANCELLED)

    def _leave(self, iteration: Iteration, outcome: Outcome) -> None:
        """End an iteration whose task is still at work; the task goes on tidying up, and is heard no more."""
        iteration.over = True
        if self._task is not None:
            self._task.cancel()
        self.abandon()
        self._finish(iteration, outcome)

    def _finish(self, iteration: Iteration, outcome: Outcome) -> None:
        iteration.over = True
        self._iteration = self._task = None
        self.busy, self.deadline = False, math.inf
        self.driver.engine.iteration_ended(self, outcome)

    # ------------------------------------------------------------------------------------------------ of each driver's
    async def iterate(self, iteration: Iteration) -> None:
        """One iteration; it returns when it is through, or when an operation was not right.

        Raises:
            LoadError: it cannot be done as the plan has it.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """The task under way is cut off: what it holds (a connection) is no longer this user's."""

    def idle_deadline(self) -> float:
        """The deadline while an iteration goes on and no operation is under way."""
        return math.inf

    def close(self) -> None:
        """Give back what is held; the user may be asked for more iterations later."""


class AsyncDriver:
    """What the users of a scenario share; see `vu.Driver`.

    Attributes:
        redactor: takes the plan's secrets out of what is said of errors.
    """

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        work = engine.spec.work
        self.redactor = Redactor({*scenario_secrets(work), *work.secrets})
        self._tasks: set[asyncio.Task[None]] = set()

    def task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that `close` waits for."""
        task = self.engine.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def open(self) -> None:
        """Nothing has to be there beforehand."""

    def vu(self, number: int) -> AsyncVu:
        """A new user."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let tasks tidy up, for a moment."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=TIDY_LIMIT)
        for task in list(self._tasks):
            task.cancel()
        await self.tidy(self._release())

    async def _release(self) -> None:
        """Give back what the users share."""

    @staticmethod
    async def tidy(work: Coroutine[Any, Any, None]) -> None:
        """Do what belongs to closing: bounded, and what goes wrong in it is no outcome of the load any more."""
        try:
            async with asyncio.timeout(TIDY_LIMIT):
                await work
        except Exception:  # noqa: BLE001 - a server that is gone cannot be taken leave of
            return


def transport_failure(error: BaseException) -> Failure:
    """What went wrong below the answer's contents, named as the HTTP driver names it."""
    text = str(error) or type(error).__name__
    match error:
        case ConnectionRefusedError():
            return Failure("refused", text)
        case ConnectionError():
            return Failure("reset", text)
        case asyncio.IncompleteReadError() | EOFError():
            return Failure("closed", "the server closed the connection")
        case OSError() if error.errno in OWN_LIMITS:
            return Failure("local", text)
        case OSError() if type(error).__name__ == "gaierror":
            return Failure("dns", text)
        case OSError() if type(error).__module__ == "ssl":
            return Failure("tls", text)
    return Failure("connect", text)
