"""SIGTERM at any moment of a run is heard by the run, also while Prefect's engine has a handler of its own."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest
from prefect.exceptions import TerminationSignal

from flows import pipeline
from flows.signals import stop_on_signals
from shakedown.errors import Interrupted


class _Session:
    """The little of a live run that is needed."""

    run_id = "run-1"

    def __init__(self) -> None:
        self.stop = threading.Event()

    def check_stop(self) -> None:
        if self.stop.is_set():
            raise Interrupted("asked to")


def test_a_signal_between_two_stages_ends_the_run_in_order(monkeypatch):
    """What Prefect raises when SIGTERM meets its own handler is the run's interruption; another one finds our handler."""

    def begin(_run: str, *, return_state: bool) -> None:
        assert return_state
        signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the engine's handler is still in place"))
        raise TerminationSignal(signal=signal.SIGTERM)

    session = _Session()
    monkeypatch.setitem(pipeline._FLOWS, "stress", begin)
    monkeypatch.setattr(pipeline, "reach_of", lambda _: SimpleNamespace(wait=lambda: True))
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(session.stop):
        with pytest.raises(Interrupted):
            pipeline._carry(session, "stress")
        assert session.stop.is_set()
        session.stop.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        assert session.stop.wait(10)
    assert signal.getsignal(signal.SIGTERM) is before
