"""A thread of a user's own, for functions that are not async: the worker's loop never waits for them."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

__all__ = ["Ended", "UserThread"]

# What a call gave, and the exception that it ended with instead.
Ended = tuple[object, BaseException | None]


class UserThread:
    """One thread that does one call after another; a daemon, so that one that never returns keeps nobody alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._calls: SimpleQueue[tuple[asyncio.Future[Ended], Callable[..., object], tuple[Any, ...]] | None] = (
            SimpleQueue()
        )
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def call(self, function: Callable[..., object], *arguments: object) -> "asyncio.Future[Ended]":
        """Have a function called; the future never fails, it tells how the call ended."""
        future: asyncio.Future[Ended] = self._loop.create_future()
        self._calls.put((future, function, arguments))
        return future

    def stop(self) -> None:
        """End when the calls so far have."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, arguments = call
            ended: Ended
            try:
                ended = (function(*arguments), None)
            except BaseException as error:  # noqa: BLE001 - whatever a user's function ends with is its outcome
                ended = (None, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, future, ended)


def _settle(future: "asyncio.Future[Ended]", ended: Ended) -> None:
    if not future.done():
        future.set_result(ended)
