"""Something that is done again and again while a fault lasts; it ends with the run's process."""

import threading
import time
from collections.abc import Callable

from shakedown.errors import FaultError

__all__ = ["Again"]

ENDS_WITHIN = 15.0


class Again:
    """A thread that acts at once and then every `every` seconds, until it is told to end or the deadline passes.

    Args:
        act: one time; what it raises ends the thread, and is raised by `look`.
    """

    def __init__(self, act: Callable[[], object], every: float, deadline: float) -> None:
        self._act, self._every, self._deadline = act, every, deadline
        self._end = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._go, name="fault-again", daemon=True)
        self._thread.start()

    def _go(self) -> None:
        due = time.monotonic()
        while not self._end.wait(max(due - time.monotonic(), 0.0)) and time.time() < self._deadline:
            try:
                self._act()
            except Exception as error:  # noqa: BLE001 - carried over to whoever looks
                self._error = error
                return
            due = max(due + self._every, time.monotonic())

    def look(self) -> None:
        """Raise what went wrong.

        Raises:
            FaultError: it could not be done.
        """
        if self._error is not None:
            raise self._error if isinstance(self._error, FaultError) else FaultError(str(self._error))

    def end(self) -> None:
        """End it; when this returns, nothing is done any more.

        Raises:
            FaultError: what it does at the moment does not end.
        """
        self._end.set()
        self._thread.join(ENDS_WITHIN)
        if self._thread.is_alive():
            raise FaultError(f"what the fault was doing did not end within {ENDS_WITHIN:g} s")

    @property
    def ended(self) -> bool:
        """Whether nothing is done any more."""
        return not self._thread.is_alive()
