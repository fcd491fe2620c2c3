"""Functions of one's own: each iteration is a call, each operation in it is measured by its name.

Async functions run on the worker's loop; all others in a thread of their user. A call that does not return in time is
counted as timed out. An async one is cancelled; a thread cannot be stopped: it is left behind, the error says so, and
its user goes on in a new one. The load is given up when too many have been left.
"""

import asyncio
import contextlib
import importlib
import inspect
import random
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shakedown.errors import LoadError
from shakedown.ledgers.digest import digest_of
from shakedown.load.drivers.stdio import part_streams, users_own
from shakedown.load.drivers.threads import Ended, UserThread
from shakedown.load.drivers.users import AsyncDriver, AsyncVu, Failure, Iteration, Running
from shakedown.plan.drivers import Python
from shakedown.plan.executors import ClosedModel
from shakedown.records.ledger import LedgerNote
from shakedown.user import Measured, User

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["PythonDriver"]

MOST_LEFT = 100
_DRAWN = -3  # the part of an iteration's randomness that functions draw from
Function = Callable[[User], object]


class PythonDriver(AsyncDriver):
    """The functions, and how many of their threads were left behind."""

    def __init__(self, engine: "Engine", python: Python) -> None:
        super().__init__(engine)
        self.python = python
        self.function: Function
        self.setup: Function | None = None
        self.teardown: Function | None = None
        self.left = 0

    async def open(self) -> None:
        """Import the functions.

        Raises:
            LoadError: one of them is not there, or is no function that can be called so.
        """
        part_streams()
        folder = str((Path(self.engine.spec.base) / self.python.path).resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        with users_own():
            self.function = _import(self.python.function, folder)
            self.setup = _import(self.python.setup, folder) if self.python.setup else None
            self.teardown = _import(self.python.teardown, folder) if self.python.teardown else None

    def vu(self, number: int) -> "PythonVu":
        """A new user."""
        return PythonVu(number, self)

    def leave_one(self) -> None:
        """One more thread is left behind."""
        self.left += 1
        if self.left > MOST_LEFT:
            self.engine.give_up(
                LoadError(
                    f"{self.left} calls of {self.python.function} did not return within {self.python.timeout:g} s, and their threads go on",
                    hint="give what it calls a time-out of its own, or make it async",
                )
            )


class PythonVu(AsyncVu):
    """A user that calls a function."""

    driver: PythonDriver

    def __init__(self, number: int, driver: PythonDriver) -> None:
        super().__init__(number, driver)
        self._user: User | None = None
        self._thread: UserThread | None = None
        self._in_thread = False  # whether the thread is at work for the iteration under way
        self._idle_since = 0.0

    # ------------------------------------------------------------------------------------------------------ iterations
    async def iterate(self, iteration: Iteration) -> None:
        """One call."""
        driver = self.driver
        python, name = driver.python, driver.python.own_name
        self._idle_since = time.monotonic()
        self.deadline = self.idle_deadline()
        user = self._user
        if user is None:
            user = self._new_user(iteration)
            if driver.setup is not None:
                _, error = await self._call(driver.setup, user)
                if error is not None:
                    self._fail(iteration, None, error, "setup: ")
                    return
                if isinstance(driver.engine.spec.executor, ClosedModel) and not iteration.over:
                    iteration.last = time.monotonic()  # nobody was waiting for it
            if iteration.over:
                return
            self._user = user
        self._prepare(user, iteration)
        whole = None if python.operations else iteration.start(name, python.timeout, chained=False)
        if whole is not None:
            whole.phase = "function"
        given, error = await self._call(driver.function, user)
        if inspect.isawaitable(given):
            raise LoadError(f"{python.function} gave something to be awaited: write it as `async def`")
        sink = cast("_Listener", user._sink)  # noqa: SLF001 - ours
        if error is not None and not sink.told(error):
            self._fail(iteration, whole, error)
        elif whole is not None:
            iteration.succeed(whole)
        for running in sink.unfinished():
            iteration.fail(running, Failure("unfinished", "the function returned inside this operation", answered=True))

    def _new_user(self, iteration: Iteration) -> User:
        target = self.driver.engine.spec.target
        number = iteration.names.get("vu", self.number)
        made = User(cast("int", number), host=target.host if target else None, port=target.port if target else None)
        made._sink = _Listener(self)  # noqa: SLF001 - ours
        self._prepare(made, iteration)
        return made

    def _prepare(self, user: User, iteration: Iteration) -> None:
        drawn = self.driver.engine.context.start(iteration.number, _DRAWN).getrandbits(64)
        user.iteration, user.random = iteration.number, random.Random(drawn)  # noqa: S311 - repeatable data
        user.row = cast("dict[str, object]", iteration.names.get("row", {}))
        cast("_Listener", user._sink).listen(iteration)  # noqa: SLF001 - ours

    async def _call(self, function: Function, user: User) -> Ended:
        """Call one of the user's functions, where it belongs."""
        if inspect.iscoroutinefunction(function):
            with users_own():
                try:
                    return await cast("Awaitable[object]", function(user)), None
                except asyncio.CancelledError as error:
                    if asyncio.current_task() is not None and asyncio.current_task().cancelling():  # type: ignore[union-attr]
                        raise
                    return None, error
                except BaseException as error:  # noqa: BLE001 - `sys.exit()` ends the call, not the worker
                    return None, error
        if self._thread is None:
            self._thread = UserThread(self.driver.engine.loop, f"user {self.number}")
        self._in_thread = True
        ended = await self._thread.call(_as_users_own, function, user)
        self._in_thread = False
        return ended

    def _fail(self, iteration: Iteration, running: Running | None, error: BaseException, where: str = "") -> None:
        """Something failed outside of what is measured: it counts as the call's own operation."""
        if running is None:
            running = iteration.start(self.driver.python.own_name, self.driver.python.timeout, chained=False)
        iteration.fail(running, _failure(error, where))

    # -------------------------------------------------------------------------------------------------------- endings
    def idle_deadline(self) -> float:
        """What the function does between its operations has the same time as one of them."""
        self._idle_since = time.monotonic()
        return self._idle_since + self.driver.python.timeout

    def timed_out(self, iteration: Iteration, now: float) -> None:
        """Record the time-out, under the call's own name when no operation was under way."""
        if not iteration.under_way:
            running = iteration.start(
                self.driver.python.own_name, self.driver.python.timeout, begun=self._idle_since, chained=False
            )
            running.phase = "function"
        for running in iteration.under_way:
            running.remark = "; its thread was left behind" if self._in_thread else ""
        iteration.cut(now, everything=False)

    def abandon(self) -> None:
        """A thread that is at work goes on by itself; the user begins anew in another one."""
        if self._in_thread:
            self.driver.leave_one()
            if self._thread is not None:
                self._thread.stop()
            self._thread, self._in_thread = None, False
        self._user = None

    def close(self) -> None:
        """Tear the user down, and end its thread."""
        user, thread = self._user, self._thread
        self._user = None
        if user is not None and self.driver.teardown is not None:
            self.driver.task(self.driver.tidy(self._tear_down(user)))
        elif thread is not None:
            thread.stop()
            self._thread = None

    async def _tear_down(self, user: User) -> None:
        driver = self.driver
        assert driver.teardown is not None  # noqa: S101 - whoever calls looked
        _, error = await self._call(driver.teardown, user)
        if error is not None:
            engine, failure = driver.engine, _failure(error, "teardown: ")
            engine.recorder.error(failure.kind, driver.python.own_name, engine.at(time.monotonic()), failure.text)
        if self._thread is not None and self._user is None:
            self._thread.stop()
            self._thread = None


class _Listener:
    """Hears a user's operations, in whatever thread they are, and tells the loop's thread.

    What is told comes in its order, and before the end of the call itself.
    """

    def __init__(self, vu: PythonVu) -> None:
        self._vu, self._driver = vu, vu.driver
        self._names = frozenset(vu.driver.python.operations)
        self._loop = vu.driver.engine.loop
        self._iteration: Iteration | None = None
        self._running: dict[Measured, Running] = {}
        self._errors: list[BaseException] = []

    def listen(self, iteration: Iteration) -> None:
        """From now on, for this iteration."""
        self._iteration = iteration
        self._running, self._errors = {}, []

    def told(self, error: BaseException) -> bool:
        """Whether an operation has ended with this error already."""
        return any(error is one or error.__cause__ is one for one in self._errors)

    def unfinished(self) -> list[Running]:
        """Operations that began and did not end."""
        return list(self._running.values())

    def began(self, measured: Measured, at: float) -> None:
        """An operation begins."""
        if measured.name not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            text = f"{self._driver.python.function} measures `{measured.name}`; the plan's `operations` are {known}"
            self._tell(
                self._driver.engine.give_up, LoadError(text, hint="name every measured operation in `operations`")
            )
            raise RuntimeError(text)
        if measured.key is None and measured.name in self._driver.python.ledgers:
            text = f"{self._driver.python.function} measures `{measured.name}` without the key that its ledger needs"
            self._tell(self._driver.engine.give_up, LoadError(text, hint="user.measure(name, key=…)"))
            raise RuntimeError(text)
        self._tell(self._begin, self._iteration, measured, at)

    def ended(self, measured: Measured, at: float, error: BaseException | None) -> None:
        """It ended."""
        self._tell(self._end, self._iteration, measured, at, error)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        if _running_loop() is self._loop:
            what(*arguments)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(what, *arguments)

    def _begin(self, iteration: Iteration, measured: Measured, at: float) -> None:
        if iteration.over or iteration is not self._iteration:
            return
        ledger = self._driver.python.ledgers.get(measured.name)
        note = _note_of(measured) if ledger is not None else None
        try:
            running = iteration.start(
                measured.name, self._driver.python.timeout, begun=at, chained=False, ledger=ledger, note=note
            )
        except LoadError as error:  # the ledger cannot be written
            self._driver.engine.give_up(error)
            return
        running.phase = "function"
        self._running[measured] = running

    def _end(self, iteration: Iteration, measured: Measured, at: float, error: BaseException | None) -> None:
        if iteration.over or iteration is not self._iteration:
            return
        running = self._running.pop(measured, None)
        if running is None:
            return
        if error is None:
            iteration.succeed(running, ended=at)
        else:
            self._errors.append(error)
            iteration.fail(running, _failure(error), ended=at)


def _note_of(measured: Measured) -> LedgerNote:
    """What the ledger is told."""
    digest = digest_of(measured.value) if measured.value is not None else ""
    group = str(measured.ordered_by) if measured.ordered_by is not None else ""
    return LedgerNote(str(measured.key), digest, group, measured.removes)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of the thread that asks."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _as_users_own(function: Function, user: User) -> object:
    with users_own():
        return function(user)


def _failure(error: BaseException, where: str = "") -> Failure:
    """An exception as a failure: its class, its words, and the last line of its traceback."""
    kind = type(error).__name__
    words = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return Failure(kind, f"{where}{kind}: {words[:200]}{place}", answered=True)


def _import(name: str, folder: str) -> Function:
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except BaseException as error:
        failure = _failure(error)
        raise LoadError(f"{name} cannot be imported from {folder}: {failure.text}") from error
    if not callable(found):
        raise LoadError(f"{name} is no function: the module {module_name} has no `{attribute}` that can be called")
    if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        raise LoadError(f"{name} is a generator: a call of it would do nothing")
    return cast("Function", found)
