"""Waking an event loop at an instant, as precisely as the system can.

Event loops round their timers to milliseconds. Linux has timers that do not (timerfd), and a loop can wait for one like
for any other file. Elsewhere the loop's own timers serve, and start lag is up to a millisecond larger.
"""

import asyncio
import contextlib
import ctypes
import os
import sys
import time

__all__ = ["Alarm"]

# Never two alarms within this time: at high rates one wake-up releases several arrivals, which costs less than it delays.
QUANTUM = 0.0002
COARSE = 0.001
_MONOTONIC, _NONBLOCK_CLOEXEC, _ABSOLUTE = 1, os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0), 1


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Alarm:
    """Sleeps until an instant of `time.monotonic()`, again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung: asyncio.Future[None] | None = None
        self._file = -1
        if sys.platform != "linux":
            return
        with contextlib.suppress(OSError, AttributeError):
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(_MONOTONIC, _NONBLOCK_CLOEXEC)
            if self._file >= 0:
                loop.add_reader(self._file, self._ring)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, 8)
        self.wake()

    def wake(self) -> None:
        """End the sleep under way, if there is one."""
        if self._rung is not None and not self._rung.done():
            self._rung.set_result(None)

    async def sleep_until(self, instant: float) -> None:
        """Sleep until `instant` or `wake`; seldom a little less, so look at the clock."""
        now = time.monotonic()
        self._rung = self._loop.create_future()
        if self._file < 0:
            timer = self._loop.call_later(max(instant - now, COARSE), self.wake)
            try:
                await self._rung
            finally:
                timer.cancel()
            return
        at = max(instant, now + QUANTUM)
        seconds = int(at)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, int((at - seconds) * 1e9)))
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(spec), None)
        await self._rung

    def close(self) -> None:
        """Give the timer back."""
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1
