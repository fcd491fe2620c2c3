"""Ctrl-C, SIGTERM and a closed terminal, turned into an orderly end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["hear_signals", "stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Within this block signals set `stop`: faults are reverted, services stopped, results kept.

    Prefect sets a handler of its own at the beginning of every flow, subflows included, so each stage says this anew.
    Outside the main thread handlers cannot be set; then this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = hear_signals(stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hear_signals(stop: threading.Event) -> dict[signal.Signals, Any]:
    """From now on signals set `stop`; what they did before. Only in the main thread."""
    return {number: signal.signal(number, lambda *_: stop.set()) for number in _SIGNALS}
