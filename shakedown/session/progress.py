"""What happens during a run, told to whoever listens: the terminal, a log, Prefect."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

__all__ = ["Progress", "listen", "tell"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news.

    Attributes:
        kind: what it is about; `load` comes often and replaces the one before.
        subject: the stage, service, load or experiment.
    """

    run: str
    at: float
    kind: Literal["run", "stage", "service", "load", "suite", "fault", "finding", "warning"]
    subject: str
    text: str


_listeners: list[Callable[[Progress], None]] = []
_lock = threading.Lock()


def tell(news: Progress) -> None:
    """Tell every listener."""
    with _lock:
        listeners = list(_listeners)
    for listener in listeners:
        listener(news)


@contextmanager
def listen(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Be told everything within this block; the listener is called from several threads."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)
