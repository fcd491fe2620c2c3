"""What happens during a run, told to whoever listens: the terminal, a log, Prefect."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Progress", "heard", "listen", "tell"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news.

    Attributes:
        kind: what it is about; `load` and `resources` come often and replace the one before.
        subject: the stage, service, load or experiment.
        event: its kind on the time axis, such as `stage.start` or `fault.injected`; empty for what is not on it.
        numbers: of `resources`, by series.
    """

    run: str
    at: float
    kind: Literal["run", "stage", "service", "load", "suite", "fault", "finding", "warning", "resources"]
    subject: str
    text: str
    event: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


_listeners: list[Callable[[Progress], None]] = []
_lock = threading.Lock()


def heard() -> bool:
    """Whether anybody listens: what is costly to say need not be said to nobody."""
    return bool(_listeners)


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
