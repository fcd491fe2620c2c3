"""Waiting for what a slow call brings about."""

import threading

import pytest

from shakedown.errors import FaultError
from shakedown.faults.service.target import Call, wait_for


def test_the_wait_ends_with_what_is_waited_for():
    """It returns when the end is seen, though the call itself still goes on."""
    go_on, looks = threading.Event(), iter([False, False, True])
    call = Call("a slow call", go_on.wait)
    assert wait_for(lambda: next(looks), 60, call)
    assert not call.done
    go_on.set()
    assert call.join(60)


def test_a_failed_call_fails_the_wait():
    """What the call failed of is told at once, and not taken for an end."""

    def fail():
        raise OSError("no route")

    call = Call("the kill", fail)
    assert call.join(60)
    with pytest.raises(FaultError, match="the kill failed: no route"):
        wait_for(lambda: False, 60, call)


def test_nothing_ends():
    """When the time is up it says so."""
    assert not wait_for(lambda: False, 0)
