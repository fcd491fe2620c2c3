"""What costs much is done less often, so that watching disturbs nobody."""

import time
from collections.abc import Callable

__all__ = ["Sparing"]


class Sparing:
    """A reading that takes no more than its share of a core, over time.

    Args:
        share: of one core. A reading of 3 ms that may take 0.15 % of it is made once in two seconds.
        clock, cost: seconds now, and seconds of CPU that this thread has used.
    """

    def __init__(
        self,
        share: float,
        clock: Callable[[], float] = time.monotonic,
        cost: Callable[[], float] = time.thread_time,
    ) -> None:
        self._share, self._clock, self._cost = share, clock, cost
        self._next = float("-inf")

    def read(self, look: Callable[[], dict[str, float]], *, whole: bool = False) -> dict[str, float]:
        """What `look` finds; nothing when it is not its turn yet, and `whole` does not insist."""
        now = self._clock()
        if now < self._next and not whole:
            return {}
        begun = self._cost()
        try:
            return look()
        finally:
            self._next = now + (self._cost() - begun) / self._share
