"""What an engine and a virtual user ask of each other, whatever the driver."""

from typing import Protocol

__all__ = ["Driver", "Vu"]


class Vu(Protocol):
    """A virtual user: takes one iteration at a time through its operations, and tells the engine when it ended.

    Attributes:
        busy: whether an iteration is under way.
        deadline: when what is under way times out (monotonic); infinite while nothing is.
    """

    busy: bool
    deadline: float

    def begin(self, due: float, iteration: int, *, warm_up: bool) -> None:
        """Start an iteration that was due at `due` (monotonic). It ends with `Engine.iteration_ended`, exactly once."""

    def time_out(self) -> None:
        """The deadline has passed."""

    def cancel(self) -> None:
        """Cut off what is under way; the iteration ends as cancelled before this returns."""

    def close(self) -> None:
        """Give back connections and whatever else is held."""


class Driver(Protocol):
    """What a scenario speaks: makes users, and owns what they share."""

    async def open(self) -> None:
        """Whatever must be there before the schedule begins.

        Raises:
            LoadError: it cannot be had.
        """

    def vu(self, number: int) -> Vu:
        """A new user."""

    async def close(self) -> None:
        """Give back what was opened."""
