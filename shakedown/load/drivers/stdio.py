"""A worker talks to its parent over its standard streams. What a user's function prints must not get in between.

Descriptor 1 becomes standard error, descriptor 0 is empty: that is what child processes and C libraries see. Python's
own `sys.stdout` goes to the parent where the worker writes, and to standard error where the user's function does.
"""

import contextvars
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["part_streams", "users_own"]

_OWN: contextvars.ContextVar[bool] = contextvars.ContextVar("users_own", default=False)


@contextmanager
def users_own() -> Iterator[None]:
    """Inside, what is printed is the user's."""
    token = _OWN.set(True)
    try:
        yield
    finally:
        _OWN.reset(token)


class _Parted(io.TextIOBase):
    """A stream that is two, chosen by who writes."""

    def __init__(self, ours: TextIO, theirs: TextIO) -> None:
        self._ours, self._theirs = ours, theirs

    def _chosen(self) -> TextIO:
        return self._theirs if _OWN.get() else self._ours

    def write(self, text: str, /) -> int:
        """Write to the stream of whoever writes."""
        return self._chosen().write(text)

    def flush(self) -> None:
        """Flush it."""
        self._chosen().flush()

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """It is none."""
        return False

    def fileno(self) -> int:
        """Of standard error, for whoever hands it to a child process."""
        return self._theirs.fileno()


def part_streams() -> None:
    """Part the streams, in a load worker; anywhere else nothing is done.

    It must happen while nothing is being read or written: before the worker says that it is ready.
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if getattr(spec, "name", None) != "shakedown.load.worker" or isinstance(sys.stdout, _Parted):
        return
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    sys.stdout = _Parted(ours, sys.stderr)
    sys.stdin = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
