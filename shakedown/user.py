"""What a function of yours gets when a scenario calls it: `python: {function: "module:function"}`.

::

    from shakedown.user import User

    def orders(user: User) -> None:
        with user.measure("get_or_create"):
            customer = database.get_or_create(f"c{user.random.randint(1, 50)}")
        with user.measure("insert"):
            database.insert(customer, user.iteration)

An exception inside `measure` makes that operation failed, and with it the iteration; what is caught outside of it does
not make it good again. For tests of your own, `User()` is a user that nobody listens to.
"""

import random
import time
from collections.abc import Mapping
from types import SimpleNamespace, TracebackType
from typing import Protocol

__all__ = ["Measured", "Sink", "User"]


class Sink(Protocol):
    """Who listens to a user."""

    def began(self, measured: "Measured", at: float) -> None:
        """An operation begins, at an instant of `time.monotonic()`.

        Raises:
            RuntimeError: the plan names no such operation.
        """

    def ended(self, measured: "Measured", at: float, error: BaseException | None) -> None:
        """It ended; with an exception, it failed."""


class Measured:
    """One operation: `with user.measure(name):`. It measures once.

    Attributes:
        key, value, ordered_by, removes: what its ledger is told; see `User.measure`.
    """

    __slots__ = ("_sink", "key", "name", "ordered_by", "removes", "value")

    def __init__(
        self, name: str, sink: Sink | None, key: object = None, value: object = None, ordered_by: object = None,
        *, removes: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.key, self.value, self.ordered_by, self.removes = key, value, ordered_by, removes
        self._sink = sink

    def __enter__(self) -> None:
        if self._sink is not None:
            self._sink.began(self, time.monotonic())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sink is not None:
            self._sink.ended(self, time.monotonic(), error)


class User:
    """A virtual user.

    Attributes:
        vu: its number; no two users of a load have the same.
        iteration: the iteration's number; no two iterations of a load have the same.
        random: draws the same in the same iteration of every run with the same seed.
        row: the iteration's row of the scenario's data; empty without data.
        state: what the function keeps from one iteration to the next, such as a connection that `setup` made.
        host, port: the address of the scenario's target; None without one.
    """

    def __init__(
        self, vu: int = 0, *, host: str | None = None, port: int | None = None, sink: Sink | None = None
    ) -> None:
        self.vu = vu
        self.iteration = 0
        self.random = random.Random(0)  # noqa: S311 - repeatable data, not cryptography
        self.row: Mapping[str, object] = {}
        self.state = SimpleNamespace()
        self.host, self.port = host, port
        self._sink = sink

    def measure(
        self, operation: str, *, key: object = None, value: object = None, ordered_by: object = None,
        removes: bool = False,
    ) -> Measured:  # fmt: skip
        """Measure what is done inside `with` as one operation, from its begin to its end.

        The first operation of an iteration counts from the instant at which the iteration was due. Where the plan has a
        ledger for the operation, it is noted there: acknowledged when nothing is raised inside, unknown otherwise.

        Args:
            key: by which the ledger looks for it afterwards.
            value: compared with what is found then; None: nothing is compared.
            ordered_by: operations with the same text are stored in the order in which they ended.
            removes: it takes the key away.
        """
        return Measured(operation, self._sink, key, value, ordered_by, removes=removes)
