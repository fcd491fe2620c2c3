"""Operations that a plan lists, compiled once, and users that go through them in order or draw one by weight."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from shakedown.errors import LoadError
from shakedown.load.drivers.users import AsyncDriver, AsyncVu, Failure, Iteration, Running
from shakedown.load.executors import draw_pause
from shakedown.plan.driver_checks import DriverChecks, Facts, compile_driver_checks
from shakedown.plan.drivers import Operation
from shakedown.records.ledger import LedgerNote

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["OperationsDriver", "OperationsVu", "Prepared"]

AnyOperation = TypeVar("AnyOperation", bound=Operation)
_THINKING = 1000  # the number, within an iteration, from which its pauses are drawn


class Prepared(Generic[AnyOperation]):
    """One operation, ready to be done.

    Args:
        render: makes what is sent, of the names; a driver's own.
        note: makes what the ledger is told, of the names and what is sent.

    Attributes:
        plan: the operation as the plan has it.
    """

    def __init__(
        self,
        driver: str,
        plan: AnyOperation,
        render: Callable[[Mapping[str, object]], object],
        note: Callable[[Mapping[str, object], object], LedgerNote] | None = None,
    ) -> None:
        self.plan = plan
        self.name, self.timeout, self.weight, self.think_time = plan.name, plan.timeout, plan.weight, plan.think_time
        self.checks: DriverChecks = compile_driver_checks(driver, plan.checks)
        self.ledger: str | None = getattr(plan, "ledger", None)
        self.render = render
        self._note = note

    def payload(self, names: Mapping[str, object]) -> tuple[object, LedgerNote | None]:
        """What is sent, and what the ledger is told of it (None without a ledger).

        Raises:
            LoadError: a template fails.
        """
        try:
            made = self.render(names)
            note = self._note(names, made) if self.ledger is not None and self._note is not None else None
        except Exception as error:  # a template may fail in any way; none is the service's fault
            raise LoadError(f"the operation `{self.name}` cannot be made: {type(error).__name__}: {error}") from error
        return made, note

    def judge(self, facts: Facts) -> None:
        """See whether the checks hold.

        Raises:
            Failure: one does not.
        """
        wrong = self.checks.failed(facts)
        if wrong is not None:
            shown = ", ".join(f"{name} = {str(value)[:80]!r}" for name, value in list(facts.values.items())[:3])
            raise Failure("check", f"`{wrong}` does not hold: {shown or 'there was no answer'}", answered=True)


class OperationsVu(AsyncVu, Generic[AnyOperation]):
    """A user that does operations of a plan; a driver's own gives `perform`."""

    driver: "OperationsDriver[AnyOperation]"

    async def iterate(self, iteration: Iteration) -> None:
        """The operations of one iteration, until one is not right."""
        engine = self.driver.engine
        steps = self.driver.steps(iteration.number)
        for number, operation in enumerate(steps):
            engine.context.start(iteration.number, number)
            payload, note = operation.payload(iteration.names)
            running = iteration.start(operation.name, operation.timeout, ledger=operation.ledger, note=note)
            try:
                size = await self.perform(operation, payload, running)
            except Failure as failure:
                iteration.fail(running, failure)
                return
            iteration.succeed(running, size)
            if operation.think_time is not None and number + 1 < len(steps):
                await asyncio.sleep(
                    draw_pause(operation.think_time, engine.context.start(iteration.number, _THINKING + number))
                )
                iteration.last = time.monotonic()

    async def perform(self, operation: Prepared[AnyOperation], payload: object, running: Running) -> int:
        """Do one operation and judge it; the bytes that came back, where they are known.

        Raises:
            Failure: it went wrong in a known way.
        """
        raise NotImplementedError


class OperationsDriver(AsyncDriver, Generic[AnyOperation]):
    """The operations of a scenario, compiled."""

    def __init__(self, engine: "Engine", operations: Sequence[Prepared[AnyOperation]], *, weighted: bool) -> None:
        super().__init__(engine)
        self.operations = list(operations)
        self._weights = [operation.weight for operation in operations]
        self._weighted = weighted

    def steps(self, iteration: int) -> list[Prepared[AnyOperation]]:
        """The operations of one iteration."""
        if self._weighted:
            return [self.operations[self.engine.context.draw(self._weights, iteration)]]
        return self.operations
